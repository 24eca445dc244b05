"""The hub beside the obvious way, in one run: deliveries, latency, memory, a connect storm, frozen subscribers.

Run it as `python bench/fanout.py`; `--help` lists what can be changed. Servers and load are processes of their own,
each on a core of its own where the system allows it, over the loopback interface. Times differ from host to host and
from minute to minute, so the figures to look at are the ratios: both sides of each are measured one after the other.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata

from load import FanOut, Latency, Subscribers, measure_fan_out, measure_latency
from servers import Server, gathered, hub, pin_load

__all__ = ["main"]

_WARMING_SUBSCRIBERS = 20
_FROZEN_BYTES = 4096
_FROZEN_RATE = 250
"""Events a second to 200 subscribers: a frozen connection's kernel buffers, some 3 MB, are full after three seconds."""
_FROZEN_FILLING = 4.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    hub: float
    other: float | None = None
    """The gathered send(), or what else the hub is compared with."""
    digits: int = 0
    unit: str = ""
    better: str = "more"
    """Whether `more` or `less` is better; the ratio says how many times better the hub is."""
    target: str = ""
    met: bool | None = None

    @property
    def ratio(self) -> float | None:
        if not self.other or not self.hub:
            return None
        return self.hub / self.other if self.better == "more" else self.other / self.hub


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    subscribers: int
    data_bytes: int
    publishers: tuple[int, ...]
    seconds: float


