"""Catching up without a cost to those who are live: the turns of subscribers that are BEHIND, and the store's pages.

A thousand that resume at once take turns, a few for each turn of the event loop. A page that several ask for is read
from the store once.
"""

from __future__ import annotations

import asyncio

from .events import EventId, Subscription
from .hub import Hub, Subscriber
from .ports import StoreUnavailable
from .replay import Pages, Stretch

__all__ = ["CatchUp"]

_AT_ONCE = 4
"""Pages written in a turn of the event loop. At 40 µs for 64 kB, who is live waits 0.2 ms for them."""
_RETRY = 1.0
"""Seconds until a store that could not be read is asked again."""


class CatchUp:
    """Feeds subscribers of one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._pages = Pages()
        self._reading: dict[tuple[Subscription, EventId], asyncio.Task[Stretch]] = {}

    async def turn(self, subscriber: Subscriber) -> None:
        """Write one more page to the subscriber, when it is its turn."""
        upto = subscriber.below_log
        if upto is None:
            async with self._turns:
                subscriber.advance()
                await asyncio.sleep(0)  # the turn lasts as long as a turn of the loop
            return
        after = subscriber.cursor
        try:
            stretch = await self._page(subscriber.subscription, after, upto)
        except StoreUnavailable:
            await asyncio.sleep(_RETRY)  # the stream stays open; its place in the log is kept
            return
        async with self._turns:
            subscriber.feed(after, stretch)
            await asyncio.sleep(0)

    async def _page(self, subscription: Subscription, after: EventId, upto: EventId) -> Stretch:
        """The store's page after this cursor: one that is there, or is being read, or a new one."""
        known = self._pages.get(subscription, after)
        if known is not None:
            return known
        reading = self._reading.get((subscription, after))
        if reading is None:
            reading = asyncio.create_task(self._read(subscription, after, upto))
            self._reading[subscription, after] = reading
            reading.add_done_callback(lambda _: self._reading.pop((subscription, after)))
        return await asyncio.shield(reading)  # one that leaves must not spoil it for the others

    async def _read(self, subscription: Subscription, after: EventId, upto: EventId) -> Stretch:
        archive = self._hub.archive
        assert archive is not None
        end = self._pages.end(subscription, after, upto)
        page = await archive.page(subscription, after, end)
        stretch = Stretch.of(subscription, page.events, after, page.reached, page.floor)
        if stretch.reached < end:
            self._pages.add(subscription, after, stretch)
        return stretch
