"""More than one core: `--workers N`, processes that share a port and one Redis. `python -m bench nodes`.

The workers use a Redis that is started here. Load, Redis and all processes share the machine. On few cores, the result
shows the costs of sharing and not the gain; docs/performance.md has a calculation.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from generator import Result, loading
from servers import Server, compiled, redis, workers

__all__ = ["main"]


@dataclass(frozen=True, slots=True)
class _Row:
    """The results of a number of processes."""

    connecting: float
    """Streams opened a second, when all come at once."""
    single: Result
    """Twenty publishers and one subscriber."""
    full: Result
    """Twenty publishers and all subscribers."""
    paced: Result

    @property
    def cells(self) -> str:
        counts = (self.connecting, self.single.published_per_second, self.full.deliveries_per_second)
        times = (self.paced.p50, self.paced.p99)
        return " | ".join([*(f"{count:,.0f}" for count in counts), *(f"{time * 1e3:.1f} ms" for time in times)])


def _measure(program: str, server: Server, subscribers: int, seconds: float) -> _Row:
    with loading(program, server, 1, publishers=20, seconds=seconds) as load:
        single = load.go()
    with loading(program, server, subscribers, publishers=20, seconds=seconds) as load:
        connecting, full = subscribers / load.connected_all, load.go()
    with loading(program, server, subscribers, publishers=8, rate=50.0, seconds=seconds) as load:
        return _Row(connecting, single, full, load.go())


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit status, which is 1 if a delivery was missing."""
    parser = argparse.ArgumentParser(description="N processes that share a port and one Redis.")
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2], help="how many processes (1 2)")
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a measurement (3)")
    given = parser.parse_args(arguments)
    missing = 0
    print("| processes | connections/s | publishes/s, 20 publishers | deliveries/s | p50 at 50 events/s | p99 |")
    print("| --------: | --: | --: | --: | --: | --: |")
    with tempfile.TemporaryDirectory() as folder, redis(folder) as url:
        program = compiled("load.c", folder)
        for count in given.nodes:
            with workers(count, f"{url}/0?prefix=bench{count}") as server:
                row = _measure(program, server, given.subscribers, given.seconds)
            print(f"| {count} | {row.cells} |")
            missing += row.single.missing + row.full.missing + row.paced.missing
    return int(missing > 0)
