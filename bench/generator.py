"""The load generator in C. Each measurement starts it anew. See load.c."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from servers import Server

__all__ = ["Load", "Result", "loading"]

_LIMIT = 120.0
"""Seconds after which a measurement is aborted."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a measurement. Times are in seconds."""

    seconds: float
    deliveries: int
    published: int
    refused: int
    """Posts that a connection could not take, in an open loop."""
    missing: int
    """Deliveries that never came."""
    cpu: float
    """Seconds of CPU of the load. If they are close to `seconds`, the load was the limit."""
    p50: float
    p99: float
    p999: float
    server_cpu: float
    """Seconds of CPU of the server in the same time."""

    @property
    def deliveries_per_second(self) -> float:
        return self.deliveries / self.seconds

    @property
    def published_per_second(self) -> float:
        return self.published / self.seconds


class Load:
    """Connected subscribers, and publishers that wait for the start."""

    def __init__(self, process: subprocess.Popen[str], server: Server) -> None:
        self._process = process
        self._server = server
        connected = json.loads(self._line())
        self.connected_all: float = connected["connected_all"]
        """Seconds until all subscribers had a stream, after they asked at the same time."""
        self.connected_mean: float = connected["connected_mean"]

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            raise RuntimeError(self._process.stderr.read().strip() or "the load ended without a word")
        return line

    def go(self) -> Result:
        """Publish, and wait until it is over."""
        assert self._process.stdin is not None
        before = self._server.cpu()
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        found = json.loads(self._line())
        return Result(**found, server_cpu=self._server.cpu() - before)


@contextlib.contextmanager
def loading(
    program: str,
    server: Server,
    subscribers: int,
    *,
    greeting: str = "event: connected",
    publishers: int = 1,
    publish_to: Server | None = None,
    data_bytes: int = 100,
    rate: float = 0.0,
    warm_up: float = 0.5,
    seconds: float = 3.0,
    frozen: int = 0,
    cursor: str = "",
    expected: int = 0,
    patience: float = 20.0,
    nice: int = 0,
) -> Iterator[Load]:
    """The load, once its subscribers have a stream.

    :param program: the compiled load.c.
    :param greeting: what a subscriber gets first.
    :param publish_to: the server that is published to, if it is another.
    :param rate: events a second in an open loop; 0 for a closed one.
    :param frozen: subscribers of these that do not read.
    :param cursor: the subscribers resume from this id, and have a stream when they have had `expected` events.
    :param patience: seconds within which all must have a stream.
    :param nice: how much the process gives way to others.
    """
    options = {
        "port": server.address[1],
        "publish_port": 0 if publish_to is None else publish_to.address[1],
        "subscribers": subscribers,
        "greeting": greeting,
        "publishers": publishers,
        "data_bytes": data_bytes,
        "rate": rate,
        "warm_up": warm_up,
        "seconds": seconds,
        "frozen": frozen,
        "cursor": cursor,
        "expected": expected,
        "patience": patience,
    }
    process = subprocess.Popen(
        [program, *(f"{name}={value}" for name, value in options.items())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.nice(nice),
    )
    try:
        yield Load(process, server)
    finally:
        process.kill()
        process.communicate(timeout=_LIMIT)
