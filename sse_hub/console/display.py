"""Shows events and tables: in colour on a terminal, without colour in a pipe or with NO_COLOR.

If the encoding of standard output lacks a character (ASCII, cp1252), the character is shown as an escape (main.py).
JSON has escapes of its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text
from yarl import URL

from sse_client import Channel, Event

__all__ = ["STYLES", "address", "as_json", "channel_table", "console", "event_line", "harmless", "stderr"]

STYLES = {
    "message": "bold",
    "sensor": "cyan",
    "heartbeat": "dim",
    "notification": "yellow",
    "special": "magenta",
    "metrics": "blue",
    "error": "bold red",
    "lost": "bold red",
}


class _Console(Console):
    """A console that shows texts as they are, and that lets its caller handle a broken pipe."""

    def __init__(self, *, stderr: bool = False) -> None:
        # With markup and emoji, `[fe80::1]` would be a style without effect and `:+1:` a picture.
        super().__init__(highlight=False, soft_wrap=True, markup=False, emoji=False, stderr=stderr)

    def on_broken_pipe(self) -> None:
        """See `Console`, which would end the process with status 1."""
        raise BrokenPipeError


console = _Console()
stderr = _Console(stderr=True)


def harmless(text: str) -> str:
    """The text with visible control characters. Otherwise an event could change the terminal, or send input to it."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else f"\\x{ord(sign):02x}" for sign in text)


def address(url: str) -> str:
    """A URL without user, password and query, which may be secrets."""
    try:
        return harmless(str(URL(url).with_user(None).with_query(None)))
    except ValueError:
        return "an address that is not a URL"


def event_line(event: Event, *, channel: bool = True) -> Text:
    """An event for a person."""
    moment = event.timestamp.astimezone().strftime("%H:%M:%S") if event.timestamp else "        "
    line = Text(moment, "dim")
    if channel:
        line.append(f"  {harmless(event.channel):<12}", "green")
    line.append(f"  {harmless(event.type):<13}", STYLES.get(event.type, "bold"))
    return line.append(" " + harmless(event.data).replace("\n", "\n" + " " * 10))


def as_json(event: Event) -> str:
    """An event as one line of JSON, in the form of the envelope."""
    return json.dumps(
        {
            "id": event.last_event_id or None,
            "channel": event.channel,
            "event": event.type,
            "data": event.data,
            "timestamp": event.timestamp.isoformat() if event.timestamp else None,
        },
        ensure_ascii=not (sys.stdout.encoding or "").lower().startswith("utf"),
    )


def channel_table(channels: Iterable[Channel]) -> Table:
    """The channels of a hub."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("channel", style="green")
    table.add_column("subscribers", justify="right")
    table.add_column("events", justify="right")
    table.add_column("last id", style="dim")
    for channel in channels:
        table.add_row(harmless(channel.name), str(channel.subscribers), str(channel.events), channel.last or "")
    return table
