"""The Server-Sent Events hub as a program, `python sse_server.py`, and as an aiohttp application, `create_app()`.

This module is the table of contents: it names every route, middleware and background task.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence

from aiohttp import web

from sse_hub.core.hub import Hub
from sse_hub.core.update_hub import UpdateHub
from sse_hub.http import (
    access,
    channels,
    cluster,
    front,
    headers,
    history,
    mercure,
    openapi,
    operations,
    publish,
    request_log,
    session,
    site,
    streams,
    subscribe,
    subscribers,
)
from sse_hub.http.access import ACCESS, Access
from sse_hub.http.app_keys import BACKGROUND, BUDGET, HUB, METRICS, RATE, SETTINGS
from sse_hub.http.cluster import NODES, Nodes
from sse_hub.http.expectations import with_expectations
from sse_hub.http.idempotency import IDEMPOTENCY, IdempotencyCache
from sse_hub.http.mercure_streams import MERCURE_STREAMS
from sse_hub.http.streams import STREAMS, Streams
from sse_hub.http.workers import WORKERS, Workers, answering
from sse_hub.limits import ByteBudget, Rate
from sse_hub.metrics import Metrics
from sse_hub.program import command, config, demo, gunicorn, serving, stores, systemd, workers
from sse_hub.program.serving import make_runner
from sse_hub.settings import SettingError, Settings
from sse_hub.stdio import escape_what_cannot_be_printed, open_closed_descriptors, print_error, program_name
from sse_hub.tasks import Background
from sse_hub.worker import Worker

__all__ = ["HUB", "Settings", "create_app", "main", "make_runner"]

logger = logging.getLogger("sse_hub")

ROUTES = [
    web.get("/", site.page),
    web.get("/web/{file:.+}", site.asset),
    web.get("/stream", subscribe.follow_channels, allow_head=False),
    web.get("/realtime/{channel:[^/]+}", subscribe.follow_channel, allow_head=False),
    web.post("/realtime/{channel:[^/]+}", publish.publish),
    web.delete("/realtime/{channel:[^/]+}", publish.forget),
    web.get("/metrics", operations.metrics, allow_head=False),
    web.post("/api/broadcast", publish.broadcast),
    web.get("/api/channels", channels.channels),
    web.get("/api/channels/{channel:[^/]+}/events", history.history),
    web.get("/api/subscribers", subscribers.subscribers),
    web.delete("/api/subscribers/{id}", subscribers.end),
    web.post("/api/session", session.begin),
    web.delete("/api/session", session.end),
    web.get("/api/openapi.json", openapi.describe),
    web.get("/health", operations.health),
]
"""Those of the Mercure protocol are in http/mercure.py."""


def create_app(settings: Settings | None = None, worker: Worker | None = None) -> web.Application:
    """Make the hub's aiohttp application. Run it, or mount it in another one by `add_subapp`. `app[HUB]` is its hub.

    :param settings: by default, the settings of the `SSE_*` variables.
    :param worker: this process among the workers of a server; by default it is the only one.
    """
    settings = _from_environment() if settings is None else settings
    worker = Worker() if worker is None else worker
    app = web.Application(
        middlewares=[front.front],
        client_max_size=settings.max_body,
    )
    gunicorn.refuse_several(settings)
    if gunicorn.is_worker():
        serving.hide_versions()
    for remark in settings.remarks:
        logger.warning("%s", remark)
    hub = Hub(stores.make_log(settings, _clock), _soon(app), settings.max_replay)
    of_updates = stores.of_updates(settings)
    updates = UpdateHub(stores.make_log(of_updates, _clock), _soon(app))
    background = Background()
    stores.attach_store(hub, settings, _clock, background)
    stores.attach_store(updates, of_updates, _clock, background, part=":mercure")

    app[SETTINGS] = settings
    app[HUB] = hub
    app[BACKGROUND] = background
    app[METRICS] = metrics = Metrics(
        lambda: hub.statistics() + updates.statistics(), settings.node_name, background.restarts, worker
    )
    app[ACCESS] = Access(settings)
    app[STREAMS] = Streams(hub, settings, metrics, worker)
    app[NODES] = Nodes(hub, candidate=not settings.no_demo)
    app[WORKERS] = Workers(worker, metrics, [app[STREAMS]])
    app[IDEMPOTENCY] = IdempotencyCache(settings.max_idempotency_keys, metrics)
    app[BUDGET] = budget = ByteBudget(settings.max_in_flight)
    metrics.in_flight_bytes.set_function(lambda: budget.bytes)
    app[RATE] = Rate(settings.publish_rate)

    app.add_routes(with_expectations(ROUTES))
    app.on_response_prepare.extend([headers.complete_headers, request_log.count_answer])
    app.cleanup_ctx.extend(
        [access.checking, cluster.storing, streams.sweeping, operations.measuring, answering, demo.demonstration]
    )
    app.on_shutdown.append(_drain)
    if not settings.no_mercure:
        mercure.add_mercure(app, updates, worker)
        app[WORKERS].streams.append(app[MERCURE_STREAMS])
    return app


def _from_environment() -> Settings:
    """:raises SystemExit: with one line on stderr if a variable cannot be used."""
    try:
        return config.load({}, os.environ)
    except SettingError as error:
        print_error(f"{program_name()}: {error}")
        raise SystemExit(gunicorn.boot_status(2)) from None


def _clock() -> int:
    return time.time_ns() // 1_000_000


def _soon(app: web.Application) -> Callable[[Callable[[], None]], object]:
    """Schedule a flush for the next turn of the event loop and measure its time."""
    return lambda flush: asyncio.get_running_loop().call_soon(app[METRICS].timed(flush))


async def _drain(app: web.Application) -> None:
    # The rest of the time is for publishes that are still being answered: see `serving.make_runner`.
    each = [app[STREAMS], *([app[MERCURE_STREAMS]] if MERCURE_STREAMS in app else [])]
    await asyncio.gather(*(streams.drain(app[SETTINGS].drain * 0.8) for streams in each))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until a signal ends it; return the exit status.

    :param arguments: the command line without the program's name; by default that of this process.
    """
    open_closed_descriptors()
    escape_what_cannot_be_printed()
    return command.run(arguments, _run)


def _run(settings: Settings) -> int:
    if settings.workers > 1:
        return workers.run(settings, create_app)
    serving.prepare(settings)
    try:
        with asyncio.Runner(loop_factory=serving.loop_factory(settings.loop)) as runner:
            runner.run(serving.serve(create_app(settings), lambda port: _started(settings, port)))
    except OSError as error:
        print_error(f"{program_name()}: {serving.cannot_listen(error, settings)}")
        return 1
    return 0


def _started(settings: Settings, port: int) -> None:
    serving.announce(settings, port)
    systemd.notify("READY=1")


if __name__ == "__main__":
    raise SystemExit(main())
