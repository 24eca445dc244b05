"""The application keys of classes that know nothing of HTTP. The key of any other class stands beside its class."""

from __future__ import annotations

from aiohttp import web

from ..core.hub import Hub
from ..limits import ByteBudget, Rate
from ..metrics import Metrics
from ..settings import Settings
from ..tasks import Background

__all__ = ["BACKGROUND", "BUDGET", "HUB", "METRICS", "RATE", "SETTINGS", "hub_app"]

BACKGROUND: web.AppKey[Background] = web.AppKey("background", Background)
BUDGET: web.AppKey[ByteBudget] = web.AppKey("budget", ByteBudget)
HUB: web.AppKey[Hub] = web.AppKey("hub", Hub)
METRICS: web.AppKey[Metrics] = web.AppKey("metrics", Metrics)
RATE: web.AppKey[Rate] = web.AppKey("rate", Rate)
SETTINGS: web.AppKey[Settings] = web.AppKey("settings", Settings)


def hub_app(request: web.Request) -> web.Application:
    """The hub's application. In a middleware, a signal handler or a log, `request.app` may be the application in which
    it is mounted."""
    return request.match_info.apps[-1]
