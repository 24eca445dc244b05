"""The costs for live subscribers when a thousand others resume at once, far behind: `python -m bench resume`.

It takes about a minute. The events are in a SQLite file in a temporary folder, and only the newest thousand in memory,
so that nearly everything has to be read from the store.
"""

from __future__ import annotations

import argparse
import http.client
import json
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from generator import Result, loading
from servers import Server, compiled, hub, pin_load

__all__ = ["main"]

_LIVE = 50
_RATE = 50.0
_BATCH = 5000
_PATIENCE = 300.0


def _fill(server: Server, events: int) -> str:
    """Publish events in batches; return the id of the first."""
    connection = http.client.HTTPConnection(*server.address)
    first = ""
    line = "|" + "x" * 99 + "\n"
    for _ in range(events // _BATCH):
        connection.request("POST", "/realtime/bench", line * _BATCH, {"Content-Type": "application/x-ndjson"})
        answer = json.loads(connection.getresponse().read())
        first = first or answer["ids"][0]
    connection.close()
    return first


class _Peak:
    """The largest memory of a server while this context is entered."""

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


class _Bench:
    """A hub with a SQLite file, and its subscribers."""

    def __init__(self, program: str, server: Server, seconds: float) -> None:
        self._program = program
        self._server = server
        self._seconds = seconds

    def live(self) -> Result:
        """Deliveries to a few live subscribers."""
        with loading(self._program, self._server, _LIVE, publishers=8, rate=_RATE, seconds=self._seconds) as load:
            return load.go()

    def resume(self, count: int, cursor: str, events: int) -> float:
        """Seconds until all have had everything. They give way to the live ones, who are measured on the same core."""
        how = {"cursor": cursor, "expected": events, "patience": _PATIENCE, "nice": 19}
        with loading(self._program, self._server, count, **how) as load:  # type: ignore[arg-type]
            return load.connected_all


def _measure(program: str, folder: Path, count: int, events: int, seconds: float) -> None:
    flags: tuple[str, ...] = ("--history", str(events * 2), "--max-subscribers", str(count + 100))
    flags = (*flags, "--max-subscribers-per-address", str(count + 100))
    with hub("--store", f"sqlite:{folder / 'events.db'}", *flags) as server, ThreadPoolExecutor() as threads:
        cursor = _fill(server, events)
        bench = _Bench(program, server, seconds)
        alone = bench.live()
        before = server.resident_bytes()
        with _Peak(server) as peak:
            resuming = threads.submit(bench.resume, count, cursor, events - 1)
            beside = bench.live()
            still = not resuming.done()
            took = resuming.result()
    print(
        f"{count:,} subscribers resumed {events:,} events back in {took:.1f} s, {count * events / took:,.0f} events/s"
    )
    print(f"memory: {(peak.bytes - before) / 1e6:.1f} MB more, {(peak.bytes - before) / count / 1e3:.1f} kB each")
    for name, result in (("alone", alone), ("beside them" if still else "beside them, for a part", beside)):
        print(
            f"{_LIVE} live ones, {name}: p50 {result.p50 * 1e3:.2f} ms, p99 {result.p99 * 1e3:.2f} ms, "
            f"{result.missing} deliveries missing"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit status."""
    parser = argparse.ArgumentParser(description="Measure a thousand subscribers that resume at once.")
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--events", type=int, default=100_000, help="retained, a multiple of 5000 (100000)")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a measurement of latency (6)")
    given = parser.parse_args(arguments)
    pin_load()
    with tempfile.TemporaryDirectory() as folder:
        program = compiled("load.c", folder)
        _measure(program, Path(folder), given.subscribers, given.events, given.seconds)
    return 0
