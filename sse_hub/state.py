"""What the parts of the application share, by the keys under which aiohttp's `Application` holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from .core.hub import Hub
from .limits import Flight, Rate
from .metrics import Metrics
from .settings import Settings
from .tasks import Background

if TYPE_CHECKING:
    from .access import Access
    from .nodes import Nodes
    from .publish import Answers
    from .stream import Streams

__all__ = [
    "ACCESS",
    "ANSWERS",
    "BACKGROUND",
    "FLIGHT",
    "HUB",
    "METRICS",
    "NODES",
    "RATE",
    "SETTINGS",
    "STREAMS",
    "hub_of",
]

BACKGROUND: web.AppKey[Background] = web.AppKey("background", Background)
SETTINGS: web.AppKey[Settings] = web.AppKey("settings", Settings)
HUB: web.AppKey[Hub] = web.AppKey("hub", Hub)
METRICS: web.AppKey[Metrics] = web.AppKey("metrics", Metrics)
STREAMS: web.AppKey[Streams] = web.AppKey("streams")
NODES: web.AppKey[Nodes] = web.AppKey("nodes")
ACCESS: web.AppKey[Access] = web.AppKey("access")
ANSWERS: web.AppKey[Answers] = web.AppKey("answers")
FLIGHT: web.AppKey[Flight] = web.AppKey("flight", Flight)
RATE: web.AppKey[Rate] = web.AppKey("rate")


def hub_of(request: web.Request) -> web.Application:
    """The hub's application, also for what runs outside a handler (a middleware, a signal, a log), where `request.app`
    may be the one that it is mounted in."""
    return request.match_info.apps[-1]
