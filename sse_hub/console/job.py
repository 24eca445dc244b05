"""A command whose output is published line by line, to the end of its channel."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import io
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence

import click

from sse_client import Ended, SSEClient, SSEError

from .display import harmless, stderr

__all__ = ["run_job"]

_LINES_AHEAD = 1000
"""Largest number of lines that wait to be published. At this number, the command waits, as for any slow reader."""
_CHUNK = 1 << 16
_LONGEST = 64 << 10
"""Largest length of a line; a longer one is published in pieces."""
_LINGER = 1.0
"""Largest time in seconds to read from a pipe after the command has ended. A daemon may hold the pipe open for ever."""
_LEFT_BEHIND = 512 << 10
"""Largest number of bytes to read after that. Pipe and reader hold at most 256 KiB, so the rest is output of the
daemon."""
_GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL, as with docker stop."""
_PASSED_ON = [number for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if (number := getattr(signal, name, None))]


async def run_job(client: SSEClient, channel: str, command: Sequence[str], deadline: float) -> int:
    """Run a command, publish its output and end the channel; return the command's exit status as a shell has it.

    Lines of standard output have the type `message`, those of standard error `stderr`. If the hub fails or refuses, the
    command goes on. If the channel is ended as `cancelled`, the command is stopped.

    :param deadline: seconds within which each request must be acknowledged.
    :raises click.ClickException: if the command cannot be started; the channel then ends as `failed`.
    """
    job = Job(command, channel)
    with job.passing_signals_on():
        try:
            async with client.run(channel, interrupt=True, deadline=deadline) as run:
                await job.start()
                async for type, line in job:
                    await run.write(line, event=type)
                status = await job.status()
                await run.end("done" if not status else "cancelled" if job.interrupted else "failed")
                return status
        except SSEError as error:
            if not job.started:
                raise
            ended = error.reason if isinstance(error, Ended) else ""
            reason = f"{channel} has ended: {ended}" if ended else str(error)
            stderr.print(f"sse-client: output is not published any more: {harmless(reason)}")
            return await job.finish(stop=ended == "cancelled")


class _Protocol(asyncio.subprocess.SubprocessStreamProtocol):
    """Notes the end of a command at once. Before Python 3.13, `Process.wait` waits for the pipes, too."""

    def __init__(self, ended: asyncio.Event) -> None:
        super().__init__(limit=_CHUNK, loop=asyncio.get_running_loop())
        self._ended = ended

    def process_exited(self) -> None:
        super().process_exited()
        self._ended.set()


