"""`GET /api/channels`: the channels that have events or subscribers, by name, in pages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiohttp import web
from msgspec import UNSET

from ..core.events import check_pattern, literals
from ..core.hub import Hub
from ..core.subscription import Subscription
from ..rights import Grant
from ..tasks import in_slices
from .access import allow_subscribe, grant_of
from .answers import send_json
from .app_keys import HUB
from .cluster import NODES, Nodes
from .problems import Problem
from .requests import number, single
from .schemas import Channel, Channels

__all__ = ["LIMIT", "channels"]

LIMIT = 1000
"""Largest number of channels, or of subscribers, in one answer."""
_STEP = 500
"""Largest number of names that are looked at in one turn of the event loop. With a token of many patterns, it is
less."""
_Retained = tuple[int, str | None, str | None]


async def channels(request: web.Request) -> web.StreamResponse:
    """`GET /api/channels`."""
    grant = await grant_of(request)
    if not grant.subscribe:
        allow_subscribe(request, grant, ["*"])
    match, after = single(request, "match"), single(request, "after") or ""
    try:
        pattern = check_pattern("*" if match is None else match)
    except ValueError as error:
        raise Problem(400, f"The parameter match cannot be used: {error}.") from None
    limit = number(request, "limit", minimum=1, maximum=LIMIT) or 100
    hub, nodes = request.app[HUB], request.app[NODES]
    found = await _page(hub, nodes, grant, pattern, after, limit)
    more = len(found) > limit
    answer = Channels(found[:limit], found[limit - 1].name if more else UNSET)
    return await send_json(request, answer)


async def _page(hub: Hub, nodes: Nodes, grant: Grant, pattern: str, after: str, limit: int) -> list[Channel]:
    """The first channels after a name that match the pattern and may be read, one more than fit on a page.

    It merges sorted lists of names, a few hundred at a time: names in the store, in the log, and of subscriptions by
    name here and at other nodes.
    """
    beginning = literals(pattern)[0] if "*" in pattern else pattern
    after = max(after, _before(beginning)) if beginning else after
    wanted = Subscription(frozenset({pattern}), granted=grant.subscribe)
    step = wanted.share_of(_STEP)
    found: list[Channel] = []
    while len(found) <= limit:
        lists = [hub.channels(after, _STEP), nodes.channels(after, _STEP)]
        stored: Mapping[str, _Retained] = {}
        if hub.archive is not None:
            page = await hub.archive.channels(after, _STEP)
            stored = {each.channel: (each.events, str(each.first), str(each.last)) for each in page}
            lists.append(list(stored))
        names = _merged(lists)
        covered: list[str] = []
        async for some in in_slices(names, step):
            covered += filter(wanted.covers, some)
        del covered[limit + 1 - len(found) :]
        for name, subscribers in zip(covered, await nodes.counts(covered), strict=True):
            retained = _logged(hub, name) if hub.archive is None else stored.get(name, (0, None, None))
            found.append(Channel(name, subscribers, *retained))
        if not names or (names[-1] > beginning and not names[-1].startswith(beginning)):
            break
        after = names[-1]
        await asyncio.sleep(0)
    return found[: limit + 1]


def _merged(lists: Sequence[Sequence[str]]) -> list[str]:
    """The names of all lists, sorted. A full list may have more names, so names after its last one are left out."""
    bounds = [names[-1] for names in lists if len(names) == _STEP]
    names = sorted(set().union(*lists))
    return [name for name in names if name <= min(bounds)] if bounds else names


def _before(beginning: str) -> str:
    """A name that sorts just before all names with this beginning."""
    last = ord(beginning[-1]) - 1
    return beginning[:-1] + chr(0xD7FF if 0xD800 <= last < 0xE000 else last) + chr(0x10FFFF)  # surrogates have no UTF-8


def _logged(hub: Hub, name: str) -> _Retained:
    """The number of a channel's events in the log, and the ids of the first and the last."""
    channel = hub.log.get(name)
    oldest = None if channel is None else channel.oldest
    if channel is None or oldest is None:
        return 0, None, None
    return len(channel), str(oldest.id), str(channel.last)
