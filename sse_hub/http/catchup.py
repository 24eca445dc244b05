"""Catching up: subscribers that are BEHIND take turns, and live subscribers do not wait for them.

If a thousand subscribers resume at once, a few of them are fed in each turn of the event loop, and fewer if their pages
have to be made. A page that several of them need is read from the store once. A connection has a task here only while
there is something to write and the connection can take it. A live connection has no task, and a frozen one has none
either.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from ..core.events import EventId
from ..core.hub import Hub, State, Subscriber
from ..core.latest import superseded_in
from ..core.pages import EncodedPage, PageCache
from ..core.ports import Page, StoreUnavailable
from ..core.subscription import Subscription
from .connection import Connection

__all__ = ["CatchUp"]

logger = logging.getLogger("sse_hub.streams")

_AT_ONCE = 4
"""Pages written in a turn of the event loop. At 40 µs for 64 kB, live subscribers wait 0.2 ms for them."""
_TURN_COST = 1000
"""The cost of the pages that are made in a turn: one that is full, in about 2 ms, or some that are short."""
_AHEAD = 0.01
"""Seconds until a subscriber is looked at again that has read more from the store than this node has delivered."""
_RETRY = 1.0
"""Seconds until a store that could not be read is asked again."""


class CatchUp:
    """Feeds subscribers of one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._spent = 0  # the cost of the pages that were made in this turn
        self._fresh = asyncio.Event()  # set while there are none
        self._making = asyncio.Lock()
        self._pages = PageCache()
        self._feeding: dict[Connection, asyncio.Task[None]] = {}
        self._reading: dict[tuple[Subscription, EventId], asyncio.Task[EncodedPage]] = {}

    def wake(self, connection: Connection) -> None:
        """Feed the connection while it is BEHIND and can take more."""
        if connection in self._feeding or not _can_feed(connection):
            return
        if self._hub.below_log(connection.subscriber) is None and self._has_time(connection.subscriber):
            try:
                self._advance(connection.subscriber)  # most need no more
            except Exception as error:
                _note_failure(connection, error)
                return
        if _can_feed(connection):
            task = self._feeding[connection] = asyncio.create_task(self._feed(connection))
            task.add_done_callback(lambda task: _note_end(connection, task))

    def forget(self, connection: Connection) -> None:
        """Stop feeding a connection that is closed."""
        task = self._feeding.pop(connection, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Cancel all feeding and reading."""
        tasks = [*self._feeding.values(), *self._reading.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _feed(self, connection: Connection) -> None:
        try:
            # With nothing to write, a turn makes the subscriber LIVE, even if its transport is full. So check first.
            while _can_feed(connection):
                await self._turn(connection.subscriber)
        finally:
            self._feeding.pop(connection, None)

    async def _turn(self, subscriber: Subscriber) -> None:
        """Write one more page to the subscriber, when it is its turn."""
        losses, upto = self._hub.log.floors.losses, self._hub.below_log(subscriber)
        if upto is None:
            is_ahead = subscriber.cursor > self._hub.log.head
            async with self._turns:
                while not self._has_time(subscriber):
                    await self._fresh.wait()
                self._advance(subscriber)
                await asyncio.sleep(0)  # its turn lasts for one turn of the event loop
            if is_ahead:
                await asyncio.sleep(_AHEAD)
            return
        after = subscriber.cursor
        try:
            page = await self._page(subscriber, after, upto)
        except StoreUnavailable:
            await asyncio.sleep(_RETRY)  # the stream stays open, with its cursor
            return
        async with self._turns:
            self._hub.feed(subscriber, after, page)
            if subscriber.cursor >= upto:
                subscriber.complete = losses
            await asyncio.sleep(0)

    def _has_time(self, subscriber: Subscriber) -> bool:
        """Whether this turn of the event loop has time for the subscriber's next page of the log."""
        if self._spent < _TURN_COST:
            return True
        return not subscriber.first and self._hub.pages.known(subscriber.subscription, subscriber.cursor) is not None

    def _advance(self, subscriber: Subscriber) -> None:
        before = self._hub.pages.cost
        self._hub.advance(subscriber)
        self._spend(self._hub.pages.cost - before)

    def _spend(self, cost: int) -> None:
        """Count the cost of a page in this turn of the event loop."""
        if cost and not self._spent:
            self._fresh.clear()
            asyncio.get_running_loop().call_soon(self._begin_turn)
        self._spent += cost

    def _begin_turn(self) -> None:
        self._spent = 0
        self._fresh.set()

    async def _page(self, subscriber: Subscriber, after: EventId, upto: EventId) -> EncodedPage:
        """The store's page after this cursor: from the cache, from a read that is running, or from a new read."""
        subscription = subscriber.subscription
        known = self._pages.get(subscription, after)
        if known is not None and not _is_outdated(known, subscriber.informed, after):
            return known
        reading = self._reading.get((subscription, after))
        if reading is None:
            reading = asyncio.create_task(self._read(subscription, after, upto))
            self._reading[subscription, after] = reading
            reading.add_done_callback(lambda task: self._note_read((subscription, after), task))
        return await asyncio.shield(reading)  # others may wait for the same read

    def _note_read(self, key: tuple[Subscription, EventId], task: asyncio.Task[EncodedPage]) -> None:
        del self._reading[key]
        if not task.cancelled():
            task.exception()  # raised in each subscriber that waits; there may be none left

    async def _read(self, subscription: Subscription, after: EventId, upto: EventId) -> EncodedPage:
        archive = self._hub.archive
        assert archive is not None
        end = self._pages.end(subscription, after, upto)
        stored = await archive.page(subscription, after, end)
        async with self._making:  # one waits for a turn, and not all of them
            while self._spent >= _TURN_COST:
                await self._fresh.wait()
            page = self._encoded(subscription, after, stored)
        if page.reached < end:
            self._pages.add(subscription, after, page)
        return page

    def _encoded(self, subscription: Subscription, after: EventId, stored: Page) -> EncodedPage:
        superseded = superseded_in(self._hub.log)
        page = EncodedPage.of(subscription, stored.events, after, stored.reached, stored.floors, superseded=superseded)
        self._spend(page.cost)
        return page


def _is_outdated(page: EncodedPage, informed: Mapping[str, EventId], after: EventId) -> bool:
    """Whether the page has events that are gone from the store by now, and the subscriber knows that they are gone."""
    return any(floor > max(after, page.floors.get(channel, after)) for channel, floor in informed.items())


def _can_feed(connection: Connection) -> bool:
    return connection.subscriber.state is State.BEHIND and not connection.paused


def _note_end(connection: Connection, task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _note_failure(connection, error)


def _note_failure(connection: Connection, error: BaseException) -> None:
    logger.error("a stream could not be fed", exc_info=error)
    # The client reconnects and resumes at its cursor. The abort has to wait for the next turn of the loop: a transport
    # must not be closed inside its `resume_writing`.
    asyncio.get_running_loop().call_soon(connection.abort)
