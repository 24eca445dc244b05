"""The start of a subscriber: its request, and the position that log and store find for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from heapq import heappop, heappush
from typing import NamedTuple

from .ends import End
from .events import LOWEST_ID, Event, EventId
from .groups import StartPosition
from .hub import Hub
from .latest import latest
from .subscription import Subscription

__all__ = ["Start", "end_of", "exists"]

_STEP = 500
"""Channels whose newest event is looked up in one step, for one pattern."""
_MOST_BYTES = 32 << 20
"""Largest size of the newest events that are kept for one subscriber, besides those that the log holds for all."""


class Start(NamedTuple):
    """The start that a subscriber asks for."""

    resumes: bool = False
    """Whether it has a cursor of an earlier connection, even a malformed one."""
    cursor: EventId | None = None
    """The id of the last event that it has."""
    replay: int | None = None
    """Without a cursor: the number of events back at which it begins. None for no replay and no `live`."""

    latest: bool = False
    """Without a cursor: whether it begins with the newest event of each of its channels."""
    from_start: bool = False
    """Without a cursor: whether it begins at the beginning of its channels."""

    unless_ended: bool = False
    """Whether it wants no stream if its channel has ended or does not exist."""

    @property
    def replays(self) -> bool:
        """Whether it asks for older events."""
        return self.replay is not None or self.latest or self.from_start

    async def locate(self, hub: Hub, subscription: Subscription, pause: Callable[[], Awaitable[None]]) -> StartPosition:
        """Find the position, for `Hub.subscribe`.

        :param pause: lets the event loop do other work between two steps of a long search.
        :raises StoreUnavailable: if the store has to be read and cannot be read.
        """
        position = await self._position(hub, subscription, pause)
        only = subscription.only
        end = None if only is None else await end_of(hub, only)
        if end is None:
            return position
        if not self.resumes and position.cursor >= end.id:  # it gets the event `end` and asks for no older ones
            cursor, floors = end.id.preceding(), position.floors
            if hub.archive is not None and cursor < hub.log.floors.top:
                floors = (await hub.archive.page(subscription, cursor, cursor)).floors
            first = [event for event in position.first if event.id is not None and event.id <= cursor]
            position = position._replace(cursor=cursor, floors=floors, first=first)
        return position._replace(end=end)

    async def _position(
        self, hub: Hub, subscription: Subscription, pause: Callable[[], Awaitable[None]]
    ) -> StartPosition:
        if self.resumes:
            return await self._after_cursor(hub, subscription, pause)
        if self.from_start:
            return await self._from_start(hub, subscription, pause)
        if self.latest:
            return await self._latest(hub, subscription, pause)
        if self.replay:
            return await self._back(hub, subscription, self.replay, pause)
        return _position_in(hub, hub.log.head)

    async def _after_cursor(
        self, hub: Hub, subscription: Subscription, pause: Callable[[], Awaitable[None]]
    ) -> StartPosition:
        cursor = self.cursor
        if cursor is not None and not await _is_known(hub, cursor):
            cursor = None
        if cursor is None:
            return await self._at_the_beginning(hub, subscription)
        floors = hub.log.floors
        if hub.archive is None:
            position = _position_in(hub, cursor)
            for found in floors.search(subscription, cursor):
                if found:
                    return position._replace(lost=True)
                await pause()
            return position
        if cursor >= floors.top or (subscription.exact and not any(floors.search(subscription, cursor))):
            return StartPosition(cursor)
        gone = (await hub.archive.page(subscription, cursor, cursor)).floors
        return StartPosition(cursor, bool(gone), gone)

    @staticmethod
    async def _at_the_beginning(hub: Hub, subscription: Subscription) -> StartPosition:
        """Begin at the oldest event, because the cursor is not an id of this hub."""
        if hub.archive is None:
            return StartPosition(hub.log.start(subscription), lost=True)
        page = await hub.archive.page(subscription, LOWEST_ID, hub.log.floors.top)
        first = page.events[0].id if page.events else None
        return StartPosition(page.reached if first is None else first.preceding(), True, page.floors)

    @staticmethod
    async def _from_start(hub: Hub, subscription: Subscription, pause: Callable[[], Awaitable[None]]) -> StartPosition:
        if hub.catalogue is not None:
            return StartPosition(*await hub.catalogue.beginning(subscription))
        position = _position_in(hub, hub.log.start(subscription))
        for found in hub.log.floors.beginnings(subscription):
            if found:
                return position._replace(lost=True)
            await pause()
        return position

    @staticmethod
    async def _latest(hub: Hub, subscription: Subscription, pause: Callable[[], Awaitable[None]]) -> StartPosition:
        """Begin at the head, with the newest event of each channel. Events that are published meanwhile come after the
        head."""
        position = _position_in(hub, hub.log.head)
        shared: list[tuple[EventId, Event]] = []  # heaps, so that no step looks at all of them; these are in the log
        own: list[tuple[EventId, Event]] = []
        own_bytes = 0
        after: str | None = ""
        step = subscription.share_of(_STEP)
        while after is not None:
            if hub.catalogue is not None:
                events, after = await hub.catalogue.latest(subscription, after, step)
            else:
                events, after = latest(hub.log, subscription, after, step)
                await pause()
            for event in events:
                if event.id is None or event.id > position.cursor:
                    continue
                channel = hub.log.get(event.channel)
                in_log = None if channel is None else channel.newest
                if in_log is not None and in_log.id == event.id:
                    heappush(shared, (event.id, in_log))
                elif hub.catalogue is None:
                    heappush(shared, (event.id, event))
                else:
                    heappush(own, (event.id, event))
                    own_bytes += len(event.data)
            while own_bytes > _MOST_BYTES or len(own) + len(shared) > hub.max_replay:
                if own and (own_bytes > _MOST_BYTES or not shared or own[0][0] < shared[0][0]):
                    own_bytes -= len(heappop(own)[1].data)
                else:
                    heappop(shared)
                position = position._replace(lost=True)
        return position._replace(first=[event for _, event in sorted([*shared, *own])])

    @staticmethod
    async def _back(
        hub: Hub, subscription: Subscription, count: int, pause: Callable[[], Awaitable[None]]
    ) -> StartPosition:
        search = hub.log.back(subscription, count, hub.max_replay)
        while True:
            try:
                next(search)
            except StopIteration as end:
                start: EventId | None = end.value
                break
            await pause()
        if hub.archive is None:
            return _position_in(hub, start or hub.log.start(subscription))
        if start is not None and start >= hub.log.floors.top:
            return StartPosition(start)
        start, floors = await hub.archive.back(subscription, count, hub.max_replay)
        return StartPosition(start, floors=floors)


def _position_in(hub: Hub, cursor: EventId) -> StartPosition:
    """This position of this moment. Losses of later moments are found by the log, or in the pages of the store."""
    return StartPosition(cursor, losses=hub.log.floors.losses if hub.archive is None else None)


async def end_of(hub: Hub, channel: str) -> End | None:
    """How the channel has ended; None if it has not.

    :raises StoreUnavailable: if the store has to be read and cannot be.
    """
    known = hub.log.get(channel)
    if hub.catalogue is None or (known is not None and known.newest is not None):
        return hub.log.end_of(channel)
    return (await hub.catalogue.state(channel)).end


async def exists(hub: Hub, channel: str) -> bool:
    """Whether anything is retained of the channel.

    :raises StoreUnavailable: if the store has to be read and cannot be.
    """
    known = hub.log.get(channel)
    if known is not None and known.newest is not None:
        return True
    return hub.catalogue is not None and (await hub.catalogue.state(channel)).exists


async def _is_known(hub: Hub, cursor: EventId) -> bool:
    """Whether the cursor is one of this hub's."""
    if hub.archive is None:
        return hub.log.may_have_given(cursor)
    return cursor <= hub.log.head or await hub.archive.reach(cursor)
