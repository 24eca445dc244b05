"""`sse-client check`: tests the way between this machine and the hub, and reports each problem."""

from __future__ import annotations

import asyncio

from rich.table import Table
from rich.text import Text

from .access import Access
from .cross_origin import CROSS_ORIGIN
from .display import address, console, harmless
from .probes import PROBES, Finding, Probe, Status, watch_quiet_stream

__all__ = ["check"]

_SIGNS = {
    Status.OK: ("✓", "green"),
    Status.WARNING: ("!", "yellow"),
    Status.FAILED: ("✗", "bold red"),
    Status.SKIPPED: ("-", "dim"),
}


async def check(access: Access, idle: float = 20.0, origin: str | None = None) -> int:
    """Run all checks and print their findings; return 1 if a check failed, otherwise 0.

    :param idle: seconds for which a quiet stream is watched.
    :param origin: the origin of the page that uses the hub, if it is not the hub's own.
    """
    findings: list[Finding] = []
    async with access.client(idle_timeout=None) as client:
        probe = Probe(client, idle, origin)
        console.print(f"Checking {address(access.url)}", style="dim")
        quiet = asyncio.create_task(watch_quiet_stream(probe))
        try:
            for run in (*PROBES, *CROSS_ORIGIN):
                findings.append(await run(probe))
                _print(findings[-1])
                if findings[-1].fatal:
                    break
            else:
                if not quiet.done():
                    console.print(f"  … watching a quiet stream for {idle:g} s", style="dim")
                findings.append(await quiet)
                _print(findings[-1])
        finally:
            quiet.cancel()
            await asyncio.gather(quiet, return_exceptions=True)
    _advise(findings)
    return 1 if any(finding.status is Status.FAILED for finding in findings) else 0


def _print(finding: Finding) -> None:
    sign, style = _SIGNS[finding.status]
    grid = Table.grid(padding=(0, 2))
    for width in (1, 18, 9):
        grid.add_column(min_width=width)
    grid.add_column(overflow="fold")
    took = "" if finding.seconds is None else f"{finding.seconds * 1000:6.0f} ms"
    grid.add_row(Text(sign, style), finding.name, Text(took, "dim"), Text(harmless(finding.summary)))
    console.print(grid)


def _advise(findings: list[Finding]) -> None:
    failed = sum(finding.status is Status.FAILED for finding in findings)
    warned = sum(finding.status is Status.WARNING for finding in findings)
    for finding in findings:
        if finding.meaning:
            console.print()
            console.print(Text(finding.name, "bold"))
            console.print(Text(f"  {finding.meaning}"))
            for line in finding.advice:
                console.print(Text(f"    {line}", "cyan"))
    console.print()
    total = f"{len(findings) - failed - warned} well, {warned} to look at, {failed} failed"
    console.print(total, style="bold red" if failed else "bold green")
