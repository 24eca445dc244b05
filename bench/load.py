"""The subscribing half of the load, and what is measured with it.

The load must not be what limits a measurement, in plain Python and beside a server that makes a million deliveries a
second. So nothing is parsed for each subscriber: a *sweep* reads every socket into one buffer and counts the marks in
it. Sweeps are paced, so that each read finds several events, and no server is slowed by waking a reader for every one.
Latency is taken from a sample of the subscribers, which are read the moment something arrives.
"""

from __future__ import annotations

import errno
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from publishers import MARK, STAMP_BYTES, PublisherProcess, at_rate, back_to_back
from servers import Server

__all__ = ["FanOut", "Latency", "Subscribers", "measure_fan_out", "measure_latency"]

CHANNEL = "bench"
_PATH = f"/realtime/{CHANNEL}"
_BUFFER_BYTES = 1 << 20
_SWEEP_PERIOD = 0.01
_SLICE = 20
"""Subscribers swept between two looks at the sample: 20 empty reads take 30 µs, and are all that a sample waits for."""
_PACED_SLICE = 50
_SAMPLE = 50
_WARM_UP = 0.5
_GRACE = 5.0
"""Seconds within which what was published must have arrived; what has not is missing."""
_CONNECT_LIMIT = 30.0


@dataclass(frozen=True, slots=True)
class FanOut:
    """Deliveries at full load."""

    deliveries_per_second: float
    server_cpu: float
    """Share of a core that the server used; well below 1, it was not the server that was measured."""
    load_cpu: float
    """Share of a core that subscribers and publishers used; close to 1, it was the load that was measured."""
    missing: int
    """Deliveries that never came."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from publish to delivery, at a rate that does not depend on the server."""

    p50: float
    p99: float
    missing: int
    """Deliveries that never came, to all subscribers."""


