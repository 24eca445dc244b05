"""`GET /api/channels`: the channels that have events or subscribers."""

from __future__ import annotations

from aiohttp import web

from ..core.hub import Hub
from .access import allow_subscribe, grant_of
from .answers import send_json
from .app_keys import HUB
from .cluster import NODES
from .schemas import Channel, Channels

__all__ = ["channels"]

_PAGE = 1000


async def channels(request: web.Request) -> web.StreamResponse:
    """`GET /api/channels`."""
    grant = await grant_of(request)
    if not grant.subscribe:
        allow_subscribe(request, grant, ["*"])
    hub, nodes = request.app[HUB], request.app[NODES]
    retained = await _stored(hub) if hub.archive is not None else _logged(hub)
    names = filter(grant.may_subscribe, sorted({*retained, *nodes.channels()}))
    return await send_json(
        request,
        Channels([Channel(name, nodes.subscribers(name), *retained.get(name, (0, None, None))) for name in names]),
    )


def _logged(hub: Hub) -> dict[str, tuple[int, str | None, str | None]]:
    """How many events the log has of each channel, and the ids of the first and the last."""
    found: dict[str, tuple[int, str | None, str | None]] = {}
    for channel in hub.log:
        oldest = channel.oldest
        found[channel.name] = (0, None, None) if oldest is None else (len(channel), str(oldest.id), str(channel.last))
    return found


async def _stored(hub: Hub) -> dict[str, tuple[int, str | None, str | None]]:
    """The same of the channels that the store has: the log holds only the newest of them."""
    assert hub.archive is not None
    found: dict[str, tuple[int, str | None, str | None]] = {}
    name = ""
    while page := await hub.archive.channels(name, _PAGE):
        found |= {each.channel: (each.events, str(each.first), str(each.last)) for each in page}
        name = page[-1].channel
    return found
