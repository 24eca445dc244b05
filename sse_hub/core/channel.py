"""The retained events of one channel."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from heapq import merge
from operator import attrgetter
from typing import NamedTuple

from .ends import End
from .events import Event, EventId
from .rules import Rule

__all__ = ["Channel", "Expired", "newest_first", "oldest_first"]

_by_id = attrgetter("id")


class Channel:
    """The retained events of one channel, oldest first."""

    __slots__ = ("_events", "_first", "active_ms", "end", "floor", "last", "name", "retained_bytes", "rule")

    def __init__(self, name: str, floor: EventId, rule: Rule, active_ms: int = 0) -> None:
        self.name = name
        self.rule = rule
        self.floor = floor
        """Id of the newest event that is gone."""
        self.last = floor
        """Id of the newest event that the channel ever had."""
        self.active_ms = active_ms
        """Unix time in milliseconds of the last event, ephemeral ones included."""
        self.end: End | None = None
        """How the channel has ended; None while it is open. After an end, the newest event is the event `end`."""
        self.retained_bytes = 0
        self._events: list[Event | None] = []
        self._first = 0  # events before this index are gone; the list is cut when half of it is

    def __len__(self) -> int:
        return len(self._events) - self._first

    def append(self, event: Event) -> None:
        assert event.id is not None
        assert event.id > self.last
        self._events.append(event)
        self.last = event.id
        self.retained_bytes += len(event.data)

    def drop_oldest(self) -> None:
        """Drop the oldest event; the floor rises to its id."""
        event = self._events[self._first]
        assert event is not None
        assert event.id is not None
        self._events[self._first] = None
        self._first += 1
        self.floor = event.id
        self.retained_bytes -= len(event.data)
        if self._first * 2 > len(self._events):  # a move of n/2 after n/2 drops: constant per event
            del self._events[: self._first]
            self._first = 0

    def detach(self) -> list[Event | None]:
        """Remove all events at once, an end included; the floor rises to the newest id. The caller clears the returned
        events away."""
        self.end = None
        events, self._events, self._first, self.retained_bytes = self._events, [], 0, 0
        if events:
            self.floor = self.last
        return events

    @property
    def oldest(self) -> Event | None:
        return self._events[self._first] if self._first < len(self._events) else None

    @property
    def newest(self) -> Event | None:
        return self._events[-1] if len(self) else None

    def after(self, cursor: EventId) -> Iterator[Event]:
        """Events with an id above the cursor, oldest first. Use the iterator before the log changes."""
        if cursor >= self.last:
            return iter(())
        start = bisect_right(self._events, cursor, lo=self._first, key=_by_id)
        return (self._at(index) for index in range(start, len(self._events)))

    def backwards(self, before: EventId | None = None) -> Iterator[Event]:
        """Events, newest first: all, or those below an id. Use the iterator before the log changes."""
        end = len(self._events)
        if before is not None:
            end = bisect_left(self._events, before, lo=self._first, key=_by_id)
        return (self._at(index) for index in range(end - 1, self._first - 1, -1))

    def _at(self, index: int) -> Event:
        event = self._events[index]
        assert event is not None
        return event


class Expired(NamedTuple):
    """The result of one step of expiring."""

    channels: Sequence[str]
    """Channels that were forgotten."""
    more: bool
    """Whether more events are too old."""


def oldest_first(channels: Sequence[Channel], cursor: EventId) -> Iterator[Event]:
    """The events of these channels after a cursor, by id. Use the iterator before the log changes."""
    runs = [channel.after(cursor) for channel in channels if channel.last > cursor]
    return runs[0] if len(runs) == 1 else merge(*runs, key=_by_id)


def newest_first(channels: Sequence[Channel], before: EventId | None) -> Iterator[Event]:
    """The events of these channels, newest first. Use the iterator before the log changes."""
    runs = [channel.backwards(before) for channel in channels if len(channel)]
    return merge(*runs, key=_by_id, reverse=True)
