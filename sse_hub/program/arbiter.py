"""gunicorn's arbiter, adapted to this server. An arbiter starts the workers, watches them and replaces those that die.

This one differs from gunicorn's own:

- A worker listens for itself (ports.py), so the arbiter has sockets only to hold the port.
- SIGHUP reads certificate, keys and rules again in each worker, instead of replacing the workers.
- Signals are held back while a worker is made. A new process has the arbiter's handlers until it sets its own. They put
  a signal into a queue that the worker does not read. So a SIGTERM in that moment would be lost, and the arbiter would
  kill the worker after a timeout.
- A worker whose arbiter has ended drains and ends, too.
- The address is announced when all workers serve.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import math
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from aiohttp import web
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from gunicorn.workers.base import Worker as Process

from ..http.app_keys import BACKGROUND
from ..logs import log_line
from ..settings import SettingError, Settings
from ..stdio import print_error
from ..tasks import end
from ..worker import Worker
from . import serving, signals, systemd

__all__ = ["Server", "run"]

logger = logging.getLogger("sse_hub.workers")

_HELD_BACK = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP}
_TIMEOUT = 30
"""Seconds without a sign of life after which a worker counts as frozen and is replaced."""
_BEAT = 1.0
_PAUSE = 1.0
"""Seconds for which a worker that cannot begin waits before it ends, so that replacements do not keep a core busy."""


class Server:
    """The values that all workers of a server share.

    :param create_app: makes the application of one worker.
    :param reserved: sockets that hold the addresses.
    :param worker: what the workers share; each gets its own number.
    """

    def __init__(
        self,
        settings: Settings,
        create_app: Callable[[Settings, Worker], web.Application],
        reserved: Sequence[socket.socket],
        worker: Worker,
    ) -> None:
        self.settings = settings
        self.create_app = create_app
        self.reserved = list(reserved)
        self.worker = worker


def run(server: Server, is_sound: Callable[[], bool]) -> int:
    """Run the workers until SIGTERM or SIGINT; return the exit status.

    :param is_sound: returns whether the workers can still run; called every second.
    """
    arbiter = _Arbiter(_Configuration(server), server, is_sound)
    try:
        arbiter.run()
    except SystemExit as exit:
        return exit.code if isinstance(exit.code, int) else 1
    return 0


class _Log:
    """gunicorn's messages, in our log. It has the part of gunicorn's interface that arbiter and workers use."""

    def __init__(self, configuration: Any) -> None:
        self.cfg = configuration
        self.critical, self.error, self.warning = logger.critical, logger.error, logger.warning
        self.exception = logger.exception
        self.info = self.debug = logger.debug  # most of its messages are about gunicorn itself

    def setup(self, configuration: Any) -> None:
        """Do nothing: the log is set up already."""

    def reopen_files(self) -> None:
        """Do nothing: there is no file."""

    def close_on_exec(self) -> None:
        """Do nothing: there is no file."""


class _Process(Process):  # type: ignore[misc]
    """A worker process."""

    number = 0

    @property
    def server(self) -> Server:
        server: Server = self.app.server
        return server

    @property
    def is_replacement(self) -> bool:
        """Whether it replaces a worker. A replacement may try again and again to begin, while the others serve."""
        return bool(self.age > self.cfg.workers)

    def init_process(self) -> None:
        """Serve until SIGTERM, in the new process."""
        self.booted = self.is_replacement  # otherwise gunicorn would end the server if it cannot begin
        os.setpgrp()  # Ctrl-C in a terminal goes to a whole group; only the arbiter should get it
        for each in (*_HELD_BACK, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGABRT, signal.SIGCHLD):
            signal.signal(each, signal.SIG_DFL)
        signal.signal(signal.SIGQUIT, lambda *_: os._exit(1))  # a second Ctrl-C ends the process, without a core file
        signals.let_through("SIGQUIT")  # the others wait until `serving.serve` handles them
        settings, worker = self.server.settings, self.server.worker
        serving.prepare(settings)
        try:
            app = self.server.create_app(settings, Worker(self.number, worker.sockets, worker.board))
            app.cleanup_ctx.insert(0, self._living)
            with asyncio.Runner(loop_factory=serving.loop_factory(settings.loop)) as runner:
                runner.run(serving.serve(app, self._started, reuse_port=True))
        except OSError as error:
            log_line(logger, logging.ERROR, f"worker {self.number}: {serving.cannot_listen(error, settings)}")
            raise SystemExit(self._boot_error) from None
        except SettingError as error:  # the certificate was changed meanwhile
            log_line(logger, logging.ERROR, f"worker {self.number}: {error}")
            raise SystemExit(self._boot_error) from None
        except SystemExit as exit:
            if isinstance(exit.code, str):
                print_error(exit.code)
            raise SystemExit(self._boot_error if exit.code else 0) from None

    @property
    def _boot_error(self) -> int:
        return 1 if self.is_replacement else Arbiter.WORKER_BOOT_ERROR

    def _started(self, port: int) -> None:
        self.booted = True
        self.server.worker.board.begin(self.number)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.ppid, signal.SIGUSR1)

    async def _living(self, app: web.Application) -> AsyncIterator[None]:
        """Show the arbiter that this worker lives, and end with it. A cleanup context."""

        async def beat() -> None:
            while os.getppid() == self.ppid:
                self.notify()
                await asyncio.sleep(_BEAT)
            logger.error("the process that started this worker has ended; the worker ends, too")
            os.kill(os.getpid(), signal.SIGTERM)

        task = app[BACKGROUND].start("heartbeat", beat)
        yield
        await end(task)


class _Configuration(BaseApplication):  # type: ignore[misc]
    """gunicorn's settings, made from ours."""

    def __init__(self, server: Server) -> None:
        self.server = server
        super().__init__()

    def load_config(self) -> None:
        """See `BaseApplication`."""
        values = {
            "workers": self.server.settings.workers,
            "worker_class": _Process,
            "logger_class": _Log,
            "timeout": _TIMEOUT,
            "graceful_timeout": math.ceil(self.server.settings.drain) + 5,
            "control_socket_disable": True,
            "pre_fork": _number,
            "child_exit": _forget,
        }
        for name, value in values.items():
            if name in self.cfg.settings:  # not every version of gunicorn has all of them
                self.cfg.set(name, value)

    def load(self) -> None:
        """See `BaseApplication`. Workers make their applications themselves."""


