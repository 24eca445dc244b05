"""The hub, its peers and the limit, in one run: `python -m bench`.

Each server is a process of its own on one core, the load (load.c) a process on another, over the loopback interface.
Machines are noisy, so every scenario goes through all servers, one right after the other, and the ratios are what
counts. A peer that is not installed is left out, and the missing parts are printed.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from chart import draw
from report import LIMIT, OURS, Measured, comparison, read, table, write
from scenarios import Place, Scenario, ceiling, scenarios
from servers import MANY, Kind, compiled, hub, limit, peers, pin_load

__all__ = ["main"]


def _hub(scenario: Scenario, folder: str) -> Kind:
    flags = (*MANY, *(flag.replace("FOLDER", folder) for flag in scenario.flags))
    return Kind(OURS, lambda: hub(*flags), lambda: "")


def _measure(scenario: Scenario, others: Sequence[Kind], program: str, seconds: float) -> Measured:
    row = Measured(scenario.name, scenario.group, scenario.unit, scenario.better, scenario.digits, scenario.behind)
    with tempfile.TemporaryDirectory() as folder:
        for kind in (_hub(scenario, folder), *others):
            if scenario.only and kind.name not in scenario.only:
                continue
            print(f"… {scenario.group}: {scenario.name}: {kind.name}", file=sys.stderr, flush=True)
            try:
                with kind.run() as server:
                    figure, seen = scenario.measure(Place(program, kind, server, seconds))
            except (RuntimeError, OSError, TimeoutError) as error:
                row.failed[kind.name] = str(error).splitlines()[0][:200]
                continue
            row.figures[kind.name], row.seen[kind.name] = figure, seen
    return row


def _ceiling(program: str, seconds: float) -> float:
    kind = Kind("the load alone", lambda: limit(100), lambda: "")
    with kind.run() as server:
        return ceiling(Place(program, kind, server, seconds))


def _installed(wanted: Sequence[str]) -> Iterator[Kind]:
    for kind in peers():
        if kind.name in wanted:
            if lack := kind.lacks():
                print(f"{kind.name} is left out: {lack}", file=sys.stderr)
            else:
                yield kind


def _parser() -> argparse.ArgumentParser:
    names = ", ".join(kind.name for kind in peers())
    parser = argparse.ArgumentParser(prog="python -m bench", description="The hub, its peers and the limit in one run.")
    add = parser.add_argument
    add("--only", action="append", metavar="TEXT", help="scenarios whose group or name has this; repeatable")
    add("--servers", metavar="NAMES", help=f"to measure beside, with commas between them: {names}")
    add("--seconds", type=float, default=3.0, help="length of a measurement (3)")
    add("--quick", action="store_true", help="a few scenarios, a second each, the hub and the limit only")
    add("--compare", type=Path, metavar="FILE", help="print the ratios to the limit beside those of FILE")
    add("--json", type=Path, metavar="FILE", help="write what was measured there")
    add("--chart", type=Path, metavar="FILE.svg", help="draw it there")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; return the exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    everybody = [LIMIT] if given.quick else [kind.name for kind in peers() if not kind.asked]
    wanted = given.servers.split(",") if given.servers else everybody
    if unknown := set(wanted) - {kind.name for kind in peers()}:
        parser.error(f"there is no server {min(unknown)!r}; there are {', '.join(kind.name for kind in peers())}")
    if given.compare and not given.compare.is_file():
        parser.error(f"there is no file {given.compare} to compare with; --json writes one")
    others = list(_installed(wanted))
    chosen = [each for each in scenarios() if not given.quick or each.quick]
    if given.only:
        chosen = [each for each in chosen if any(text in f"{each.group}: {each.name}" for text in given.only)]
    if not chosen:
        parser.error("no scenario has that in its name")
    seconds = 1.0 if given.quick else given.seconds
    pinned = pin_load()
    with tempfile.TemporaryDirectory() as folder:
        program = compiled("load.c", folder)
        rows = [_measure(scenario, others, program, seconds) for scenario in chosen]
        most = _ceiling(program, seconds)
    where = "one core for the server, one for the load" if pinned else "nothing pinned to a core"
    about = (
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {where}, loopback. The load itself can count "
        f"{most:,.0f} deliveries/s."
    )
    print(f"{table(rows, [OURS, *(kind.name for kind in others)])}\n\n{about}")
    if given.compare:
        print(f"\n{comparison(rows, read(given.compare))}")
    if given.json:
        write(given.json, rows, about)
    if given.chart:
        given.chart.write_text(draw([(row.name, row.figures) for row in rows if row.group == "fan-out"]))
    return int(any(OURS in row.failed for row in rows))
