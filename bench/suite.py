"""The hub, its peers and the limit, in one run: `python -m bench`.

Each server is a process of its own on one core, the load (load.c) a process on another, over the loopback interface.
Machines are noisy, so every scenario goes through all servers, one right after the other, and the ratios are what
counts. A peer that is not installed is left out, and said what it lacks.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from chart import draw
from generator import Load, Result, loading
from servers import Kind, Server, compiled, hub, peers, pin_load

__all__ = ["Scenario", "main", "scenarios"]

_SETTLE = 0.5
"""Seconds in which a server comes to rest after it has been connected to."""
_MOST = 19_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is measured."""

    program: str
    """The compiled load."""
    kind: Kind
    server: Server
    seconds: float

    def load(self, subscribers: int, **how: object) -> contextlib.AbstractContextManager[Load]:
        return loading(self.program, self.kind, self.server, subscribers, **how)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One line of the table."""

    name: str
    group: str
    unit: str
    better: str
    """`more` or `less`."""
    measure: Callable[[Place], tuple[float, dict[str, float]]]
    """The figure, and what else was seen."""
    digits: int = 0
    quick: bool = False
    """Whether the quick mode has it."""
    without: tuple[str, ...] = ()
    """Servers that cannot be measured so, and why is in docs/performance.md."""
    flags: tuple[str, ...] = ()
    """Flags of the hub."""


def _fan_out(subscribers: int, publishers: int, data_bytes: int) -> Callable[[Place], tuple[float, dict[str, float]]]:
    def measure(place: Place) -> tuple[float, dict[str, float]]:
        how = {"publishers": publishers, "data_bytes": data_bytes, "seconds": place.seconds}
        with place.load(subscribers, **how) as load:
            result = load.go()
        return result.deliveries_per_second, _seen(result)

    return measure


def _seen(result: Result) -> dict[str, float]:
    return {
        "load_cpu": round(result.cpu / result.seconds, 3),
        "missing": result.missing,
        "refused": result.refused,
        "published_per_second": round(result.published_per_second, 1),
    }


def _latency(
    share: str, subscribers: int, rate: float, frozen: int = 0
) -> Callable[[Place], tuple[float, dict[str, float]]]:
    def measure(place: Place) -> tuple[float, dict[str, float]]:
        seconds = max(place.seconds, 4.0)
        with place.load(subscribers, publishers=8, rate=rate, seconds=seconds, warm_up=1.0, frozen=frozen) as load:
            result = load.go()
        figures = {"p50": result.p50 * 1e3, "p99": result.p99 * 1e3, "p999": result.p999 * 1e3}
        return figures[share], {**{name: round(ms, 3) for name, ms in figures.items()}, **_seen(result)}

    return measure


def _storm(count: int) -> Callable[[Place], tuple[float, dict[str, float]]]:
    def measure(place: Place) -> tuple[float, dict[str, float]]:
        with place.load(count) as load:
            return count / load.connected_all, {"seconds": round(load.connected_all, 3)}

    return measure


def _memory(count: int) -> Callable[[Place], tuple[float, dict[str, float]]]:
    def measure(place: Place) -> tuple[float, dict[str, float]]:
        with place.load(20, seconds=0.2, warm_up=0.1) as load:  # what the first subscribers bring is no cost of each
            load.go()
        time.sleep(_SETTLE)
        before = place.server.resident_bytes()
        with place.load(count):
            time.sleep(_SETTLE)
            return (place.server.resident_bytes() - before) / count / 1e3, {}

    return measure


def _idle(count: int) -> Callable[[Place], tuple[float, dict[str, float]]]:
    def measure(place: Place) -> tuple[float, dict[str, float]]:
        with place.load(count):
            time.sleep(2.0)  # what connecting has left is done by then
            before, began = place.server.cpu(), time.monotonic()
            time.sleep(max(place.seconds * 3, 5.0))
            return 100 * (place.server.cpu() - before) / (time.monotonic() - began), {}

    return measure


def _publish(publishers: int) -> Callable[[Place], tuple[float, dict[str, float]]]:
    def measure(place: Place) -> tuple[float, dict[str, float]]:
        with place.load(1, publishers=publishers, seconds=place.seconds) as load:
            result = load.go()
        return result.published_per_second, _seen(result)

    return measure


def scenarios() -> list[Scenario]:
    """All of them, in the order of the table."""
    rows = [
        Scenario(
            f"{count:,} subscribers, {publishers} {'publisher' if publishers == 1 else 'publishers'}, {size}",
            "fan-out",
            "deliveries/s",
            "more",
            _fan_out(count, publishers, data_bytes),
            quick=(count, data_bytes) == (1000, 100),
        )
        for count in (100, 1000, 10_000)
        for publishers in (1, 20)
        for size, data_bytes in (("100 B", 100), ("1 kB", 1000), ("16 kB", 16_000))
        if count * data_bytes <= 20_000_000
    ]
    return [
        *rows,
        *(
            Scenario(
                f"{share} at 50 events/s, 1,000 subscribers", "latency", "ms", "less", _latency(share, 1000, 50), 2
            )
            for share in ("p50", "p99", "p999")
        ),
        Scenario(
            "p99 at 50 events/s beside 10 of 1,000 that do not read",
            "latency",
            "ms",
            "less",
            _latency("p99", 1000, 50, frozen=10),
            2,
        ),
        Scenario("1,000 connecting at once", "connect", "connections/s", "more", _storm(1000), quick=True),
        Scenario("10,000 connecting at once", "connect", "connections/s", "more", _storm(10_000)),
        Scenario("memory a subscriber, of 1,000", "cost", "kB", "less", _memory(1000), 1, quick=True),
        Scenario("10,000 idle subscribers", "cost", "% of a core", "less", _idle(10_000), 2),
        Scenario("publishes, 1 publisher", "publish", "events/s", "more", _publish(1), quick=True),
        Scenario("publishes, 20 publishers", "publish", "events/s", "more", _publish(20)),
    ]


@dataclass(slots=True)
class Measured:
    """A line of the table, filled in."""

    name: str
    group: str
    unit: str
    better: str
    digits: int
    figures: dict[str, float] = field(default_factory=dict)
    seen: dict[str, dict[str, float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def _hub() -> Kind:
    flags = ("--max-subscribers", str(_MOST), "--max-subscribers-per-address", str(_MOST), "--log-level", "warning")
    return Kind("sse-hub", lambda: hub(*flags), lambda: "")


def _measure(chosen: Sequence[Scenario], kinds: Sequence[Kind], program: str, seconds: float) -> Iterator[Measured]:
    for scenario in chosen:
        row = Measured(scenario.name, scenario.group, scenario.unit, scenario.better, scenario.digits)
        for kind in kinds:
            if kind.name in scenario.without:
                continue
            print(f"… {scenario.group}: {scenario.name}: {kind.name}", file=sys.stderr, flush=True)
            try:
                with kind.run() as server:
                    figure, seen = scenario.measure(Place(program, kind, server, seconds))
            except (RuntimeError, OSError, TimeoutError) as error:
                row.failed[kind.name] = str(error).splitlines()[0][:200]
                continue
            row.figures[kind.name], row.seen[kind.name] = figure, seen
        yield row


def _print(rows: Sequence[Measured], kinds: Sequence[Kind]) -> None:
    names = [kind.name for kind in kinds]
    width = max(len(row.name) for row in rows)
    group = ""
    for row in rows:
        if row.group != group:
            group = row.group
            print(f"\n{group + ', ' + row.unit:{width}}" + "".join(f"  {name:>13}" for name in names) + "  best peer")
        cells = "".join(f"  {_cell(row, name):>13}" for name in names)
        print(f"{row.name:{width}}{cells}  {_verdict(row)}")


def _cell(row: Measured, name: str) -> str:
    if name in row.figures:
        return f"{row.figures[name]:,.{row.digits}f}"
    return "failed" if name in row.failed else "–"


def _verdict(row: Measured) -> str:
    """How the hub stands beside the best of the others, the limit left out."""
    others = {name: figure for name, figure in row.figures.items() if name not in {"sse-hub", "C loop"}}
    if "sse-hub" not in row.figures or not others:
        return ""
    best = (max if row.better == "more" else min)(others, key=lambda name: others[name])
    ours, theirs = row.figures["sse-hub"], others[best]
    ratio = ours / max(theirs, 1e-9) if row.better == "more" else theirs / max(ours, 1e-9)
    return f"{ratio:.2f} × {best}"


def _compare(rows: Sequence[Measured], recorded: Sequence[Mapping[str, Any]]) -> None:
    """Print how many times the limit the hub was, now and when it was recorded. Times differ from machine to machine;
    these ratios less so, and yet enough that only a fall by half is called one."""
    before = {row["name"]: row["figures"] for row in recorded}
    print(f"\n{'times the C loop':44}{'now':>8}{'recorded':>10}")
    for row in rows:
        now, then = _times_limit(row.figures), _times_limit(before.get(row.name, {}))
        if now is None or then is None:
            continue
        worse = now < then / 2 if row.better == "more" else now > then * 2
        print(f"{row.name:44}{now:8.2f}{then:10.2f}{'  WORSE' if worse else ''}")


def _times_limit(figures: Mapping[str, float]) -> float | None:
    ours, limit = figures.get("sse-hub"), figures.get("C loop")
    return ours / limit if ours is not None and limit else None


def _about(pinned: bool) -> str:
    where = "one core for the server, one for the load" if pinned else "nothing pinned to a core"
    return f"Python {platform.python_version()}, {os.cpu_count()} cores, {where}, loopback."


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="The hub, its peers and the limit in one run.")
    parser.add_argument(
        "--only", action="append", metavar="TEXT", help="scenarios whose group or name has this; repeatable"
    )
    parser.add_argument(
        "--servers", metavar="NAMES", help="with commas between them: " + ", ".join(k.name for k in peers())
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a measurement (3)")
    parser.add_argument(
        "--quick", action="store_true", help="a few scenarios, a second each, the hub and the limit only"
    )
    parser.add_argument(
        "--compare", type=Path, metavar="FILE", help="print the ratios to the limit beside those of FILE"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured there")
    parser.add_argument("--chart", type=Path, metavar="FILE.svg", help="draw it there")
    given = parser.parse_args(arguments)
    wanted = given.servers.split(",") if given.servers else ["C loop"] if given.quick else [k.name for k in peers()]
    kinds = [_hub()]
    for kind in peers():
        if kind.name in wanted:
            if lack := kind.lacks():
                print(f"{kind.name} is left out: {lack}", file=sys.stderr)
            else:
                kinds.append(kind)
    chosen = [s for s in scenarios() if not given.quick or s.quick]
    if given.only:
        chosen = [s for s in chosen if any(text in f"{s.group}: {s.name}" for text in given.only)]
    if not chosen:
        parser.error("no scenario has that in its name")
    pinned = pin_load()
    with tempfile.TemporaryDirectory() as folder:
        program = compiled("load.c", folder)
        rows = list(_measure(chosen, kinds, program, 1.0 if given.quick else given.seconds))
    _print(rows, kinds)
    print(f"\n{_about(pinned)}")
    if given.compare:
        _compare(rows, json.loads(given.compare.read_text()))
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False) + "\n")
    if given.chart:
        given.chart.write_text(draw([(row.group, row.name, row.figures) for row in rows if row.group == "fan-out"]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