class Job:
    """A running command, as an asynchronous iterator over the type and the text of each line."""

    def __init__(self, command: Sequence[str], channel: str) -> None:
        self.interrupted = False
        """Whether a signal was passed on."""
        self._command, self._channel = command, channel
        self._process: asyncio.SubprocessTransport | None = None
        self._ended = asyncio.Event()
        self._is_leaving = False  # whether this process ends because of a signal that the command does not get
        self._read_all = False  # whether the iterator has returned all lines
        self._lines: asyncio.Queue[tuple[str, str] | None] = asyncio.Queue(_LINES_AHEAD)
        self._reading: asyncio.Task[None] | None = None

    @property
    def started(self) -> bool:
        """Whether the command was started."""
        return self._process is not None

    async def start(self) -> None:
        """Start the command.

        :raises click.ClickException: if that is not possible.
        """
        name = self._command[0]
        if shutil.which(name) is None:
            raise click.ClickException(f"{name} cannot be started: there is no such program")
        # If their output is not a terminal, Python and programs in C collect some kilobytes. This prevents it.
        unbuffer = ["stdbuf", "-oL"] if shutil.which("stdbuf") else []
        try:
            self._process, protocol = await asyncio.get_running_loop().subprocess_exec(
                lambda: _Protocol(self._ended),
                *unbuffer,
                *self._command,
                stdin=asyncio.subprocess.DEVNULL if sys.stdin is None or sys.stdin.isatty() else None,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={"PYTHONUNBUFFERED": "1", **os.environ, "SSE_CHANNEL": self._channel},
                start_new_session=True,  # its children get its signals, too
            )
        except (OSError, ValueError) as error:
            raise click.ClickException(f"{name} cannot be started: {error}") from None
        self._reading = asyncio.create_task(self._read(protocol))

    async def __aiter__(self) -> AsyncIterator[tuple[str, str]]:
        while not self._read_all:
            line = await self._lines.get()
            if line is None:
                self._read_all = True
            else:
                yield line

    async def status(self) -> int:
        """Wait until the command has ended; return its exit status, 128 and more for a signal."""
        assert self._process is not None
        await self._ended.wait()
        status = self._process.get_returncode()
        assert status is not None
        self._process.close()  # a daemon that the command has left behind may hold the pipes
        return status if status >= 0 else 128 - status

    @contextlib.contextmanager
    def passing_signals_on(self) -> Iterator[None]:
        """A context in which signals of this process are forwarded to the command while it runs."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError):  # Windows
            for number in _PASSED_ON:
                loop.add_signal_handler(number, self._interrupt, number)
        try:
            yield
        finally:
            with contextlib.suppress(NotImplementedError):
                for number in _PASSED_ON:
                    loop.remove_signal_handler(number)

    async def finish(self, *, stop: bool) -> int:
        """Wait until the command has ended, without publishing its output; return its exit status.

        :param stop: whether to stop it.
        """
        dropping = asyncio.create_task(self._drop())
        if stop:
            await self._stop()
        await dropping
        return await self.status()

    async def _stop(self) -> None:
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_GRACE):
                await self.status()
        except TimeoutError:
            self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))

    async def _drop(self) -> None:
        async for _ in self:
            pass

    def _interrupt(self, number: int) -> None:
        if self._is_leaving:
            return  # the channel is being ended, which has a time limit of its own
        if not self._signal(number):
            self._is_leaving = True
            raise KeyboardInterrupt  # only the hub keeps this process
        self.interrupted = True

    def _signal(self, number: int) -> bool:
        """Send a signal to the command; return whether it still runs."""
        if self._process is None or self._ended.is_set():
            return False
        try:
            if hasattr(os, "killpg"):
                os.killpg(self._process.get_pid(), number)
            else:
                self._process.send_signal(number)
        except ProcessLookupError:  # it has ended, and the event loop has yet to be informed
            return False
        return True

    async def _read(self, protocol: _Protocol) -> None:
        assert protocol.stdout is not None
        assert protocol.stderr is not None
        with contextlib.suppress(OSError):  # a pipe that cannot be read counts as ended
            await asyncio.gather(
                self._read_lines(protocol.stdout, "message"), self._read_lines(protocol.stderr, "stderr")
            )
        await self._lines.put(None)  # not after a cancellation: then nothing empties the queue

    async def _read_lines(self, pipe: asyncio.StreamReader, type: str) -> None:
        """Read a pipe to its end. LF, CRLF and CR end a line: progress bars rewrite their line after a CR."""
        decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=True)
        rest = ""
        async for data in self._chunks(pipe):
            *lines, rest = (rest + decoder.decode(data)).split("\n")
            if len(rest) > _LONGEST:
                lines, rest = [*lines, rest], ""
            for line in lines:
                await self._put(type, line)
        rest += decoder.decode(b"", final=True)
        for line in rest.split("\n") if rest else []:
            await self._put(type, line)

    async def _put(self, type: str, line: str) -> None:
        for begin in range(0, max(len(line), 1), _LONGEST):
            await self._lines.put((type, line[begin : begin + _LONGEST]))

    async def _chunks(self, pipe: asyncio.StreamReader) -> AsyncIterator[bytes]:
        """The bytes of a pipe, to its end. If a daemon holds the pipe open, they end soon after the command."""
        time, seconds, size = asyncio.get_running_loop().time, _LINGER, _LEFT_BEHIND
        while seconds > 0 and size > 0:
            had_ended, begin, data = self._ended.is_set(), time(), None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    data = await pipe.read(_CHUNK)
            if data == b"":
                return
            if had_ended:
                seconds, size = seconds - (time() - begin), size - len(data or b"")
            if data:
                yield data
