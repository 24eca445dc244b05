"""All retained events of all channels, in the order of their ids.

A subscriber of a broad pattern reads here, because a merge of a hundred thousand channels for every page would take
seconds. An event that is dropped from its channel is removed here, too. Mostly it is the oldest one, which needs no
search. Any other is found by two binary searches.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from operator import attrgetter

from .events import Event, EventId

__all__ = ["Order"]

_BLOCK = 512
"""Events in a block. Removing one of them moves at most this number."""
_by_id = attrgetter("id")  # a binary search calls it ten times, and it takes a third of the time of a function


def _id(event: Event | None) -> EventId:
    assert event is not None
    assert event.id is not None
    return event.id


class Order:
    """Events in blocks, the blocks in a list."""

    def __init__(self) -> None:
        self._blocks: list[list[Event | None]] = []
        self._starts: list[EventId] = []
        """For each block, an id that is at most its first id and above all ids of earlier blocks."""
        self._begin = 0  # in the first block, the events before this index are removed

    def append(self, event: Event) -> None:
        """Add an event at the end. Its id must be above all others."""
        if not self._blocks or len(self._blocks[-1]) >= _BLOCK:
            self._blocks.append([])
            self._starts.append(_id(event))
        self._blocks[-1].append(event)

    def remove(self, event: Event) -> None:
        """Remove an event."""
        first = self._blocks[0]
        if first[self._begin] is event:
            first[self._begin] = None  # frees its data before the block is full
            self._begin += 1
            if self._begin == len(first):
                self._drop_block(0)
            return
        index = bisect_right(self._starts, _id(event)) - 1
        block = self._blocks[index]
        at = bisect_left(block, _id(event), lo=self._begin if index == 0 else 0, key=_by_id)
        assert block[at] is event
        del block[at]
        if not block:
            self._drop_block(index)
        elif index + 1 < len(self._blocks) and index > 0 and len(block) + len(self._blocks[index + 1]) <= _BLOCK // 2:
            block += self._blocks[index + 1]
            self._drop_block(index + 1)

    def _drop_block(self, index: int) -> None:
        del self._blocks[index], self._starts[index]
        if index == 0:
            self._begin = 0

    def detach(self) -> list[list[Event | None]]:
        """Remove all events at once. The caller gets the blocks and clears them away."""
        blocks, self._blocks, self._starts, self._begin = self._blocks, [], [], 0
        return blocks

    def after(self, cursor: EventId) -> Iterator[Event]:
        """Events with an id above the cursor, oldest first. Use the iterator before anything changes."""
        index = max(bisect_right(self._starts, cursor) - 1, 0)
        while index < len(self._blocks):
            block = self._blocks[index]
            begin = self._begin if index == 0 else 0
            if _id(block[-1]) > cursor:
                for at in range(bisect_right(block, cursor, lo=begin, key=_by_id), len(block)):
                    yield _event(block[at])
            index += 1

    def backwards(self, before: EventId | None = None) -> Iterator[Event]:
        """Events, newest first: all, or those below an id. Use the iterator before anything changes."""
        last = len(self._blocks) - 1 if before is None else bisect_left(self._starts, before) - 1
        for index in range(last, -1, -1):
            block = self._blocks[index]
            begin = self._begin if index == 0 else 0
            end = len(block) if before is None else bisect_left(block, before, lo=begin, key=_by_id)
            for at in range(end - 1, begin - 1, -1):
                yield _event(block[at])

    def holds(self, id: EventId) -> bool:
        """Whether there is an event with this id, or with the next id."""
        following = next(self.after(id.preceding()), None)
        return following is not None and _id(following) in (id, id.next())

    @property
    def oldest(self) -> Event | None:
        """The event with the lowest id."""
        return self._blocks[0][self._begin] if self._blocks else None


def _event(event: Event | None) -> Event:
    assert event is not None
    return event
