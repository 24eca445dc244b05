"""The list of subscribers, and ending a stream. Both need a token with `"admin": true`."""

from __future__ import annotations

from aiohttp import web
from msgspec import UNSET

from .access import grant_of, unauthorized
from .answers import send_json
from .app_keys import METRICS
from .channels import LIMIT
from .problems import Problem
from .requests import number
from .schemas import Subscribers
from .workers import WORKERS

__all__ = ["end", "subscribers"]


async def subscribers(request: web.Request) -> web.StreamResponse:
    """`GET /api/subscribers`."""
    await _allow(request)
    after = number(request, "after") or 0
    limit = number(request, "limit", minimum=1, maximum=LIMIT) or 100
    found = await request.app[WORKERS].subscribers(after, limit + 1)
    more = len(found) > limit
    node = request.app[METRICS].node
    return await send_json(request, Subscribers(node, found[:limit], found[limit - 1].id if more else UNSET))


async def end(request: web.Request) -> web.Response:
    """`DELETE /api/subscribers/{id}`: end a stream. Its client may reconnect."""
    await _allow(request)
    id = request.match_info["id"]
    if not await request.app[WORKERS].end_subscriber(id):
        raise Problem(404, f"There is no subscriber {id[:40]!r} at this node. GET /api/subscribers lists them.")
    return web.Response(status=204)


async def _allow(request: web.Request) -> None:
    grant = await grant_of(request)
    if not grant.admin:
        if grant.anonymous:
            raise unauthorized(
                'A token whose claim has "admin": true is needed to see the subscribers of this node '
                "(or a server without a key and with --anonymous all)."
            )
        raise Problem(403, 'The token may not see the subscribers: its claim needs "admin": true.')
