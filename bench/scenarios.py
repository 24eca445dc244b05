"""The measurements: each scenario is a row of the table, and the same for every server."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from generator import Load, Result, loading
from servers import Kind, Server

__all__ = ["Place", "Scenario", "ceiling", "scenarios"]

_SETTLE = 0.5
"""Seconds in which a server becomes idle after connections."""
_RETAINED = 900
"""Events that are resumed; nchan, as it is set up here, and the hub keep 1,000."""
_BATCH = 1000
_SHARES = ("p50", "p99", "p99.9")
_ID = re.compile(rb"id: ?([0-9:-]+)\ndata: ?\|")
_WITH_A_LOG = ("sse-hub", "nchan")

Figures = tuple[float, dict[str, float]]
"""The figure of the row, and what else was seen."""


@dataclass(frozen=True, slots=True)
class Place:
    """The surroundings of a measurement."""

    program: str
    """The compiled load."""
    kind: Kind
    server: Server
    seconds: float

    def load(self, subscribers: int, **how: object) -> contextlib.AbstractContextManager[Load]:
        """Subscribers of the server, and publishers that wait for the word."""
        return loading(self.program, self.server, subscribers, greeting=self.kind.greeting, **how)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the table."""

    name: str
    group: str
    unit: str
    better: str
    """`more` or `less`."""
    measure: Callable[[Place], Figures]
    digits: int = 0
    quick: bool = False
    """Whether the quick mode has it."""
    only: Sequence[str] = ()
    """The servers that can do it; empty for all."""
    flags: Sequence[str] = ()
    """Flags of the hub; FOLDER is an empty folder."""
    behind: str = ""
    """The reason if other servers are faster."""


def scenarios() -> list[Scenario]:
    """All of them, in the order of the table."""
    return [*_fan_outs(), *_latencies(), *_connects(), *_resumes(), *_costs(), *_publishes()]


def _fan_outs() -> list[Scenario]:
    return [
        Scenario(
            f"{count:,} subscribers, {publishers} {'publisher' if publishers == 1 else 'publishers'}, {size}",
            "fan-out",
            "deliveries/s",
            "more",
            _fan_out(count, publishers, data_bytes),
            quick=(count, data_bytes) == (1000, 100),
            behind="nchan leaves Nagle's algorithm on",
        )
        for count in (100, 1000, 10_000)
        for publishers in (1, 20)
        for size, data_bytes in (("100 B", 100), ("1 kB", 1000), ("16 kB", 16_000))
    ]


def _latencies() -> list[Scenario]:
    def row(name: str, measure: Callable[[Place], Figures]) -> Scenario:
        return Scenario(name, "latency of 1,000 subscribers", "ms", "less", measure, 2, behind="runs differ by more")

    def rows(rate: float) -> list[Scenario]:
        known: dict[str, Result] = {}  # one measurement of a server for all rows
        return [row(f"{share} at {rate:g} events/s", _latency(share, 1000, rate, known)) for share in _SHARES]

    name = "p99 at 50 events/s beside 10 more that do not read"
    return [*rows(50), *rows(100), row(name, _latency("p99", 1010, 50, {}, frozen=10))]


def _connects() -> list[Scenario]:
    return [
        Scenario(
            f"{count:,} connecting at once",
            "connecting",
            "connections/s",
            "more",
            _storm(count),
            quick=count == 1000,
            behind="C, or less checked; a stream is 0.28 ms here",
        )
        for count in (1000, 10_000)
    ]


def _resumes() -> list[Scenario]:
    name = f"1,000 resuming {_RETAINED} events at once"
    return [Scenario(name, "resuming", "deliveries/s", "more", _resume(1000), only=_WITH_A_LOG)]


def _costs() -> list[Scenario]:
    return [
        Scenario("memory a subscriber, of 1,000", "cost", "kB", "less", _memory(1000), 1, quick=True),
        Scenario("memory a subscriber, of 10,000", "cost", "kB", "less", _memory(10_000), 1),
        Scenario("CPU of 10,000 idle subscribers", "cost", "% of a core", "less", _idle(10_000), 2, behind="C"),
    ]


def _publishes() -> list[Scenario]:
    behind = "C or less checked; a request is 0.13 to 0.19 ms here, a batch is one"

    def row(name: str, measure: Callable[[Place], Figures], **more: object) -> Scenario:
        return Scenario(name, "publishing", "events/s", "more", measure, **more)  # type: ignore[arg-type]

    return [
        row("1 publisher, keep-alive", _publish(1), quick=True, behind=behind),
        row("20 publishers, keep-alive", _publish(20), behind=behind),
        row(f"1 publisher, batches of {_BATCH:,}", _batches, only=["sse-hub"]),
        row(
            f"1 publisher, batches of {_BATCH:,}, SQLite",
            _batches,
            only=["sse-hub"],
            flags=["--store", "sqlite:FOLDER/events.db"],
        ),
    ]


