"""Where a subscriber begins, if the store has to be asked for it."""

from __future__ import annotations

from .events import EventId, Subscription
from .hub import Hub, Place

__all__ = ["locate"]

_NEVER = EventId(0, 0)


async def locate(
    hub: Hub, subscription: Subscription, *, cursor: EventId | None, replay: int | None, resume: bool
) -> Place | None:
    """Find in the store the place that `Hub.subscribe` is then given; None if the log knows it.

    :raises StoreUnavailable: if the store has to be read and cannot be.
    """
    if hub.archive is None or not (resume or replay):
        return None
    floor = hub.floor(subscription)
    if not resume:
        assert replay is not None
        if hub.log.back(subscription, floor, replay, hub.max_replay) > floor:
            return None
        start, floors = await hub.archive.back(subscription, replay, hub.max_replay)
        return Place(start, floors=floors)
    if cursor is not None and cursor > hub.log.head and not await hub.archive.reach(cursor):
        cursor = None
    if cursor is not None and cursor >= floor:
        return None
    page = await hub.archive.page(subscription, cursor or _NEVER, floor)
    if cursor is not None:  # it has what comes before, of the channels that lost something, too
        return Place(cursor, bool(page.floors), page.floors)
    first = page.events[0].id if page.events else None
    return Place(page.reached if first is None else first.preceding(), True, page.floors)
