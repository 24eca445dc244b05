"""`GET /api/channels/{channel}/events`: the retained events of a channel, from the log and, for older ones, from the
store."""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from aiohttp import web
from msgspec import UNSET

from ..core.events import LOWEST_ID, Event, EventId, check_channel, timestamp
from ..core.hub import Hub
from ..core.subscription import Subscription
from . import schemas
from .access import allow_subscribe, grant_of
from .answers import send_json
from .app_keys import HUB
from .problems import Problem
from .requests import number, single
from .schemas import History

__all__ = ["HISTORY_LIMIT", "history"]

HISTORY_LIMIT = 1000
_BYTES = 1 << 20
"""Characters of data after which an answer ends: a thousand events of a megabyte would be a gigabyte."""


class _Found(NamedTuple):
    """A part of a history."""

    events: list[Event]
    lost: bool
    """Whether events between the cursor and these, or between two of these, are gone."""
    more: bool
    """Whether there are more events."""


async def history(request: web.Request) -> web.StreamResponse:
    """Answer with events from the oldest on, or after the id `after` (docs/protocol.md, "Reading what is retained")."""
    try:
        name = check_channel(request.match_info["channel"])
    except ValueError as error:
        raise Problem(400, f"The path cannot be used: {error}.") from None
    allow_subscribe(request, await grant_of(request), [name])
    given = single(request, "after")
    try:
        after = None if given is None else EventId.parse(given)
    except ValueError as error:
        raise Problem(400, f"The parameter after cannot be used: {error}.") from None
    limit = number(request, "limit", minimum=1, maximum=HISTORY_LIMIT) or 100
    found = await _read(request.app[HUB], name, after, limit)
    following = str(found.events[-1].id) if found.more else UNSET
    return await send_json(request, History(name, [_shown(event) for event in found.events], found.lost, following))


def _shown(event: Event) -> schemas.Event:
    data = event.data.encode("utf-8", "replace").decode()  # a lone surrogate is a question mark on an event stream, too
    return schemas.Event(
        None if event.id is None else str(event.id), event.channel, event.type, data, timestamp(event.ms)
    )


async def _read(hub: Hub, channel: str, after: EventId | None, limit: int) -> _Found:
    """The first retained events of a channel after a cursor, or of all; fewer than `limit` if they are large.

    :raises StoreUnavailable: if the store has to be read and cannot be.
    """
    subscription = Subscription(frozenset({channel}))
    lost = False
    if after is not None and after > hub.log.head and not (hub.archive and await hub.archive.reach(after)):
        after, lost = None, True  # not an id of this hub; a stream would begin at the oldest event, too
    events: list[Event] = []
    size, cursor, has_cursor = 0, after or LOWEST_ID, after is not None
    while True:
        # Between two pages the log may drop events that it had. The store still has them.
        floor = hub.log.floors.of(channel)
        in_log = cursor >= floor or hub.archive is None
        if hub.archive is None or in_log or size >= _BYTES or len(events) > limit:
            break
        page = await hub.archive.page(subscription, cursor, floor)
        lost = lost or (has_cursor and bool(page.floors))
        events += page.events
        size += sum(len(event.data) for event in page.events)
        cursor, has_cursor = page.reached, True
    if in_log:
        lost = lost or (has_cursor and cursor < floor)
        events += islice(hub.log.after(subscription, cursor), max(limit + 1 - len(events), 0))
    return _limited(events, limit, lost, more=not in_log)


def _limited(events: list[Event], limit: int, lost: bool, more: bool) -> _Found:
    size = 0
    for count, event in enumerate(events):
        if count == limit or size >= _BYTES:
            return _Found(events[:count], lost, more=True)
        size += len(event.data)
    return _Found(events, lost, more)