def _fan_out(subscribers: int, publishers: int, data_bytes: int) -> Callable[[Place], Figures]:
    def measure(place: Place) -> Figures:
        how = {"publishers": publishers, "data_bytes": data_bytes, "seconds": place.seconds}
        with place.load(subscribers, **how) as load:
            result = load.go()
        return result.deliveries_per_second, _seen(result)

    return measure


def ceiling(place: Place) -> float:
    """Deliveries a second that the load can count, from a server that sends each event a hundred times at once."""
    return _fan_out(1000, 20, 100)(place)[0]


def _seen(result: Result) -> dict[str, float]:
    return {
        "load_cpu": round(result.cpu / result.seconds, 3),
        "missing": result.missing,
        "refused": result.refused,
        "published_per_second": round(result.published_per_second, 1),
    }


def _latency(
    share: str, subscribers: int, rate: float, known: dict[str, Result], frozen: int = 0
) -> Callable[[Place], Figures]:
    def measure(place: Place) -> Figures:
        result = known.get(place.kind.name)
        if result is None:
            how = {"publishers": 8, "rate": rate, "seconds": max(place.seconds, 4.0), "warm_up": 1.0, "frozen": frozen}
            with place.load(subscribers, **how) as load:
                result = known[place.kind.name] = load.go()
        if result.p50 < 0:
            raise RuntimeError("nothing was delivered in time")
        figures = dict(zip(_SHARES, (result.p50 * 1e3, result.p99 * 1e3, result.p999 * 1e3), strict=True))
        seen = {**{name: round(ms, 3) for name, ms in figures.items()}, **_seen(result)}
        return figures[share], {**seen, "server_cpu": round(result.server_cpu / result.seconds, 3)}

    return measure


def _storm(count: int) -> Callable[[Place], Figures]:
    def measure(place: Place) -> Figures:
        with place.load(count) as load:
            return count / load.connected_all, {"seconds": round(load.connected_all, 3)}

    return measure


def _resume(count: int) -> Callable[[Place], Figures]:
    def measure(place: Place) -> Figures:
        cursor = _retain(place)
        with place.load(count, cursor=cursor, expected=_RETAINED) as load:
            return count * _RETAINED / load.connected_all, {"seconds": round(load.connected_all, 3)}

    return measure


def _retain(place: Place) -> str:
    """Publish events that are resumed then; return the cursor that comes before them."""
    publisher = http.client.HTTPConnection(*place.server.address)

    def publish() -> None:
        publisher.request("POST", "/realtime/bench", b"|" + b"x" * 99)
        publisher.getresponse().read()

    with contextlib.closing(publisher), socket.create_connection(place.server.address) as follower:
        follower.sendall(b"GET /realtime/bench HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n")
        received = b""
        while place.kind.greeting.encode() not in received:
            received += follower.recv(1 << 16)
        publish()
        while (found := _ID.search(received)) is None:
            received += follower.recv(1 << 16)
        for _ in range(_RETAINED):
            publish()
    return found[1].decode()


def _memory(count: int) -> Callable[[Place], Figures]:
    def measure(place: Place) -> Figures:
        with place.load(20, seconds=0.2, warm_up=0.1) as load:  # its costs are not those of each
            load.go()
        time.sleep(_SETTLE)
        before = place.server.resident_bytes()
        with place.load(count):
            time.sleep(_SETTLE)
            return (place.server.resident_bytes() - before) / count / 1e3, {}

    return measure


def _idle(count: int) -> Callable[[Place], Figures]:
    def measure(place: Place) -> Figures:
        with place.load(count):
            time.sleep(2.0)  # the work after connecting is done by then
            before, began = place.server.cpu(), time.monotonic()
            time.sleep(30.0)  # time for two pings
            return 100 * (place.server.cpu() - before) / (time.monotonic() - began), {}

    return measure


def _publish(publishers: int) -> Callable[[Place], Figures]:
    def measure(place: Place) -> Figures:
        with place.load(1, publishers=publishers, seconds=place.seconds) as load:
            result = load.go()
        return result.published_per_second, _seen(result)

    return measure


def _batches(place: Place) -> Figures:
    """Batches of sensor events, 100 bytes each, over one connection."""
    reading = '{"sensor":"temperature","room":"kitchen","value":21.5,"unit":"°C","sequence":'
    body = "\n".join(f"{reading}{number}}}".ljust(99) for number in range(_BATCH)).encode()
    connection = http.client.HTTPConnection(*place.server.address)
    accepted, began = 0, time.monotonic()
    with contextlib.closing(connection):
        while (took := time.monotonic() - began) < place.seconds:
            connection.request("POST", "/realtime/bench", body, {"Content-Type": "application/x-ndjson"})
            response = connection.getresponse()
            if response.status != 200:
                raise RuntimeError(f"a batch was answered {response.read()!r}")
            response.read()
            accepted += _BATCH
    return accepted / took, {}
