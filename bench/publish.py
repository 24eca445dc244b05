"""The costs of the stores: publishes a second, and the time from a publish to its delivery, for each store.

`python -m bench publish`. A Redis is started unless `--redis URL` names one; the files of the other stores lie in a
temporary folder on this disk. One subscriber reads what is published.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from generator import loading
from servers import Server, compiled, hub, pin_load, redis

__all__ = ["main"]

_RATE = 100.0


class Row(NamedTuple):
    """The results of one store."""

    store: str
    alone: float
    """Publishes a second of one publisher."""
    together: float
    """Publishes a second of twenty."""
    p50: float
    p99: float
    missing: int


def _measure(program: str, name: str, publishing: Server, reading: Server, seconds: float) -> Row:
    print(f"… {name}", file=sys.stderr, flush=True)
    how = {"publish_to": publishing, "seconds": seconds}
    results = []
    for more in ({"publishers": 1}, {"publishers": 20}, {"publishers": 8, "rate": _RATE}):
        with loading(program, reading, 1, **how, **more) as load:  # type: ignore[arg-type]
            results.append(load.go())
    alone, together, paced = results
    missing = sum(result.missing for result in results)
    return Row(name, alone.deliveries_per_second, together.deliveries_per_second, paced.p50, paced.p99, missing)


def _rows(program: str, redis: str, folder: Path, seconds: float) -> Iterator[Row]:
    for name, store in (("memory", "memory"), ("sqlite", f"sqlite:{folder / 'events.db'}"), ("redis", redis)):
        with hub("--store", store) as server:
            yield _measure(program, name, server, server, seconds)
    with hub("--store", redis) as one, hub("--store", redis) as other:
        yield _measure(program, "redis, to the other node", one, other, seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit status, which is 1 if a delivery was missing."""
    parser = argparse.ArgumentParser(description="Measure publishing with each store; takes about a minute.")
    parser.add_argument("--redis", help="URL of a Redis to measure with; by default one of its own")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each measurement (4)")
    given = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        url = given.redis or f"{stack.enter_context(redis(folder))}/0"
        pin_load()
        rows = list(_rows(compiled("load.c", folder), url, Path(folder), given.seconds))
    print("| store | publishes/s, 1 publisher | 20 publishers | ratio | delivery p50 | p99 |")
    print("| --- | --: | --: | --: | --: | --: |")
    for row in rows:
        print(
            f"| {row.store} | {row.alone:,.0f} | {row.together:,.0f} | {row.together / row.alone:.1f} "
            f"| {row.p50 * 1e3:.2f} ms | {row.p99 * 1e3:.2f} ms |"
        )
    return int(any(row.missing for row in rows))
