"""Health and metrics of the server."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web
from msgspec import UNSET

from .. import __version__
from ..tasks import end
from .access import allow_subscribe, grant_of
from .answers import json_answer
from .app_keys import BACKGROUND, HUB, METRICS, SETTINGS, UPDATES
from .requests import listed, quality
from .schemas import Health
from .streams import STREAMS
from .subscribe import follow
from .workers import WORKERS

__all__ = ["health", "measuring", "metrics"]


async def health(request: web.Request) -> web.Response:
    """`GET /health`."""
    subscribers = request.app[METRICS].total().subscribers
    draining = request.app[STREAMS].draining
    trouble = "The server is ending." if draining else trouble_of(request.app)
    answer = Health(
        status="draining" if draining else "degraded" if trouble else "ok",
        version=__version__,
        uptime=round(request.app[METRICS].uptime, 3),
        subscribers=subscribers,
        channels=request.app[HUB].statistics().channels,
        store=request.app[SETTINGS].address.kind,
        reason=trouble or UNSET,
    )
    return json_answer(answer, 503 if trouble else 200)


def trouble_of(app: web.Application) -> str | None:
    """A sentence that says why nothing can be published now; None if all is well."""
    updates = app[UPDATES].store.trouble if UPDATES in app else None
    return app[HUB].store.trouble or updates


async def metrics(request: web.Request) -> web.StreamResponse:
    """`GET /metrics`: Prometheus' exposition for clients that prefer it, else the event stream of the channel
    `metrics`."""
    accept = listed(request, "Accept", "text/event-stream")
    exposition = max(quality(accept, "text/plain"), quality(accept, "application/openmetrics-text"))
    if exposition <= quality(accept, "text/event-stream"):
        return await follow(request, ["metrics"])
    allow_subscribe(request, await grant_of(request), ["metrics"])
    body, content_type = await request.app[WORKERS].exposition(accept)
    return web.Response(
        body=body, headers={"Content-Type": content_type, "Cache-Control": "no-store", "Vary": "Accept"}
    )


async def measuring(app: web.Application) -> AsyncIterator[None]:
    """Measure the event loop while the application runs. A cleanup context."""
    task = app[BACKGROUND].start("lag", app[METRICS].measure_lag)
    yield
    await end(task)
