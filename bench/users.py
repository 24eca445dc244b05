"""A channel for each user, patterns over very many channels, and the largest requests beside the live.

`python -m bench users`. What is measured is the CPU time of the server for each request, so that a load in Python and a
machine that others use, too, do not blur it. Each row stands beside the same with equal subscriptions, and beside
nchan and better-sse where they can do it.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import re
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from servers import MANY, Kind, Server, hub, peers, pin_load

__all__ = ["Publisher", "Subscriber", "connect", "cost", "main"]

_PATIENCE = 60.0
_TOGETHER = 100
"""Connections that are being opened at once."""
_DATA = b"|" + b"x" * 99
_SETTLE = 0.5
_BATCH = 10_000
_CHANNELS = 100
"""Channels of a subscriber that follows several."""
_EVERY = 0.005
"""Seconds between two questions to `/health`."""


class Subscriber:
    """An event stream, read when it is looked at."""

    def __init__(self, server: Server, path: str) -> None:
        self._socket = socket.create_connection(server.address, _PATIENCE)
        self._socket.sendall(b"GET %b HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n" % path.encode())
        self._read = b""

    def until(self, text: bytes, count: int = 1) -> None:
        """Read until the text has come so often."""
        while self._read.count(text) < count:
            data = self._socket.recv(65536)
            if not data:
                raise RuntimeError(f"a stream ended: {self._read[:200]!r}")
            self._read += data

    def close(self) -> None:
        self._socket.close()


class Publisher:
    """A connection that publishes one event after the other, each in one packet."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection(server.address, _PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = self._socket.makefile("rb")

    def publish(self, path: str, data: bytes = _DATA, content_type: str = "text/plain") -> int:
        """Publish; return the status."""
        head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: {content_type}\r\n"
        head += f"Content-Length: {len(data)}\r\n\r\n"
        self._socket.sendall(head.encode() + data)
        line = self._reader.readline()
        if not line:
            raise RuntimeError("the connection of a publisher was closed")
        status = int(line.split()[1])
        headers = http.client.parse_headers(self._reader)
        self._reader.read(int(headers["Content-Length"]))
        return status


def cost(server: Server, act: Callable[[], object], count: int) -> float:
    """Microseconds of the server's CPU for each of so many requests."""
    before = server.cpu()
    act()
    return (server.cpu() - before) / count * 1e6


def connect(server: Server, paths: Sequence[str], greeting: bytes) -> list[Subscriber]:
    """Open a stream for each path, and wait until it is open."""
    found: list[Subscriber] = []
    for begin in range(0, len(paths), _TOGETHER):
        some = [Subscriber(server, path) for path in paths[begin : begin + _TOGETHER]]
        for each in some:
            each.until(greeting)
        found += some
    return found


@dataclass(slots=True)
class Row:
    """The result of one kind of server with one kind of subscriptions."""

    name: str
    connecting: float = 0.0
    first: float = 0.0
    second: float = 0.0
    leaving: float = 0.0
    bytes_each: float = 0.0

    @property
    def cells(self) -> str:
        """As a row of the table."""
        costs = (self.connecting, self.first, self.second, self.leaving)
        return f"| {self.name} | " + " | ".join(f"{cost:.0f}" for cost in costs) + f" | {self.bytes_each / 1000:.1f} |"


def _users(kind: Kind, name: str, follow: Sequence[str], publish: Sequence[str], reach: Sequence[int] = ()) -> Row:
    """Connect, publish twice on each path, and leave.

    :param reach: how many of the events each stream gets; by default, none.
    """
    row = Row(f"{kind.name}: {name}")
    with kind.run() as server:
        publisher = Publisher(server)
        for _ in range(50):
            publisher.publish("/realtime/warm")
        time.sleep(_SETTLE)
        before = server.resident_bytes()
        streams: list[Subscriber] = []
        greeting = kind.greeting.encode()
        row.connecting = cost(server, lambda: streams.extend(connect(server, follow, greeting)), len(follow))
        row.bytes_each = (server.resident_bytes() - before) / len(follow)

        def publish_all() -> None:
            for path in publish:
                if publisher.publish(path) >= 300:
                    raise RuntimeError("a publish was refused")

        row.first = cost(server, publish_all, len(publish))
        row.second = cost(server, publish_all, len(publish))
        for stream, events in zip(streams, reach, strict=False):
            stream.until(b"|xxx", 2 * events)

        def leave() -> None:
            for stream in streams:
                stream.close()
            time.sleep(_SETTLE)

        row.leaving = cost(server, leave, len(streams))
    return row


def _rows(kind: Kind, count: int) -> Iterator[Row]:
    users = [f"/realtime/user.{number}" for number in range(count)]
    yield _users(kind, f"{count:,} of different channels", users, users, [1] * count)
    if kind.name != "sse-hub":  # a subscriber follows one channel there
        yield _users(kind, f"{count:,} of one channel, publishes to another", ["/realtime/all"] * count, users)
        return
    # The same publishes, and each reaches one subscriber, too. But nearly all subscriptions are equal.
    some = [
        "/stream?" + "&".join(f"channel=user.{number}" for number in range(first, first + _CHANNELS))
        for first in range(0, count, _CHANNELS)
    ]
    follow = ["/realtime/all"] * (count - len(some)) + some
    reach = [0] * (count - len(some)) + [_CHANNELS] * len(some)
    yield _users(kind, f"{count:,}: {len(some)} get the events, the others follow one channel", follow, users, reach)


