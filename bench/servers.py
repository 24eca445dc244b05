"""The servers that are measured, each a process of its own on a core of its own."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

__all__ = ["Server", "gathered", "hub", "pin_load"]

_BENCH = Path(__file__).resolve().parent
_URL = re.compile(r" is at http://([0-9.]+):([0-9]+)/")


class Server:
    """A server that is running.

    :param process: the process.
    :param address: host and port at which it listens.
    """

    def __init__(self, process: subprocess.Popen[str], address: tuple[str, int]) -> None:
        self.address = address
        self._process = psutil.Process(process.pid)

    def resident_bytes(self) -> int:
        """Memory that the process occupies; buffers of the kernel are not in it."""
        return int(self._process.memory_info().rss)

    def cpu(self) -> float:
        """Seconds of CPU that the process has used."""
        times = self._process.cpu_times()
        return float(times.user + times.system)


def hub(*flags: str) -> contextlib.AbstractContextManager[Server]:
    """Run this repository's hub, without the demonstration feed."""
    return _running([str(_BENCH.parent / "sse_server.py"), "--no-demo", "--port", "0", *flags])


def gathered() -> contextlib.AbstractContextManager[Server]:
    """Run the obvious way."""
    return _running([str(_BENCH / "gathered.py")])


@contextlib.contextmanager
def _running(command: Sequence[str]) -> Iterator[Server]:
    # The settings are the defaults, whatever the variables of whoever runs this say.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SSE_")}
    process = subprocess.Popen([sys.executable, *command], stderr=subprocess.PIPE, text=True, env=environment)
    try:
        _pin(process.pid, 0)
        yield Server(process, _address(process))
    finally:
        process.kill()  # there is nothing in it that anybody wants kept
        process.communicate()


def _address(process: subprocess.Popen[str]) -> tuple[str, int]:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if match := _URL.search(line):
            return match[1], int(match[2])
    raise RuntimeError("the server ended before it listened:\n" + "".join(said))


def pin_load() -> bool:
    """Keep this process and its children from the servers' core; say whether the system can."""
    return _pin(0, 1)


def _pin(process: int, place: int) -> bool:
    if not hasattr(os, "sched_setaffinity"):
        return False
    cores = _CORES
    if len(cores) < 2:
        return False
    os.sched_setaffinity(process, {cores[place]})
    return True


_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
"""The cores that this process had at the start; the servers get the first, the load the second."""
