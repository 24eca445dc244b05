"""Pages that many catch up with: bytes made once for everybody who stands at the same place.

A thousand subscribers that resume at once read the same events. Each page is encoded for the first of them and kept for
the others, so that memory grows by pages and not by subscribers. Those who come from different places are led together:
a page ends where a page that is already there begins.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .deflate import wrapped
from .events import Event, EventId, Subscription

__all__ = ["PAGE_BYTES", "PAGE_EVENTS", "Pages", "Stretch"]

PAGE_BYTES = 64 << 10
"""A group flushes early and a page ends at this size: with asyncio's high-water mark of the same size, a slow
connection holds two at most, and one event."""
PAGE_EVENTS = 1000
"""Events looked at for one page. A type filter that wants one in a million must not hold up the loop: 1,000 take less
than a millisecond."""
_KEPT = 256
"""Pages kept."""
_KEPT_BYTES = 32 << 20
"""Bytes of them: an event of the largest size makes a page as large as itself."""
_NOTHING_GONE: Mapping[str, EventId] = {}


class Stretch(NamedTuple):
    """A page in the bytes of one subscription."""

    reached: EventId
    events: int
    data: bytes
    full: bool = False
    """Whether it ends because it is large enough, not because there is no more."""
    floors: Mapping[str, EventId] = _NOTHING_GONE
    """The floors of its channels that were above its beginning when it was read from a store; see `ports.Page`."""
    following: EventId = EventId(0, 0)
    """Id of its first event above all of these, or the lowest that there can be."""

    @classmethod
    def of(
        cls,
        subscription: Subscription,
        events: Iterable[Event],
        after: EventId,
        end: EventId,
        floors: Mapping[str, EventId] = _NOTHING_GONE,
    ) -> Stretch:
        """Encode events that come after a cursor, up to the size of a page; `end` is where they lead to if that
        suffices for all."""
        frames: list[bytes] = []
        highest = max(floors.values(), default=after)
        following = highest.next()
        reached = after
        size = looked_at = 0
        for event in events:
            if size >= PAGE_BYTES or looked_at == PAGE_EVENTS:
                return cls(reached, len(frames), wrapped(subscription, frames), True, floors, following)
            assert event.id is not None
            if event.id > end:
                break
            if reached <= highest < event.id:
                following = event.id
            reached = event.id
            looked_at += 1
            if subscription.wants(event):
                frames.append(subscription.encode(event))
                size += len(frames[-1])
        return cls(max(reached, end), len(frames), wrapped(subscription, frames), False, floors, following)


class Pages:
    """The pages made last."""

    def __init__(self) -> None:
        self._stretches: OrderedDict[tuple[Subscription, EventId], Stretch] = OrderedDict()
        self._starts: dict[Subscription, list[EventId]] = {}
        self._bytes = 0

    def get(self, subscription: Subscription, after: EventId) -> Stretch | None:
        """The page after this cursor, if there is one."""
        stretch = self._stretches.get((subscription, after))
        if stretch is not None:
            self._stretches.move_to_end((subscription, after))
        return stretch

    def add(self, subscription: Subscription, after: EventId, stretch: Stretch) -> None:
        """Keep a full page. One that ended with the log would lack what is published next."""
        if (subscription, after) in self._stretches:
            return
        self._stretches[subscription, after] = stretch
        self._bytes += len(stretch.data)
        insort(self._starts.setdefault(subscription, []), after)
        while len(self._stretches) > _KEPT or (self._bytes > _KEPT_BYTES and len(self._stretches) > 1):
            (oldest, start), gone = self._stretches.popitem(last=False)
            self._bytes -= len(gone.data)
            self._starts[oldest].remove(start)
            if not self._starts[oldest]:
                del self._starts[oldest]

    def end(self, subscription: Subscription, after: EventId, otherwise: EventId) -> EventId:
        """Where a page that begins at this cursor should end: where the next one begins."""
        starts = self._starts.get(subscription, ())
        index = bisect_right(starts, after)
        return min(starts[index], otherwise) if index < len(starts) else otherwise
