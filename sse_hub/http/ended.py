"""Whether a stream is over before it begins. Then the answer is 204, after which an EventSource does not reconnect
(WHATWG HTML 9.2.3)."""

from __future__ import annotations

from itertools import islice

from ..core.events import Event, EventId
from ..core.groups import StartPosition
from ..core.hub import Hub
from ..core.ports import Page
from ..core.start import Start, exists
from ..core.subscription import Subscription

__all__ = ["is_over"]

_LOOK = 1000
"""Largest number of events that are looked at to find out whether a plain reader lacks one."""


async def is_over(hub: Hub, subscription: Subscription, start: Start, position: StartPosition) -> bool:
    """Whether the channel has ended and the reader has every event; or, with `ended=204`, whether the channel has ended
    or does not exist.

    :raises StoreUnavailable: if the store has to be read and cannot be.
    """
    only, end = subscription.only, position.end
    if start.unless_ended and only is not None and (end is not None or not await exists(hub, only)):
        return True
    if end is None or not start.resumes:
        return False
    if position.cursor >= end.id:
        return True
    return subscription.plain and not await _lacks_any(hub, subscription, position.cursor, end.id)


async def _lacks_any(hub: Hub, subscription: Subscription, cursor: EventId, end: EventId) -> bool:
    """Whether there is a wanted event after the cursor. A plain reader never gets the event `end`, so its cursor is
    always below it."""
    if hub.archive is not None and cursor < hub.log.floors.top:
        page: Page = await hub.archive.page(subscription, cursor, end)
        return page.reached < end or any(map(subscription.wants, page.events))
    events: list[Event] = list(islice(hub.log.after(subscription, cursor), _LOOK))
    return len(events) == _LOOK or any(map(subscription.wants, events))
