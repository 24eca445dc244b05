"""Who is connected, for whoever has a grant to see that (contract, section 2)."""

from __future__ import annotations

from aiohttp import web

from .access import grant_of, unauthorized
from .problems import Problem
from .state import METRICS, STREAMS

__all__ = ["end", "visitors"]


async def visitors(request: web.Request) -> web.Response:
    """`GET /api/subscribers`: the subscribers of this node."""
    await _allow(request)
    return web.json_response(
        {"node": request.app[METRICS].node, "subscribers": request.app[STREAMS].visitors()},
        headers={"Cache-Control": "no-store"},
    )


async def end(request: web.Request) -> web.Response:
    """`DELETE /api/subscribers/{id}`: end one of them. It comes back, unless it may not or does not want to."""
    await _allow(request)
    id = request.match_info["id"]
    if not request.app[STREAMS].end(id):
        raise Problem(404, f"There is no subscriber {id[:40]!r} at this node. GET /api/subscribers lists them.")
    return web.Response(status=204)


async def _allow(request: web.Request) -> None:
    grant = await grant_of(request)
    if not grant.admin:
        if grant.anonymous:
            raise unauthorized('Without a token nobody may see who is connected; it needs one with {"admin": true}.')
        raise Problem(403, 'The token does not grant to see who is connected: its claim needs "admin": true.')
