"""The demonstration feed. It publishes like any application. No other module needs it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from aiohttp import web

from ..core.ends import Ended
from ..core.events import compact_json, timestamp
from ..core.hub import Hub
from ..core.ports import StoreUnavailable
from ..http.app_keys import BACKGROUND, HUB, METRICS, SETTINGS
from ..http.cluster import NODES, Nodes
from ..metrics import Metrics
from ..tasks import end

__all__ = ["CADENCE", "demonstration", "next_due"]

CADENCE = {"message": 2.0, "sensor": 4.0, "heartbeat": 5.0, "notification": 8.0, "metrics": 1.0}
"""Seconds between two events of each kind (docs/protocol.md, "The demonstration feed")."""

_MESSAGES = (
    "A parcel left the warehouse",
    "A new reader signed up",
    "Order confirmed",
    "Somebody liked the photograph of the lighthouse",
    "Backup finished",
    "The tide is turning",
    "Build passed",
    "A train arrived on time",
)
_SPECIAL = ("special", "🎉 That was number {sequence}")
_SPECIAL_EVERY = 10
_SENSORS = (
    ("temperature", "°C", 21.0, 2.5),
    ("humidity", "%", 48.0, 9.0),
    ("pressure", "hPa", 1013.0, 6.0),
    ("light", "lx", 420.0, 180.0),
)
_NOTIFICATIONS = (
    ("info", "Deployment", "Version {sequence} is being rolled out"),
    ("success", "Deployment", "Version {sequence} is live"),
    ("warning", "Disk space", "The volume of the archive is {percent} % full"),
    ("error", "Payment provider", "{percent} % of the requests were answered late"),
)


class _Feed:
    """The events of the feed, one method for each kind."""

    def __init__(self, hub: Hub, metrics: Metrics, nodes: Nodes) -> None:
        self._hub = hub
        self._nodes = nodes
        self._metrics = metrics

    async def message(self, sequence: int) -> None:
        special = sequence % _SPECIAL_EVERY == 0
        type, text = _SPECIAL if special else ("message", random.choice(_MESSAGES))
        await self._publish("main", type, {"sequence": sequence, "message": text.format(sequence=sequence)})

    async def sensor(self, sequence: int) -> None:
        name, unit, mean, swing = _SENSORS[sequence % len(_SENSORS)]
        value = round(mean + swing * math.sin(time.time() / 60) + random.gauss(0, swing / 10), 1)
        await self._publish("main", "sensor", {"sensor": name, "value": value, "unit": unit, "simulated": True})

    async def heartbeat(self, _: int) -> None:
        uptime = round(self._metrics.uptime, 3)
        subscribers = self._hub.statistics().subscribers
        await self._publish("main", "heartbeat", {"uptime": uptime, "subscribers": subscribers}, ephemeral=True)

    async def notification(self, sequence: int) -> None:
        level, title, text = random.choice(_NOTIFICATIONS)
        message = text.format(sequence=sequence, percent=random.randint(70, 95))
        await self._publish("main", "notification", {"level": level, "title": title, "message": message})

    async def metrics(self, _: int) -> None:
        await self._publish("metrics", "metrics", self._metrics.figures())

    async def _publish(self, channel: str, type: str, data: Mapping[str, object], *, ephemeral: bool = False) -> None:
        if not self._nodes.is_leader:
            return  # another node publishes it
        text = compact_json({**data, "timestamp": timestamp(time.time_ns() // 1_000_000)})
        # The next events come when the store is back, or when the channel has been forgotten.
        with contextlib.suppress(StoreUnavailable, Ended):
            await self._hub.publish(text, channel=channel, event=type, ephemeral=ephemeral)


async def _every(seconds: float, publish: Callable[[int], Awaitable[None]]) -> None:
    """Publish at once and then at every whole period from now, so that delays do not add up."""
    due = time.monotonic()
    sequence = 0
    while True:
        sequence += 1
        await publish(sequence)
        now = time.monotonic()
        due = next_due(due, now, seconds)
        await asyncio.sleep(due - now)


def next_due(due: float, now: float, seconds: float) -> float:
    """The first whole period after `due` that is not over.

    A sleep may end a moment early. So one period always passes: the clock alone would give the same period again.
    """
    return due + seconds * max(1, math.ceil((now - due) / seconds))


async def demonstration(app: web.Application) -> AsyncIterator[None]:
    """Publish the feed while the application runs, unless it is turned off. A cleanup context."""
    if app[SETTINGS].no_demo:
        yield
        return
    feed = _Feed(app[HUB], app[METRICS], app[NODES])
    tasks = [
        app[BACKGROUND].start("demo", functools.partial(_every, seconds, getattr(feed, kind)))
        for kind, seconds in CADENCE.items()
    ]
    yield
    for task in tasks:
        await end(task)
