"""The start of a subscriber: its request, and the position that log and store find for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from .events import EventId
from .groups import StartPosition
from .hub import Hub
from .subscription import Subscription

__all__ = ["Start"]

_NEVER = EventId(0, 0)


class Start(NamedTuple):
    """The start that a subscriber asks for."""

    resumes: bool = False
    """Whether it has a cursor of an earlier connection, even a malformed one."""
    cursor: EventId | None = None
    """The id of the last event that it has."""
    replay: int | None = None
    """Without a cursor: the number of events back at which it begins. None for no replay and no `live`."""

    async def locate(self, hub: Hub, subscription: Subscription, pause: Callable[[], Awaitable[None]]) -> StartPosition:
        """Find the position, for `Hub.subscribe`.

        :param pause: lets the event loop do other work between two steps of a long search.
        :raises StoreUnavailable: if the store has to be read and cannot be read.
        """
        if self.resumes:
            return await self._after_cursor(hub, subscription, pause)
        if self.replay:
            return await self._back(hub, subscription, self.replay, pause)
        return StartPosition(hub.log.head)

    async def _after_cursor(
        self, hub: Hub, subscription: Subscription, pause: Callable[[], Awaitable[None]]
    ) -> StartPosition:
        cursor = self.cursor
        if cursor is not None and not await _is_known(hub, cursor):
            cursor = None
        if cursor is None:
            return await self._at_the_beginning(hub, subscription)
        floors = hub.log.floors
        losses = floors.losses
        if hub.archive is None:
            for found in floors.search(subscription, cursor):
                if found:
                    return StartPosition(cursor, lost=True)
                await pause()
            return StartPosition(cursor, losses=losses)
        if cursor >= floors.top or (subscription.exact and not any(floors.search(subscription, cursor))):
            return StartPosition(cursor)
        gone = (await hub.archive.page(subscription, cursor, cursor)).floors
        return StartPosition(cursor, bool(gone), gone)

    @staticmethod
    async def _at_the_beginning(hub: Hub, subscription: Subscription) -> StartPosition:
        """Begin at the oldest event, because the cursor is not an id of this hub."""
        if hub.archive is None:
            return StartPosition(hub.log.start(subscription), lost=True)
        page = await hub.archive.page(subscription, _NEVER, hub.log.floors.top)
        first = page.events[0].id if page.events else None
        return StartPosition(page.reached if first is None else first.preceding(), True, page.floors)

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
            return StartPosition(start or hub.log.start(subscription))
        if start is not None and start >= hub.log.floors.top:
            return StartPosition(start)
        start, floors = await hub.archive.back(subscription, count, hub.max_replay)
        return StartPosition(start, floors=floors)


async def _is_known(hub: Hub, cursor: EventId) -> bool:
    """Whether the cursor is one of this hub's."""
    if hub.archive is None:
        return hub.log.may_have_given(cursor)
    return cursor <= hub.log.head or await hub.archive.reach(cursor)