class _Arbiter(Arbiter):  # type: ignore[misc]
    """Starts the workers, and handles the signals of the server."""

    def __init__(self, configuration: _Configuration, server: Server, is_sound: Callable[[], bool]) -> None:
        super().__init__(configuration)
        self._server = server
        self._is_sound = is_sound
        self._announced = self._ending = False
        self._refusal = ""
        self._notify_socket: str | None = None

    def start(self) -> None:
        """See `Arbiter`. `_notify_systemd` informs systemd, when the workers serve."""
        self.LISTENERS = list(self._server.reserved)
        self._notify_socket = os.environ.pop("NOTIFY_SOCKET", None)
        super().start()
        signals.let_through("SIGHUP")

    def spawn_worker(self) -> Any:
        """See `Arbiter`."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
        arbiter = os.getpid()
        try:
            pid = super().spawn_worker()
        except OSError as error:  # the system has no process, memory or descriptor to give
            self._note_refusal(str(error))
            return None
        except SystemExit as exit:  # this is the worker; it must not go on as an arbiter
            status = exit.code if isinstance(exit.code, int) else 1
            if status and self.worker_age > self.cfg.workers:
                time.sleep(_PAUSE)
            logging.shutdown()
            os._exit(status)
        else:
            self._refusal = ""
            return pid
        finally:
            if os.getpid() == arbiter:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _note_refusal(self, reason: str) -> None:
        """A worker cannot be started. `manage_workers` tries again, but at the start of the server that is an error."""
        message = f"a worker cannot be started: {reason}"
        if not self._announced:
            raise HaltServer(message, 1)
        if reason != self._refusal:  # not every second
            log_line(logger, logging.ERROR, f"{message}; it is tried again every second")
        self._refusal = reason

    def manage_workers(self) -> None:
        """See `Arbiter`. It is called every second, and after each signal."""
        if not self._is_sound():
            logger.error("the Valkey of the workers cannot be run any more; the server ends")
            self.halt(exit_status=1)
        super().manage_workers()
        if not self._announced and self._server.worker.board.serving() >= self.num_workers:
            self._announced = True
            self._notify_systemd("READY=1")
            serving.announce(self._server.settings, self._server.settings.port)

    def _notify_systemd(self, state: str) -> None:
        if self._notify_socket:
            systemd.notify(state, self._notify_socket)

    def stop(self, graceful: bool = True) -> None:
        """See `Arbiter`."""
        self._ending = True
        super().stop(graceful)

    def reap_workers(self) -> None:
        """See `Arbiter`. A worker that cannot begin ends the server, and changes nothing while the server ends."""
        try:
            super().reap_workers()
        except HaltServer:
            if not self._ending:
                raise

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """See `Arbiter`."""
        self._notify_systemd("STOPPING=1")
        super().halt(reason, exit_status)

    def handle_hup(self) -> None:
        """Let each worker read certificate, keys and rules again."""
        self.kill_workers(signal.SIGHUP)

    def handle_int(self) -> None:
        """End as after SIGTERM, and at once after a second SIGINT. gunicorn would end at once after the first."""
        self.handle_term()

    def handle_usr1(self) -> None:
        """A worker serves now; `manage_workers` is called next."""

    def handle_usr2(self) -> None:
        """Do nothing. gunicorn would start itself again with the wrong command line."""

    def handle_ttin(self) -> None:
        """Start one more worker, if SIGTTOU has ended one. The board has no rows for more than `--workers`."""
        if self.num_workers < self._server.settings.workers:
            super().handle_ttin()


def _number(arbiter: Any, process: Any) -> None:
    """Give a new worker the smallest number that is free. gunicorn calls this before it forks."""
    used = {each.number for each in arbiter.WORKERS.values()}
    process.number = next(number for number in itertools.count() if number not in used)


def _forget(arbiter: Any, process: Any) -> None:
    """Forget the figures of a worker that has ended."""
    arbiter.app.server.worker.board.clear(process.number)
