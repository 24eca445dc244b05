"""Events read back from a store. Other programs can write to a file or a Redis, so everything is checked."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from ..core.events import END, Event, EventId, check_channel, check_type

__all__ = ["LATEST_BYTES", "TAIL_BYTES", "TAIL_EVENTS", "event_of_entry", "has_valid_names"]

TAIL_EVENTS = 10_000
TAIL_BYTES = 32 << 20
"""Largest number of events that a store reads into the hub's log at the start, and their size. It takes some tenths of
a second. Older events are read when a subscriber needs them."""
LATEST_BYTES = 1 << 20
"""Size of the newest events of channels at which a step of `replay=latest` ends."""


@functools.lru_cache(4096)  # of each event that is read: the same few names
def has_valid_names(channel: str, type: str) -> bool:
    """Whether an event may have these names. A hub has not written an event with other names."""
    try:
        check_channel(channel)
        if type != END:
            check_type(type)
    except (ValueError, TypeError):
        return False
    return True


def event_of_entry(id: str, fields: Mapping[str, str] | None) -> Event | None:
    """The event of an entry of a Redis stream. None if a hub has not written the entry."""
    try:
        assert fields is not None  # an entry that was deleted while it was read
        parsed, channel, type, data = EventId.parse(id), fields["c"], fields["t"], fields["d"]
        ms = int(fields.get("at", parsed.ms))
    except (AssertionError, KeyError, TypeError, ValueError):
        return None
    return Event(parsed, channel, type, data, ms) if has_valid_names(channel, type) else None
