"""Commands and programs of documents and examples, run as a reader runs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from programs import environment, tool

__all__ = ["ADDRESS", "Shell", "adapted", "shell"]

ADDRESS = "http://127.0.0.1:8000"
"""Address of the hub in the documents."""


class Shell:
    """A shell that runs a block, with our Python first in its path. Standard error is part of its output."""

    def __init__(self, block: str, folder: Path, **variables: str) -> None:
        self._process = subprocess.Popen(
            [tool("bash", "bash"), "-ec", block],
            cwd=folder,
            env=environment(PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}", **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout

    def until(self, text: bytes) -> bytes:
        """Wait until its output has this text in it; return the output before it, too."""
        read = b""
        while text not in read:
            piece = os.read(self._output.fileno(), 65536)
            assert piece, f"it ended without {text!r}: {read!r}"
            read += piece
        return read

    def wait(self) -> str:
        """Its output, once it has ended well."""
        output = self._output.read().decode()
        assert self._process.wait() == 0, output
        return output

    def kill(self) -> None:
        """End it and all that it started."""
        with suppress(ProcessLookupError):  # it has ended
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._output.close()


@contextmanager
def shell(block: str, folder: Path, **variables: str) -> Iterator[Shell]:
    running = Shell(block, folder, **variables)
    try:
        yield running
    finally:
        running.kill()


def adapted(file: Path, folder: Path, url: str, address: str = ADDRESS) -> Path:
    """A copy of a file in this folder, in which only an address is another."""
    copy = folder / file.name
    copy.write_text(file.read_text().replace(address, url))
    return copy