def _patterns(count: int, channels: int) -> Iterator[Row]:
    """Different patterns over very many channels, and none."""
    for name, follow in (
        (f"{count:,} patterns over {channels:,} channels", [f"/stream?channel=team.{n}.*" for n in range(count)]),
        (f"{count:,} channels of {channels:,}", [f"/realtime/team.{n}.0" for n in range(count)]),
    ):
        kind = Kind("sse-hub", lambda: _filled(channels, count), lambda: "")
        yield _users(kind, name, follow, [f"/realtime/team.{number}.0" for number in range(count)], [1] * count)


@contextlib.contextmanager
def _filled(channels: int, groups: int) -> Iterator[Server]:
    """A hub whose log has so many channels."""
    with hub(*MANY, "--max-channels", str(channels + 10)) as server:
        publisher = Publisher(server)
        for number in range(channels):
            publisher.publish(f"/realtime/team.{number % groups}.{number // groups}", b"before")
        yield server


class _Health:
    """Asks `/health` again and again, in a thread, and notes how long each answer took."""

    def __init__(self, server: Server) -> None:
        self.seconds: list[float] = []
        self._server = server
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> _Health:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(*self._server.address, timeout=_PATIENCE)
        while not self._ending.wait(_EVERY):
            begun = time.perf_counter()
            connection.request("GET", "/health")
            connection.getresponse().read()
            self.seconds.append(time.perf_counter() - begun)
        connection.close()

    @property
    def cells(self) -> str:
        """Median, p99 and maximum in milliseconds."""
        shares = statistics.quantiles(self.seconds, n=100)
        return " | ".join(f"{seconds * 1e3:.1f}" for seconds in (shares[49], shares[98], max(self.seconds)))


def _largest(channels: int) -> Iterator[str]:
    """How long the others wait while the largest legal requests are served, over so many channels."""
    with _filled(channels, 1000) as server:
        connection = http.client.HTTPConnection(*server.address, timeout=_PATIENCE)

        def ask(method: str, path: str, body: bytes | None = None, content_type: str = "application/json") -> None:
            connection.request(method, path, body, {"Content-Type": content_type, "Connection": "close"})
            answer = connection.getresponse()
            if "event-stream" in answer.headers["Content-Type"]:
                for line in answer:
                    if line == b"event: live\n":
                        break
            else:
                answer.read()
            connection.close()

        message = json.dumps({"message": {str(n): [n] * 20 for n in range(8000)}}).encode()
        many = "&".join(f"channel=team.{number}.*" for number in range(99))
        lines = b"a\n" * _BATCH
        acts: dict[str, Callable[[], None]] = {
            "nothing else": lambda: time.sleep(0.05),
            f"a batch of {_BATCH:,} lines": lambda: ask("POST", "/realtime/b", lines, "application/x-ndjson"),
            "a batch of 524,288 lines": lambda: ask("POST", "/realtime/b", b"a\n" * 524_288, "application/x-ndjson"),
            "a JSON message of a megabyte": lambda: ask("POST", "/api/broadcast", message),
            "GET /api/channels?limit=1000": lambda: ask("GET", "/api/channels?limit=1000"),
            "replay=10000 over all channels": lambda: ask("GET", "/stream?channel=*&replay=10000"),
            "replay=10000 of 99 patterns": lambda: ask("GET", f"/stream?{many}&replay=10000"),
        }
        for name, act in acts.items():
            with _Health(server) as health:
                for _ in range(20):
                    act()
            yield f"| {name} | {health.cells} |"


def _kinds() -> list[Kind]:
    found = [Kind("sse-hub", lambda: hub(*MANY), lambda: "")]
    for kind in peers():
        if kind.name in ("nchan", "better-sse"):
            if lack := kind.lacks():
                print(f"{kind.name} is left out: {lack}", file=sys.stderr)
            else:
                found.append(kind)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench users", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000], help="subscribers (1000 10000)")
    parser.add_argument("--channels", type=int, default=100_000, help="channels under the patterns (100000)")
    given = parser.parse_args(arguments)
    pin_load()
    head = "| µs of the server's CPU | connecting | first publish | second | leaving | kB each |"
    print(head, re.sub(r"[^|]+", " --: ", head).replace(" --: ", " --- ", 1), sep="\n")
    for count in given.counts:
        for kind in _kinds():
            try:
                for row in _rows(kind, count):
                    print(row.cells, flush=True)
            except (RuntimeError, OSError) as error:
                print(f"| {kind.name}: {count:,}, failed: {error} | | | | | |", flush=True)
    for row in _patterns(min(1000, given.channels), given.channels):
        print(row.cells, flush=True)
    print("\n| /health while this is served, over and over | median, ms | p99 | longest |\n| --- | --: | --: | --: |")
    for line in _largest(given.channels):
        print(line, flush=True)
    return 0