class Subscribers:
    """Raw connections to one server, opened all at once.

    :raises TimeoutError: if some have no stream within 30 s.
    """

    def __init__(self, server: Server, count: int) -> None:
        self.connected_after: list[float] = []
        """Seconds until each had the event `connected`."""
        self.received = 0
        """Events counted so far, over all subscribers."""
        self._buffer = bytearray(_BUFFER_BYTES)
        self._frozen: list[socket.socket] = []
        self._sockets = self._connect(server.address, count)

    def __enter__(self) -> Subscribers:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._sockets + self._frozen:
            connection.close()

    def __len__(self) -> int:
        """How many are read from."""
        return len(self._sockets)

    def _connect(self, address: tuple[str, int], count: int) -> list[socket.socket]:
        request = (
            f"GET {_PATH} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nAccept: text/event-stream\r\n\r\n".encode()
        )
        began = time.monotonic()
        with selectors.DefaultSelector() as selector:
            for _ in range(count):
                connection = socket.socket()
                connection.setblocking(False)
                status = connection.connect_ex(address)
                if status not in {0, errno.EINPROGRESS, errno.EWOULDBLOCK}:
                    raise OSError(status, "a subscriber could not connect")
                selector.register(connection, selectors.EVENT_WRITE, connection)
            sockets: list[socket.socket] = [key.data for key in selector.get_map().values()]
            answers = dict.fromkeys(sockets, b"")
            while answers:
                if time.monotonic() - began > _CONNECT_LIMIT:
                    raise TimeoutError(f"{len(answers)} of {count} subscribers have no stream after {_CONNECT_LIMIT} s")
                for key, ready in selector.select(1.0):
                    connection = key.data
                    if ready & selectors.EVENT_WRITE:
                        connection.send(request)
                        selector.modify(connection, selectors.EVENT_READ, connection)
                        continue
                    data = connection.recv(65536)
                    answers[connection] += data
                    if not data:
                        raise ConnectionError(f"a subscriber was refused: {answers[connection][:500]!r}")
                    _, found, after = answers[connection].partition(b"event: connected")
                    if found and (b"\n\n" in after or b"\r\n\r\n" in after):
                        self.connected_after.append(time.monotonic() - began)
                        selector.unregister(connection)
                        del answers[connection]
        return sockets

    def freeze(self, count: int) -> None:
        """Never read again from `count` of them, which stay connected."""
        self._frozen += self._sockets[-count:]
        del self._sockets[-count:]

    def sweep(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Read what has arrived, and count it."""
        buffer = self._buffer
        received = 0
        for connection in self._sockets if sockets is None else sockets:
            try:
                received += buffer.count(MARK, 0, connection.recv_into(buffer))
            except BlockingIOError:
                continue
        self.received += received

    def slices(self, size: int) -> list[list[socket.socket]]:
        """All that are read from, for sweeping some at a time."""
        return [self._sockets[i : i + size] for i in range(0, len(self._sockets), size)]

    def sample(self) -> tuple[list[socket.socket], list[list[socket.socket]]]:
        """Some of them, evenly over the order in which they connected, and all others in slices."""
        step = max(1, len(self._sockets) // _SAMPLE)
        sampled = self._sockets[::step]
        chosen = set(sampled)
        others = [connection for connection in self._sockets if connection not in chosen]
        return sampled, [others[i : i + _SLICE] for i in range(0, len(others), _SLICE)]


def measure_fan_out(
    server: Server, subscribers: Subscribers, *, publishers: int, data_bytes: int, seconds: float
) -> FanOut:
    """Publish back to back, count what arrives meanwhile, and wait until everything has."""
    before = subscribers.received
    process = PublisherProcess(
        back_to_back, server.address, _PATH, data_bytes, publishers, _WARM_UP + seconds + 2 * _SWEEP_PERIOD
    )
    _sweep_until(subscribers, time.monotonic() + _WARM_UP)
    began, counted = time.monotonic(), subscribers.received
    cpu, server_cpu = time.process_time(), server.cpu()
    _sweep_until(subscribers, time.monotonic() + seconds)
    elapsed, counted = time.monotonic() - began, subscribers.received - counted
    cpu, server_cpu = time.process_time() - cpu, server.cpu() - server_cpu
    while not process.ended():
        _sweep_until(subscribers, time.monotonic() + _SWEEP_PERIOD)
    report = process.report()
    return FanOut(
        counted / elapsed,
        server_cpu / elapsed,
        cpu / elapsed + report.cpu / (_WARM_UP + seconds),
        _missing(subscribers, before + report.published * len(subscribers)),
    )


def _sweep_until(subscribers: Subscribers, until: float) -> None:
    """Sweep at a steady pace, and once when it is over.

    In slices with pauses between them: publishers are on the same core, and one that waits for 1,000 reads to be done
    publishes less than the server could take.
    """
    slices = subscribers.slices(_PACED_SLICE)
    pause = _SWEEP_PERIOD / len(slices)
    due = time.monotonic()
    turn = 0
    while due < until:
        subscribers.sweep(slices[turn % len(slices)])
        turn += 1
        due += pause
        time.sleep(max(0.0, due - time.monotonic()))
    subscribers.sweep()


def _missing(subscribers: Subscribers, expected: int) -> int:
    deadline = time.monotonic() + _GRACE
    while subscribers.received < expected and time.monotonic() < deadline:
        _sweep_until(subscribers, time.monotonic() + _SWEEP_PERIOD)
    return expected - subscribers.received


class _Stamps:
    """The latencies of one sampled subscriber."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._rest = b""

    def read(self) -> Iterator[tuple[int, int]]:
        """When each event was published, and how long it took, in nanoseconds."""
        data = self._rest + self.connection.recv(_BUFFER_BYTES)
        now_ns = time.monotonic_ns()
        self._rest = b""
        for part in data.split(MARK)[1:]:
            if len(part) < STAMP_BYTES:
                self._rest = MARK + part
            else:
                stamp_ns = int(part[:STAMP_BYTES])
                yield stamp_ns, now_ns - stamp_ns


def measure_latency(
    server: Server,
    subscribers: Subscribers,
    *,
    rate: float,
    data_bytes: int,
    seconds: float,
    warm_up: float = _WARM_UP,
) -> Latency:
    """Publish at a fixed rate; take from a sample of the subscribers how long their events were under way.

    :param warm_up: what is published in the first seconds does not count.
    """
    before = subscribers.received
    sampled, slices = subscribers.sample()
    latencies_ns: list[int] = []
    sampled_events = 0
    with selectors.DefaultSelector() as selector:
        for connection in sampled:
            selector.register(connection, selectors.EVENT_READ, _Stamps(connection))
        process = PublisherProcess(at_rate, server.address, _PATH, data_bytes, rate, warm_up + seconds)
        since_ns = time.monotonic_ns() + round(warm_up * 1e9)
        turn = 0
        until: float | None = None
        while until is None or time.monotonic() < until:
            if until is None and process.ended():
                until = time.monotonic() + 10 * _SWEEP_PERIOD
            for key, _ in selector.select(_SWEEP_PERIOD / 5):
                for stamp_ns, latency_ns in key.data.read():
                    sampled_events += 1
                    if stamp_ns >= since_ns:
                        latencies_ns.append(latency_ns)
            if slices:
                subscribers.sweep(slices[turn % len(slices)])
                turn += 1
    subscribers.received += sampled_events
    report = process.report()
    missing = _missing(subscribers, before + report.published * len(subscribers))
    latencies_ns.sort()
    return Latency(_share(latencies_ns, 0.5), _share(latencies_ns, 0.99), missing)


def _share(sorted_ns: Sequence[int], share: float) -> float:
    """The time within which this share was delivered, in seconds; infinite if nothing was."""
    return sorted_ns[min(int(len(sorted_ns) * share), len(sorted_ns) - 1)] / 1e9 if sorted_ns else float("inf")
