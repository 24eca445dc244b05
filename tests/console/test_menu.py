"""The menu, driven through a pseudo-terminal as by somebody's fingers."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from eventually import PATIENCE
from hubs import Server
from programs import ROOT

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no pseudo-terminals here")


class Terminal:
    """A terminal with the menu on it."""

    def __init__(self, process: asyncio.subprocess.Process, master: int, reader: asyncio.StreamReader) -> None:
        self.process = process
        self._master = master
        self._reader = reader
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    async def sees(self, pattern: str) -> str:
        """Wait until what is shown since the last look has this in it."""
        async with asyncio.timeout(PATIENCE):
            while (match := re.search(pattern, self.shown)) is None:
                data = await self._reader.read(4096)
                assert data, f"it ended and had shown: {self.shown}"
                self.shown += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data.decode("utf-8", "replace"))
        self.shown = self.shown[match.end() :]
        return match[0]


@asynccontextmanager
async def menu_at(url: str) -> AsyncIterator[Terminal]:
    master, slave = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "sse_client.py"),
        "--url",
        url,
        stdin=slave,
        stdout=slave,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_control,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"},
    )
    os.close(slave)
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(master, "rb", 0)
    )
    try:
        yield Terminal(process, transport.get_extra_info("pipe").fileno(), reader)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        transport.close()


@pytest.fixture
async def terminal(server: Server) -> AsyncIterator[Terminal]:
    async with menu_at(server.url) as terminal:
        yield terminal


def _control() -> None:
    """Make standard input the terminal that controls the process, so that Ctrl-C reaches it."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


CTRL_C, CTRL_D = "\x03", "\x04"


async def test_the_main_stream_is_shown_and_ctrl_c_returns_to_the_menu(server: Server, terminal: Terminal) -> None:
    await terminal.sees("Main stream")
    await terminal.sees("Your choice")
    terminal.type("1\n")
    await terminal.sees("Following main")
    await server.hub.publish("before")
    await terminal.sees("before")
    terminal.type(CTRL_C)
    await terminal.sees("Your choice")
    terminal.type("q\n")
    assert await terminal.process.wait() == 0


async def test_the_menu_asks_for_a_custom_channel(server: Server, terminal: Terminal) -> None:
    await server.hub.publish("in a", channel="a.b")
    await terminal.sees("Your choice")
    terminal.type("3\n")
    await terminal.sees("Channels and patterns")
    terminal.type("a.* c\n")
    await terminal.sees(r"Following a\.\*, c")
    await terminal.sees("in a")


async def test_the_menu_asks_for_a_message_and_publishes_it(server: Server, terminal: Terminal) -> None:
    await terminal.sees("Your choice")
    terminal.type("4\n")
    await terminal.sees("Message")
    terminal.type("Hello\n")
    await terminal.sees("Channel")
    terminal.type("greetings\n")
    await terminal.sees("went to 0 subscribers")
    await terminal.sees("Your choice")
    channel = server.hub.log.get("greetings")
    assert channel is not None
    assert len(channel) == 1


async def test_metrics_are_a_live_table(server: Server, terminal: Terminal) -> None:
    await terminal.sees("Your choice")
    terminal.type("2\n")
    await terminal.sees("waiting for figures")
    await server.hub.publish('{"cpu_percent":12.5,"node":"here"}', channel="metrics", event="metrics")
    await terminal.sees(r"cpu percent\s+12\.5\s+█")
    terminal.type(CTRL_C)
    await terminal.sees("Your choice")


@pytest.mark.parametrize("keys", ["q\n", CTRL_C, CTRL_D])
async def test_the_menu_is_left_by_q_ctrl_c_and_ctrl_d(terminal: Terminal, keys: str) -> None:
    await terminal.sees("Your choice")
    terminal.type(keys)
    assert await terminal.process.wait() == 0


async def test_a_wrong_choice_is_asked_again(terminal: Terminal) -> None:
    await terminal.sees("Your choice")
    terminal.type("9\n")
    await terminal.sees("select one of the available options")
    await terminal.sees("Your choice")


async def test_an_address_is_shown_as_it_is() -> None:
    async with menu_at("http://[fe80::1]:8000") as terminal:
        await terminal.sees(re.escape("sse-hub at http://[fe80::1]:8000"))
