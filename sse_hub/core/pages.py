"""Pages for catching up: their bytes are made once for all subscribers at the same cursor.

A thousand subscribers that resume at once read the same events. Each page is encoded for the first of them and kept for
the others, so that memory grows with the pages and not with the subscribers. Subscribers with different cursors soon
share pages, too, because a new page ends where an existing page begins.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from .conflation import NewestEvents
from .events import END, LOWEST_ID, Event, EventId
from .latest import superseded_in
from .log import Log
from .subscription import Subscription
from .wire import encode, wrap

__all__ = ["PAGE_BYTES", "PAGE_EVENTS", "EncodedPage", "LogPages", "PageCache"]

PAGE_BYTES = 64 << 10
"""Size at which a group is flushed early and a page ends. asyncio's high-water mark has the same size, so a slow
connection holds at most two pages and one event."""
PAGE_EVENTS = 1000
"""Events looked at for one page: 1,000 take less than a millisecond. A type filter that wants one event in a million
must not block the event loop."""
_KEPT = 256
"""Pages kept."""
_KEPT_BYTES = 32 << 20
"""Bytes of all kept pages. A page can be as large as the largest event."""
_FLOOR_BYTES = 200
"""Bytes of a floor. A page of a store that remembers losses of 100,000 channels has 20 MB of them."""
_PAGE = 100
"""The cost of making a page besides its events, which are counted one by one."""
_BYTES = 4 << 10
_DEFLATE_BYTES = 64
"""Bytes to join, and to deflate, that cost as much as an event."""
_NOTHING_GONE: Mapping[str, EventId] = {}


class EncodedPage(NamedTuple):
    """A page in the bytes of one subscription."""

    reached: EventId
    events: int
    data: bytes
    full: bool = False
    """Whether it ended because it was large enough. There may be more events."""
    floors: Mapping[str, EventId] = _NOTHING_GONE
    """The floors of its channels above its beginning, if it comes from a store; see `ports.Page`."""
    following: EventId = LOWEST_ID
    """Id of its first event above all these floors, or the lowest possible id."""
    losses: int = 0
    """The number of the log's last rise when the page was read from the log."""
    ended: bool = False
    """Whether the stream ends with it."""
    conflated: int = 0
    """Events left out because a newer one supersedes them."""
    cost: int = 0
    """The work of making it, in events that are looked at for one pattern."""

    @classmethod
    def of(
        cls,
        subscription: Subscription,
        events: Iterable[Event],
        after: EventId,
        end: EventId,
        floors: Mapping[str, EventId] = _NOTHING_GONE,
        losses: int = 0,
        superseded: Callable[[Event], bool] = lambda event: False,
    ) -> EncodedPage:
        """Encode the events after a cursor that the subscription wants, up to the size of a page.

        :param end: the cursor of a page that holds all of the events.
        :param superseded: finds out whether a later page has a newer event of the same channel and type.
        """
        newest = NewestEvents(subscription)
        only = subscription.only
        ended = False
        highest = max(floors.values(), default=after)
        following = highest.next()
        reached = after
        size = looked_at = 0
        most = subscription.share_of(PAGE_EVENTS)
        full = False
        for event in events:
            if size >= PAGE_BYTES or looked_at == most:
                full = True
                break
            assert event.id is not None
            if event.id > end:
                break
            if reached <= highest < event.id:
                following = event.id
            reached = event.id
            looked_at += 1
            if subscription.wants(event) and subscription.covers(event.channel):
                if subscription.conflate_ms and superseded(event):
                    newest.superseded += 1
                else:
                    newest.add(event)
                    size += len(encode(subscription, event))
            if event.type == END and event.channel == only:
                ended = True
                break
        reached = reached if full else max(reached, end)
        kept = newest.take()
        frames = [frame for _, frame in kept]
        data = wrap(subscription, frames)
        cost = _PAGE + looked_at * PAGE_EVENTS // most + len(data) // _BYTES
        if subscription.gzip:
            cost += sum(map(len, frames)) // _DEFLATE_BYTES
        return cls(reached, len(kept), data, full, floors, following, losses, ended, newest.superseded, cost)


class PageCache:
    """The pages that were used last. It is written by hand, because it has two limits and also finds the next page."""

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[Subscription, EventId], EncodedPage] = OrderedDict()
        self._starts: dict[Subscription, list[EventId]] = {}
        self._bytes = 0

    def get(self, subscription: Subscription, after: EventId) -> EncodedPage | None:
        """The page after this cursor, if there is one."""
        page = self._pages.get((subscription, after))
        if page is not None:
            self._pages.move_to_end((subscription, after))
        return page

    def add(self, subscription: Subscription, after: EventId, page: EncodedPage) -> None:
        """Keep a full page, in place of an outdated one. Other pages are not kept: they would lack the events that are
        published next."""
        if (subscription, after) in self._pages:
            self._drop(subscription, after)
        self._pages[subscription, after] = page
        self._bytes += _size(page)
        insort(self._starts.setdefault(subscription, []), after)
        while len(self._pages) > _KEPT or (self._bytes > _KEPT_BYTES and len(self._pages) > 1):
            self._drop(*next(iter(self._pages)))

    def _drop(self, subscription: Subscription, after: EventId) -> None:
        self._bytes -= _size(self._pages.pop((subscription, after)))
        self._starts[subscription].remove(after)
        if not self._starts[subscription]:
            del self._starts[subscription]

    def end(self, subscription: Subscription, after: EventId, otherwise: EventId) -> EventId:
        """The cursor at which a page that begins here should end: the beginning of the next existing page."""
        starts = self._starts.get(subscription, ())
        index = bisect_right(starts, after)
        return min(starts[index], otherwise) if index < len(starts) else otherwise


def _size(page: EncodedPage) -> int:
    return len(page.data) + _FLOOR_BYTES * len(page.floors)


class LogPages:
    """Pages of a log.

    :param log: the log. After a restart of the log, a new object is needed.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._cache = PageCache()
        self._superseded = superseded_in(log)
        self.cost = 0
        """The cost of all pages that were made."""

    def known(self, subscription: Subscription, cursor: EventId) -> EncodedPage | None:
        """The next page after this cursor, if it need not be made."""
        if cursor >= self._log.head:  # a new subscriber without a replay, or one that has caught up
            return EncodedPage(cursor, 0, b"")
        page = self._cache.get(subscription, cursor)
        if page is not None and self._log.floors.risen(subscription, cursor, page.losses) is None:
            return page  # none of its events is gone since
        return None

    def after(self, subscription: Subscription, cursor: EventId) -> EncodedPage:
        """The next page after this cursor."""
        if (known := self.known(subscription, cursor)) is not None:
            return known
        log = self._log
        end = self._cache.end(subscription, cursor, log.head)
        events, losses = log.after(subscription, cursor), log.floors.losses
        page = EncodedPage.of(subscription, events, cursor, end, losses=losses, superseded=self._superseded)
        self.cost += page.cost
        if page.full:
            self._cache.add(subscription, cursor, page)
        return page

    def first(self, subscription: Subscription, events: Sequence[Event]) -> EncodedPage:
        """A page of events that one subscriber gets before those after its cursor."""
        last = events[-1].id
        assert last is not None
        page = EncodedPage.of(subscription, events, LOWEST_ID, last)
        self.cost += page.cost
        return page
