"""The application keys of classes that know nothing of HTTP. The key of any other class stands beside its class."""

from __future__ import annotations

from aiohttp import web

from ..core.hub import Hub
from ..core.update_hub import UpdateHub
from ..limits import ByteBudget, Rate
from ..metrics import Metrics
from ..settings import Settings
from ..tasks import Background

__all__ = ["BACKGROUND", "BUDGET", "HUB", "METRICS", "RATE", "SETTINGS", "UPDATES", "hub_app"]

BACKGROUND: web.AppKey[Background] = web.AppKey("background", Background)
BUDGET: web.AppKey[ByteBudget] = web.AppKey("budget", ByteBudget)
HUB: web.AppKey[Hub] = web.AppKey("hub", Hub)
METRICS: web.AppKey[Metrics] = web.AppKey("metrics", Metrics)
RATE: web.AppKey[Rate] = web.AppKey("rate", Rate)
SETTINGS: web.AppKey[Settings] = web.AppKey("settings", Settings)
UPDATES: web.AppKey[UpdateHub] = web.AppKey("updates", UpdateHub)
"""The hub of the Mercure protocol, if it is spoken."""


def hub_app(request: web.Request) -> web.Application:
    """The hub's application. In a middleware, a signal handler or a log, `request.app` may be the application in which
    it is mounted."""
    return request.match_info.apps[-1]
