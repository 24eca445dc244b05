"""The results as a table beside the recorded ones, and as a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["LIMIT", "OURS", "Measured", "comparison", "read", "table", "write"]

OURS = "sse-hub"
LIMIT = "C loop"
_NO_PEERS = frozenset({OURS, LIMIT, "with Nagle"})


@dataclass(slots=True)
class Measured:
    """A row of the table, filled in."""

    name: str
    group: str
    unit: str
    better: str
    digits: int
    behind: str
    figures: dict[str, float] = field(default_factory=dict)
    seen: dict[str, dict[str, float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def cell(self, name: str) -> str:
        """The figure of one server."""
        if name in self.figures:
            return f"{self.figures[name]:,.{self.digits}f}"
        return "failed" if name in self.failed else "–"

    @property
    def verdict(self) -> str:
        """The hub compared with the best of its peers."""
        others = {name: figure for name, figure in self.figures.items() if name not in _NO_PEERS}
        if OURS not in self.figures or not others:
            return ""
        best = (max if self.better == "more" else min)(others, key=lambda name: others[name])
        ratio = _times_better(self.better, self.figures[OURS], others[best])
        return f"{ratio:.2f} × {best}" + (f": {self.behind}" if ratio < 1 and self.behind else "")


def _times_better(better: str, ours: float, theirs: float) -> float:
    return ours / max(theirs, 1e-9) if better == "more" else theirs / max(ours, 1e-9)


def table(rows: Sequence[Measured], names: Sequence[str]) -> str:
    """The rows, as Markdown that is a table on a terminal, too."""
    parts = []
    for group in dict.fromkeys(row.group for row in rows):
        members = [row for row in rows if row.group == group]
        lines = [[f"{group}, {members[0].unit}", *names, "beside the best peer"]]
        lines += [[row.name, *map(row.cell, names), row.verdict] for row in members]
        parts.append("\n".join(_aligned(lines)))
    return "\n\n".join(parts)


def _aligned(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table in which all columns but the first and the last are numbers."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    first, *numbers, last = widths
    rules = ["-" * first, *("-" * (width - 1) + ":" for width in numbers), "-" * last]
    for line in (lines[0], rules, *lines[1:]):
        middle = [text.rjust(width) for text, width in zip(line[1:-1], numbers, strict=True)]
        yield f"| {' | '.join([line[0].ljust(first), *middle, line[-1].ljust(last)])} |"


def comparison(rows: Sequence[Measured], recorded: Sequence[Mapping[str, object]]) -> str:
    """How many times the limit the hub was, now and when it was recorded. Times differ from machine to machine; these
    ratios less so, and yet enough that only a fall by half is called one."""
    before = {row["name"]: row["figures"] for row in recorded}
    lines = [["times as good as the limit", "now", "recorded", ""]]
    for row in rows:
        now, then = _beside_limit(row.better, row.figures), _beside_limit(row.better, before.get(row.name, {}))
        if now is not None and then is not None:
            lines.append([row.name, f"{now:.2f}", f"{then:.2f}", "WORSE" if now < then / 2 else ""])
    return "\n".join(_aligned(lines))


def _beside_limit(better: str, figures: object) -> float | None:
    if not isinstance(figures, Mapping) or OURS not in figures or LIMIT not in figures:
        return None
    return _times_better(better, figures[OURS], figures[LIMIT])


def write(path: Path, rows: Sequence[Measured], about: str) -> None:
    """Write the results as JSON."""
    told = {"about": about, "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def read(path: Path) -> Sequence[Mapping[str, object]]:
    """The rows of a file that `write` has written."""
    rows: Sequence[Mapping[str, object]] = json.loads(path.read_text())["rows"]
    return rows
