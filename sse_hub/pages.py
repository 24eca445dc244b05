"""What can be read at once: the page and its assets, channels, history, health, and the figures for Prometheus."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import mimetypes
from collections.abc import AsyncIterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from aiohttp import web

from . import __version__
from .access import allow_subscribe, grant_of
from .core.events import EventId, check_channel, compact_json
from .core.hub import Hub
from .core.log import Channel
from .history import HISTORY_LIMIT, read
from .problems import Problem
from .requests import listed, number, quality
from .state import BACKGROUND, FLIGHT, HUB, METRICS, NODES, SETTINGS, STREAMS
from .tasks import end

__all__ = ["asset", "channels", "health", "history", "measuring", "metrics", "page"]

_REVALIDATED = {"Cache-Control": "no-cache"}  # asked for again each time, which the ETag answers in a few bytes
_PAGE_HEADERS = {
    **_REVALIDATED,
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
}
_FRESH = {"Cache-Control": "no-store"}
_CHANNELS_PAGE = 1000


async def page(request: web.Request) -> web.StreamResponse:
    """`GET /`."""
    return _file(request, _folder() / "index.html", _PAGE_HEADERS)


async def asset(request: web.Request) -> web.StreamResponse:
    """`GET /web/{file}`: a file of the page's folder, and of no other. The name is looked up, never part of a path."""
    name = request.match_info["file"]
    found = {path.name: path for path in _folder().iterdir() if path.is_file()}
    if name not in found:
        raise Problem(404, f"The page has no file {name[:80]!r}.")
    return _file(request, found[name], _REVALIDATED)


def _folder() -> Traversable:
    """The page's folder: inside the package in a wheel and in a zip file, beside it in a checkout."""
    inside = files("sse_hub") / "web"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "web"


def _file(request: web.Request, file: Traversable, headers: Mapping[str, str]) -> web.StreamResponse:
    if isinstance(file, Path):
        return web.FileResponse(file, headers=headers)
    body = file.read_bytes()  # of a program in a zip file
    etag = hashlib.sha256(body).hexdigest()[:32]
    content_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    known = any(each.value in (etag, "*") for each in request.if_none_match or ())
    response = web.Response(status=304) if known else web.Response(body=body, content_type=content_type)
    response.headers.update(headers)
    response.etag = etag
    return response


async def channels(request: web.Request) -> web.StreamResponse:
    """`GET /api/channels`."""
    grant = await grant_of(request)
    if not grant.subscribe:
        allow_subscribe(request, grant, ["*"])
    hub, nodes = request.app[HUB], request.app[NODES]
    retained = await _stored(hub) if hub.archive is not None else {c.name: _retained(c) for c in hub.log}
    answer = []
    for name in filter(grant.may_subscribe, sorted({*retained, *nodes.channels()})):
        events, first, last = retained.get(name) or (0, None, None)
        answer.append(
            {"name": name, "subscribers": nodes.subscribers(name), "events": events, "first": first, "last": last}
        )
    return await _send(request, {"channels": answer})


def _retained(channel: Channel) -> tuple[int, str | None, str | None]:
    """How many events the log has of a channel, and the ids of the first and the last."""
    oldest = channel.oldest
    return len(channel), None if oldest is None else str(oldest.id), None if oldest is None else str(channel.last)


async def _stored(hub: Hub) -> dict[str, tuple[int, str | None, str | None]]:
    """The same of the channels that the store has: the log holds only the newest of them."""
    assert hub.archive is not None
    found: dict[str, tuple[int, str | None, str | None]] = {}
    name = ""
    while page := await hub.archive.channels(name, _CHANNELS_PAGE):
        found |= {each.channel: (each.events, str(each.first), str(each.last)) for each in page}
        name = page[-1].channel
    return found


async def history(request: web.Request) -> web.StreamResponse:
    """`GET /api/channels/{channel}/events`: from the oldest, or from the one after `after`; `lost` says that there were
    some between, `next` that there are more, after that id."""
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
    found = await read(request.app[HUB], name, after, limit)
    answer = {"channel": name, "events": [event.as_json() for event in found.events], "lost": found.lost}
    return await _send(request, {**answer, **({"next": str(found.events[-1].id)} if found.more else {})})


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
    """`GET /metrics`: Prometheus' exposition for clients that prefer it, else the event stream of the channel
    `metrics`."""
    accept = listed(request, "Accept", "text/event-stream")
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
    task = app[BACKGROUND].start("lag", app[METRICS].measure_lag)
    yield
    await end(task)


async def _send(request: web.Request, answer: object) -> web.StreamResponse:
    """Send an answer that may be large. What all such answers hold is bounded, and a client that does not read is cut
    off: aiohttp would wait for it for ever."""
    body = compact_json(answer).encode("utf-8", "replace")
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8", **_FRESH})
    response.content_length = len(body)
    with request.app[FLIGHT].hold() as hold:
        hold.add(len(body))
        with contextlib.suppress(ConnectionError):  # the client has left
            await response.prepare(request)
            try:
                async with asyncio.timeout(request.app[SETTINGS].send_timeout):
                    await response.write(body)
            except TimeoutError:
                if request.transport is not None:
                    request.transport.abort()
    return response


def _json(answer: object, status: int = 200) -> web.Response:
    return web.json_response(answer, status=status, headers=_FRESH)
