"""Programs that tests start, and requests without an event loop."""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from ssl import SSLContext
from typing import NamedTuple, NoReturn

import pytest

__all__ = [
    "ROOT",
    "Answer",
    "ClientStart",
    "Program",
    "Start",
    "complaints",
    "environment",
    "fetch",
    "free_port",
    "npm_package",
    "skip",
    "start_client",
    "tool",
]

ROOT = Path(__file__).parent.parent
_END = 30.0
"""Seconds in which a program has to end."""


class Program:
    """`python sse_server.py` as a process."""

    def __init__(self, *arguments: str, **variables: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "sse_server.py"), "--port", "0", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**variables),
        )
        assert self.process.stderr is not None
        self._stderr = self.process.stderr
        self.first_line = self._stderr.readline()
        self._early: list[str] = []
        while " WARNING " in self.first_line:
            self._early.append(self.first_line)
            self.first_line = self._stderr.readline()
        self._read = "".join(self._early)
        match = re.search(r"https?://\S+:(\d+)/", self.first_line)
        self.url = match[0].rstrip("/") if match else ""
        self.port = int(match[1]) if match else 0

    def until(self, text: str) -> str:
        """Wait for a line on stderr that has this text in it; return the line. Warnings before the first line count."""
        for line in self._early:
            if text in line:
                return line
        while line := self._stderr.readline():
            self._read += line
            if text in line:
                return line
        raise AssertionError(f"it ended without {text!r} on stderr: {self._read}")

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; the exit status, and stderr without its first line."""
        self.process.send_signal(how)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        """Wait until it has ended; the exit status, and stderr without its first line."""
        _, rest = self.process.communicate(timeout=_END)
        return self.process.returncode, self._read + rest


Start = Callable[..., Program]
"""Starts the program with these arguments and environment variables."""


ClientStart = Callable[..., Awaitable[asyncio.subprocess.Process]]
"""Starts `sse-client` with these arguments and environment variables."""


async def start_client(*arguments: str | bytes, **variables: str) -> asyncio.subprocess.Process:
    """`python sse_client.py` as a process whose standard streams are pipes."""
    command = (sys.executable, str(ROOT / "sse_client.py"), *arguments)
    pipe = subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment(**variables)
    )


def environment(**variables: str) -> dict[str, str]:
    """The variables of this process, and these."""
    return {**os.environ, **variables}


def tool(name: str, package: str) -> str:
    """Path of a program of the system; the test is skipped without it, but fails in CI."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None:
        skip(f"{name} is missing: apt-get install {package}")
    return path


def npm_package(name: str) -> Path:
    """Folder of a package that package.json names; the test is skipped without it, but fails in CI."""
    folder = ROOT / "node_modules" / name
    if not folder.is_dir():
        skip(f"the package {name} is missing: npm install --no-save --no-package-lock")
    return folder


def skip(missing: str) -> NoReturn:
    """Skip the test because a part is missing; in CI, fail it.

    :param missing: the part, and the command that installs it.
    """
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


def free_port() -> int:
    """A free port below 32768, so that the system does not give it to a connection in the meantime."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Answer(NamedTuple):
    """An answer."""

    status: int
    body: bytes
    headers: dict[str, str]


def fetch(
    url: str, data: bytes | None = None, *, headers: dict[str, str] | None = None, tls: SSLContext | None = None
) -> Answer:
    """Ask without an event loop. This blocks.

    :raises OSError: if no server answers.
    """
    request = urllib.request.Request(url, data, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=_END, context=tls) as response:
            return Answer(response.status, response.read(), dict(response.headers))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read(), dict(error.headers))


def complaints(stderr: str) -> list[str]:
    """What a program in Python's development mode has complained about. On a busy machine, asyncio's debug mode also
    reports callbacks that took long, which is no fault."""
    return [line for line in stderr.splitlines() if not line.startswith("Executing <")]
