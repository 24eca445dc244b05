"""Bars, as SVG, for what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["draw"]

_COLOURS = ("#0b6b6b", "#8a5a00", "#5b6b9a", "#9a5b7c", "#6b7f3a", "#7a5bb0", "#8a8f92")
_WIDTH, _BAR, _LABEL = 860, 14, 330


def draw(rows: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """Bars for each row, one a server, each row to its own scale; readable on light and on dark ground."""
    names = list(dict.fromkeys(name for _, figures in rows for name in figures))
    parts: list[str] = []
    top = 10
    for title, figures in rows:
        parts.append(_text(0, top + 11, title, bold=True))
        most = max(figures.values(), default=1.0)
        for name in names:
            if name not in figures:
                continue
            width = max(1.0, (_WIDTH - _LABEL - 90) * figures[name] / most)
            colour = _COLOURS[names.index(name) % len(_COLOURS)]
            parts.append(_text(_LABEL - 8, top + 11, name, anchor="end"))
            parts.append(
                f'<rect x="{_LABEL}" y="{top}" width="{width:.1f}" height="{_BAR - 3}" rx="2" fill="{colour}"/>'
            )
            parts.append(_text(_LABEL + width + 6, top + 11, f"{figures[name]:,.0f}"))
            top += _BAR
        top += 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" role="img" '
        f'aria-label="deliveries a second" font-family="system-ui, sans-serif" font-size="11" fill="#767c80">\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _text(x: float, y: float, text: str, *, bold: bool = False, anchor: str = "start") -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'
