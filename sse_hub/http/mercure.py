"""The Mercure protocol in an application: its routes and their parts (docs/protocol.md, "The Mercure protocol").

It has a hub and a store of its own, so that no channel, pattern, history or list of the other hub can show an update.
Limits, metrics, keys and the settings of the store are the same for the whole server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from ..core.update_hub import UpdateHub
from ..tasks import end
from ..worker import Worker
from .access import ACCESS
from .app_keys import BACKGROUND, METRICS, SETTINGS, UPDATES
from .expectations import with_expectations
from .mercure_access import MERCURE_ACCESS, MercureAccess
from .mercure_documents import SUBSCRIPTIONS_PATH
from .mercure_listing import list_subscriptions, show_subscription
from .mercure_publish import HUB_PATH, publish
from .mercure_streams import MERCURE_STREAMS, MercureStreams
from .mercure_subscribe import follow_topics
from .mercure_subscriptions import MERCURE_SUBSCRIPTIONS, Subscriptions, announcing
from .streams import STREAMS

__all__ = ["add_mercure"]


_ROUTES = [
    web.get(HUB_PATH, follow_topics),
    web.post(HUB_PATH, publish),
    web.get(SUBSCRIPTIONS_PATH, list_subscriptions),
    web.get(SUBSCRIPTIONS_PATH + "/{topic:[^/]+}", list_subscriptions),
    web.get(SUBSCRIPTIONS_PATH + "/{topic:[^/]+}/{subscriber:[^/]+}", show_subscription),
]


def add_mercure(app: web.Application, hub: UpdateHub, worker: Worker) -> None:
    """Let an application speak the protocol.

    :param hub: the hub of all updates. Its store is not open yet.
    """
    settings, metrics = app[SETTINGS], app[METRICS]
    app[UPDATES] = hub
    app[MERCURE_ACCESS] = MercureAccess(settings, app[ACCESS])
    app[MERCURE_SUBSCRIPTIONS] = subscriptions = Subscriptions(hub, enabled=settings.mercure_subscriptions)
    app[MERCURE_STREAMS] = MercureStreams(hub, settings, metrics, worker, app[STREAMS], subscriptions)
    app.add_routes(with_expectations(_ROUTES))
    app.cleanup_ctx.extend([_storing, _sweeping, announcing])


async def _storing(app: web.Application) -> AsyncIterator[None]:
    """Open the store of updates, and close it after all that use it. A cleanup context."""
    await app[UPDATES].store.open()
    yield
    await app[UPDATES].store.close()


async def _sweeping(app: web.Application) -> AsyncIterator[None]:
    """Run `Streams.sweep` while the application runs. A cleanup context."""
    task = app[BACKGROUND].start("mercure sweep", app[MERCURE_STREAMS].sweep)
    yield
    await end(task)
    await app[MERCURE_STREAMS].close()
