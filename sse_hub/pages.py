"""What can be read at once: the page and its assets, channels, history, health, and the figures for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path

from aiohttp import web

from . import __version__
from .access import allow_subscribe, grant_of
from .events import Event, EventId, Subscription, check_channel
from .hub import Hub
from .problems import Problem
from .requests import number, quality
from .state import HUB, METRICS, NODES, SETTINGS, STREAMS
from .tasks import end

__all__ = ["WEB", "asset", "channels", "health", "history", "measuring", "metrics", "page"]

_inside = Path(__file__).parent / "web"
WEB = _inside if _inside.is_dir() else Path(__file__).parent.parent / "web"
"""The page's folder: inside the package in a wheel, beside it in a checkout."""

_REVALIDATED = {"Cache-Control": "no-cache"}  # asked for again each time, which the ETag answers in a few bytes
_PAGE_HEADERS = {
    **_REVALIDATED,
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
}
HISTORY_LIMIT = 1000


async def page(request: web.Request) -> web.FileResponse:
    """`GET /`."""
    return web.FileResponse(WEB / "index.html", headers=_PAGE_HEADERS)


async def asset(request: web.Request) -> web.FileResponse:
    """`GET /web/{file}`: a file of the page's folder, and of no other. The name is looked up, never part of a path."""
    name = request.match_info["file"]
    files = {path.name: path for path in WEB.iterdir() if path.is_file()}
    if name not in files:
        raise Problem(404, f"The page has no file {name[:80]!r}.")
    return web.FileResponse(files[name], headers=_REVALIDATED)


async def channels(request: web.Request) -> web.Response:
    """`GET /api/channels`."""
    grant = await grant_of(request)
    if not grant.subscribe:
        allow_subscribe(request, grant, ["*"])
    hub, nodes = request.app[HUB], request.app[NODES]
    answer = []
    for name in filter(grant.may_subscribe, nodes.channels()):
        channel = hub.log.get(name)
        oldest = None if channel is None else channel.oldest
        answer.append(
            {
                "name": name,
                "subscribers": nodes.subscribers(name),
                "events": 0 if channel is None else len(channel),
                "first": None if oldest is None else str(oldest.id),
                "last": None if channel is None or oldest is None else str(channel.last),
            }
        )
    return _json({"channels": answer})


async def history(request: web.Request) -> web.Response:
    """`GET /api/channels/{channel}/events`: from the oldest, or from the one after `after`; `lost` says that there were
    some between."""
    try:
        name = check_channel(request.match_info["channel"])
    except ValueError as error:
        raise Problem(400, f"The path cannot be used: {error}.") from None
    allow_subscribe(request, await grant_of(request), [name])
    try:
        after = EventId.parse(request.query["after"]) if "after" in request.query else None
    except ValueError as error:
        raise Problem(400, f"The parameter after cannot be used: {error}.") from None
    limit = number(request, "limit", minimum=1, maximum=HISTORY_LIMIT) or 100
    events, lost = await _retained(request.app[HUB], Subscription(frozenset({name})), after, limit)
    return _json({"channel": name, "events": [event.as_json() for event in events], "lost": lost})


async def _retained(
    hub: Hub, subscription: Subscription, after: EventId | None, limit: int
) -> tuple[list[Event], bool]:
    """Events after the cursor, or all, from the store where the log does not reach so far back; and whether there were
    more."""
    cursor, floor = after or EventId(0, 0), hub.log.floor(subscription)
    events: list[Event] = []
    lost = after is not None and after < floor and any(subscription.covers(channel.name) for channel in hub.log)
    if hub.archive is not None and cursor < floor:
        page = await hub.archive.page(subscription, cursor, floor)
        lost = after is not None and after < page.floor
        while page.reached < floor and len(events) + len(page.events) < limit:
            events += page.events
            page = await hub.archive.page(subscription, page.reached, floor)
        events += page.events
        cursor = floor
    events += islice(hub.log.after(subscription, cursor), max(limit - len(events), 0))
    return events[:limit], lost


async def health(request: web.Request) -> web.Response:
    """`GET /health`."""
    statistics = request.app[HUB].statistics()
    draining = request.app[STREAMS].draining
    trouble = request.app[HUB].store.trouble
    answer = {
        "status": "draining" if draining else "degraded" if trouble else "ok",
        "version": __version__,
        "uptime": round(request.app[METRICS].uptime, 3),
        "subscribers": statistics.subscribers,
        "channels": statistics.channels,
        "store": request.app[SETTINGS].address.kind,
    }
    if draining:
        answer["reason"] = "The server is ending."
    elif trouble is not None:
        answer["reason"] = trouble
    return _json(answer, status=503 if draining or trouble else 200)


async def metrics(request: web.Request) -> web.StreamResponse:
    """`GET /metrics`: Prometheus' exposition for whoever prefers it, else the event stream of the channel `metrics`."""
    accept = request.headers.get("Accept", "text/event-stream")
    exposition = max(quality(accept, "text/plain"), quality(accept, "application/openmetrics-text"))
    if exposition <= quality(accept, "text/event-stream"):
        return await request.app[STREAMS].serve(request, ["metrics"])
    allow_subscribe(request, await grant_of(request), ["metrics"])
    body, content_type = request.app[METRICS].exposition(accept)
    return web.Response(
        body=body, headers={"Content-Type": content_type, "Cache-Control": "no-store", "Vary": "Accept"}
    )


async def measuring(app: web.Application) -> AsyncIterator[None]:
    """Measure the event loop while the application runs. A cleanup context."""
    task = asyncio.create_task(app[METRICS].measure_lag())
    yield
    await end(task)


def _json(answer: object, status: int = 200) -> web.Response:
    return web.json_response(answer, status=status, headers={"Cache-Control": "no-store"})