def _options() -> tuple[Options, bool]:
    parser = argparse.ArgumentParser(
        description="Measure the hub beside the gathered send() of aiohttp-sse; takes about 90 s with the defaults.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--subscribers", type=int, default=1000, help="subscribers of each server")
    parser.add_argument("--bytes", type=int, default=100, help="data of an event, at least 21")
    parser.add_argument(
        "--publishers", type=int, nargs="+", default=[1, 20], help="publishers at once, one scenario each"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    given = parser.parse_args()
    if given.subscribers < 1 or given.bytes < 21 or given.seconds <= 0 or min(given.publishers) < 1:
        parser.error("--bytes takes at least 21; the others take more than 0")
    return Options(given.subscribers, given.bytes, tuple(given.publishers), given.seconds), given.json


def _tell(what: str) -> None:
    print(f"… {what}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two servers, with its subscribers, and what it was before they came."""

    server: Server
    subscribers: Subscribers
    connected: float
    bytes_each: float


@contextlib.contextmanager
def _side(run: Callable[[], contextlib.AbstractContextManager[Server]], count: int) -> Iterator[_Side]:
    """Start a server and connect all subscribers at once."""
    with run() as server:
        # What a server loads or makes for its first subscribers is no cost of a subscriber.
        with Subscribers(server, _WARMING_SUBSCRIBERS) as warming:
            measure_fan_out(server, warming, publishers=1, data_bytes=100, seconds=0.1)
        time.sleep(0.5)
        before = server.resident_bytes()
        with Subscribers(server, count) as subscribers:
            time.sleep(0.5)
            each = (server.resident_bytes() - before) / count
            yield _Side(server, subscribers, max(subscribers.connected_after), each)


def _compare(options: Options) -> Iterator[Row]:
    """Both servers, with the same subscribers, in every scenario one after the other."""
    count = options.subscribers
    _tell(f"connecting {count} subscribers to each")
    with (
        _side(
            lambda: hub("--max-subscribers", str(count + 100), "--max-subscribers-per-address", str(count + 100)), count
        ) as ours,
        _side(gathered, count) as theirs,
    ):
        rate = 0.0
        targets = {1: 5, 20: 15}
        for publishers in options.publishers:
            a, b = (_fan_out(side, publishers, options) for side in (ours, theirs))
            rate = rate or b.deliveries_per_second / count / 2
            ratio = a.deliveries_per_second / b.deliveries_per_second
            target = targets.get(publishers) if (count, options.data_bytes) == (1000, 100) else None
            plural = "publisher" if publishers == 1 else "publishers"
            yield Row(
                f"deliveries/s, {publishers} {plural}",
                a.deliveries_per_second,
                b.deliveries_per_second,
                target=f"≥ {target} times" if target else "",
                met=ratio >= target if target else None,
            )
            yield Row("  CPU of the server", a.server_cpu * 100, b.server_cpu * 100, unit="%", better="")
            yield Row("  CPU of the load", a.load_cpu * 100, b.load_cpu * 100, unit="%", better="")
            yield Row("  deliveries missing", a.missing, b.missing, target="0", met=not a.missing, better="")
        late, later = (_latency(side, rate, options) for side in (ours, theirs))
        yield Row(f"latency p50 at {rate:.0f} events/s", late.p50 * 1e3, later.p50 * 1e3, 2, "ms", "less")
        yield Row(f"latency p99 at {rate:.0f} events/s", late.p99 * 1e3, later.p99 * 1e3, 2, "ms", "less")
        yield Row(
            "memory a subscriber",
            ours.bytes_each / 1e3,
            theirs.bytes_each / 1e3,
            1,
            "kB",
            "less",
            "≤ 16 kB",
            ours.bytes_each <= 16e3,
        )
        yield Row(
            f"{count} connecting at once, all connected",
            ours.connected,
            theirs.connected,
            2,
            "s",
            "less",
            "< 1 s" if count <= 1000 else "",
            ours.connected < 1 if count <= 1000 else None,
        )


def _fan_out(side: _Side, publishers: int, options: Options) -> FanOut:
    _tell(f"{publishers} publishers, {options.seconds:g} s")
    return measure_fan_out(
        side.server, side.subscribers, publishers=publishers, data_bytes=options.data_bytes, seconds=options.seconds
    )


def _latency(side: _Side, rate: float, options: Options) -> Latency:
    _tell(f"latency at {rate:.0f} events/s, {options.seconds:g} s")
    return measure_latency(
        side.server, side.subscribers, rate=rate, data_bytes=options.data_bytes, seconds=options.seconds
    )


def _freeze(options: Options) -> Iterator[Row]:
    """The hub alone: 200 subscribers that all read, and then the same of which 10 do not."""
    with hub() as server, Subscribers(server, 200) as subscribers:
        reading = _beside_frozen(server, subscribers, options)
        before = server.resident_bytes()
        subscribers.freeze(10)
        frozen = _beside_frozen(server, subscribers, options)
        grown = (server.resident_bytes() - before) / 1e6
        behind = _behind(server)
    times = frozen.p99 / reading.p99
    yield Row(
        "p99 of 190 beside 10 frozen | of all 200",
        frozen.p99 * 1e3,
        reading.p99 * 1e3,
        2,
        "ms",
        "less",
        "≤ 2 times",
        times <= 2,
    )
    yield Row("  deliveries missing", frozen.missing, reading.missing, target="0", met=not frozen.missing, better="")
    yield Row("  subscribers that could take no more", behind, target="10", met=behind == 10)
    yield Row("  memory grown by", grown, None, 1, "MB", target="≤ 20 MB", met=grown <= 20)


def _beside_frozen(server: Server, subscribers: Subscribers, options: Options) -> Latency:
    _tell(f"{len(subscribers)} of 200 reading, {_FROZEN_FILLING + options.seconds:g} s")
    return measure_latency(
        server,
        subscribers,
        rate=_FROZEN_RATE,
        data_bytes=_FROZEN_BYTES,
        seconds=options.seconds,
        warm_up=_FROZEN_FILLING,
    )


def _behind(server: Server) -> float:
    url = f"http://{server.address[0]}:{server.address[1]}/metrics"
    request = urllib.request.Request(url, headers={"Accept": "text/plain"})
    with urllib.request.urlopen(request) as answer:
        lines: list[str] = answer.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("sse_subscribers_behind "))


def _print(rows: list[Row], pinned: bool) -> None:
    width = max(len(row.what) for row in rows)
    print(f"\n{'':{width}}  {'hub':>13}  {'gathered':>13}  {'ratio':>7}  target")
    for row in rows:
        ratio = f"{row.ratio:.2f}×" if row.ratio and row.better else ""
        verdict = "" if row.met is None else " - met" if row.met else " - MISSED"
        print(
            f"{row.what:{width}}  {_figure(row, row.hub):>13}  {_figure(row, row.other):>13}  {ratio:>7}"
            f"  {row.target}{verdict}".rstrip()
        )
    cores = "one core for the servers, one for the load" if pinned else "nothing pinned to a core"
    print(f"\nPython {platform.python_version()}, {_loop_name()}, {os.cpu_count()} cores, {cores}, loopback.")


def _figure(row: Row, value: float | None) -> str:
    return "" if value is None else f"{value:,.{row.digits}f} {row.unit}".rstrip()


def _loop_name() -> str:
    try:
        return f"uvloop {metadata.version('uvloop')}"
    except metadata.PackageNotFoundError:
        return "asyncio"


def _raise_file_limit() -> None:
    """Each subscriber is a descriptor here and another in a server, which inherits the limit."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> int:
    options, as_json = _options()
    _raise_file_limit()
    pinned = pin_load()
    rows = [*_compare(options), *_freeze(options)]
    if as_json:
        print(
            json.dumps([{**dataclasses.asdict(row), "ratio": row.ratio} for row in rows], ensure_ascii=False, indent=1)
        )
    else:
        _print(rows, pinned)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
