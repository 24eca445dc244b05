"""The live table of the metrics. The last minute of each is a line of blocks."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence

from rich.live import Live
from rich.table import Table
from rich.text import Text

from sse_client import SSEClient

from .display import console, harmless

__all__ = ["follow_figures", "sparkline"]

_SHOWN = 60
_BLOCKS = "▁▂▃▄▅▆▇█"
_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def sparkline(values: Sequence[float]) -> str:
    """Values as blocks, the highest for the largest of them, the lowest for 0."""
    most = max(values, default=0)
    return "".join(_BLOCKS[min(7, int(max(value, 0) / most * 7.99))] if most else _BLOCKS[0] for value in values)


def _number(value: float) -> str:
    for size, sign in _UNITS:
        if abs(value) >= size:
            return f"{value / size:.1f} {sign}"
    return f"{value:.1f}" if value % 1 else f"{value:.0f}"


async def follow_figures(client: SSEClient) -> None:
    """Show the figures as they arrive, until cancelled. Without a terminal, print a line of JSON for each event."""
    if not console.is_terminal:
        async for event in client.metrics():
            print(event.data)
        return
    past: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_SHOWN))
    with Live(Text("waiting for figures …", "dim"), console=console, auto_refresh=False) as live:
        async for event in client.metrics(replay=_SHOWN):
            values = event.json()
            for name, value in values.items():
                if isinstance(value, int | float):
                    past[name].append(float(value))
            live.update(_table(values, past), refresh=True)


def _table(values: Mapping[str, object], past: Mapping[str, Sequence[float]]) -> Table:
    title = f"{harmless(str(values.get('node', '')))}  {harmless(str(values.get('timestamp', '')))}"
    table = Table(title=title, title_style="dim", title_justify="left", box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right", style="bold", min_width=9)
    table.add_column(style="cyan")
    for name, numbers in past.items():
        table.add_row(harmless(name.replace("_", " ")), _number(numbers[-1]), sparkline(numbers))
    return table
