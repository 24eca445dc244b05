"""What it costs the others when a thousand subscribers resume at once, far behind: memory, and the latency of those who
are live.

Run it as `python bench/resume.py`; it takes about a minute. The events are in a SQLite file in a temporary folder, and
only the newest thousand in memory, so that nearly everything has to be read from the store.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import selectors
import socket
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

from load import Latency, Subscribers, measure_latency
from publishers import MARK
from servers import Server, hub, pin_load

_LIVE = 50
_RATE = 50.0
_BATCH = 5000
_BUFFER_BYTES = 1 << 20


def _fill(server: Server, events: int) -> str:
    """Publish events in batches; return the id of the first."""
    connection = http.client.HTTPConnection(*server.address)
    first = ""
    line = MARK.decode() + "x" * 99 + "\n"
    for _ in range(events // _BATCH):
        connection.request("POST", "/realtime/bench", line * _BATCH, {"Content-Type": "application/x-ndjson"})
        answer = json.loads(connection.getresponse().read())
        first = first or answer["ids"][0]
    connection.close()
    return first


def _resume(report: Connection, address: tuple[str, int], count: int, cursor: str, events: int) -> None:
    """Connect with this cursor and read until everybody has had this many events; report the seconds that it took."""
    os.nice(19)  # the live ones are measured on the same core, and should not wait for this
    request = f"GET /realtime/bench HTTP/1.1\r\nHost: hub\r\nLast-Event-ID: {cursor}\r\n\r\n".encode()
    left = {}
    buffer = bytearray(_BUFFER_BYTES)
    began = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for _ in range(count):
            opened = socket.create_connection(address)
            opened.sendall(request)
            opened.setblocking(False)
            left[opened] = events
            selector.register(opened, selectors.EVENT_READ)
        report.send(None)
        while left:
            for key, _ in selector.select():
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                left[connection] -= buffer.count(MARK, 0, connection.recv_into(buffer))
                if left[connection] <= 0:
                    selector.unregister(connection)
                    del left[connection]
    report.send(time.monotonic() - began)


class _Peak:
    """The most memory that a server occupies while this is entered."""

    def __init__(self, server: Server) -> None:
        self.bytes = 0
        self._server = server
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> _Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ending.wait(0.1):
            self.bytes = max(self.bytes, self._server.resident_bytes())


def _measure(folder: Path, count: int, events: int, seconds: float) -> None:
    flags: tuple[str, ...] = ("--history", str(events * 2), "--max-subscribers", str(count + 100))
    flags = (*flags, "--max-subscribers-per-address", str(count + 100))
    with hub("--store", f"sqlite:{folder / 'events.db'}", *flags) as server:
        cursor = _fill(server, events)
        with Subscribers(server, _LIVE) as live, _Peak(server) as peak:
            alone = _latency(server, live, seconds)
            before = server.resident_bytes()
            ours, theirs = multiprocessing.get_context("spawn").Pipe(duplex=False)
            arguments = (theirs, server.address, count, cursor, events - 1)
            process = multiprocessing.get_context("spawn").Process(target=_resume, args=arguments, daemon=True)
            process.start()
            ours.recv()
            beside = _latency(server, live, seconds)
            still = not ours.poll()
            took = ours.recv()
            process.join()
    print(
        f"{count:,} subscribers resumed {events:,} events back in {took:.1f} s, {count * events / took:,.0f} events/s"
    )
    print(f"memory: {(peak.bytes - before) / 1e6:.1f} MB more, {(peak.bytes - before) / count / 1e3:.1f} kB each")
    for name, latency in (("alone", alone), ("beside them" if still else "beside them, for a part", beside)):
        print(
            f"{_LIVE} live ones, {name}: p50 {latency.p50 * 1e3:.2f} ms, p99 {latency.p99 * 1e3:.2f} ms, "
            f"{latency.missing} deliveries missing"
        )


def _latency(server: Server, live: Subscribers, seconds: float) -> Latency:
    return measure_latency(server, live, rate=_RATE, data_bytes=100, seconds=seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure a thousand subscribers that resume at once.")
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--events", type=int, default=100_000, help="retained, a multiple of 5000 (100000)")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a measurement of latency (6)")
    given = parser.parse_args()
    pin_load()
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder), given.subscribers, given.events, given.seconds)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
