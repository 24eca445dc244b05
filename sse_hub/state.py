"""What the parts of the application share, by the keys under which aiohttp's `Application` holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from .hub import Hub
from .metrics import Metrics
from .settings import Settings

if TYPE_CHECKING:
    from .nodes import Nodes
    from .publish import Answers
    from .stream import Streams

__all__ = ["ANSWERS", "HUB", "METRICS", "NODES", "SETTINGS", "STREAMS"]

SETTINGS: web.AppKey[Settings] = web.AppKey("settings", Settings)
HUB: web.AppKey[Hub] = web.AppKey("hub", Hub)
METRICS: web.AppKey[Metrics] = web.AppKey("metrics", Metrics)
STREAMS: web.AppKey[Streams] = web.AppKey("streams")
NODES: web.AppKey[Nodes] = web.AppKey("nodes")
ANSWERS: web.AppKey[Answers] = web.AppKey("answers")
