"""The Server-Sent Events hub as a program, `python sse_server.py`, and as an aiohttp application, `create_app()`.

This is the table of contents: every route, middleware and background task is named here, and nothing else happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import os
import ssl
import sys
import time
from collections.abc import Callable, Sequence

from aiohttp import web, web_response

from sse_hub import logs
from sse_hub.core.hub import Hub
from sse_hub.http import (
    access,
    channels,
    cluster,
    headers,
    history,
    openapi,
    operations,
    problems,
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
from sse_hub.http.idempotency import IDEMPOTENCY, IdempotencyCache
from sse_hub.http.streams import STREAMS, Streams
from sse_hub.limits import ByteBudget, Rate
from sse_hub.metrics import Metrics
from sse_hub.program import command, demo, signals, stores, systemd, workers
from sse_hub.settings import SettingError, Settings, url_of
from sse_hub.stdio import complain, secure
from sse_hub.tasks import Background

__all__ = ["HUB", "Settings", "create_app", "main", "make_runner"]

BACKLOG = 4096
"""Connections that the kernel completes before we accept them. With aiohttp's 128, a thousand clients that come at once
wait for seconds."""

SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread that reads the store lets the event loop go on. Python's 5 ms are longer than a
delivery takes."""

logger = logging.getLogger("sse_hub")


def create_app(settings: Settings | None = None) -> web.Application:
    """The hub as an aiohttp application, to be run, or mounted in another by `add_subapp`. Its hub is `app[HUB]`.

    :param settings: by default those of the `SSE_*` variables.
    """
    settings = _from_environment() if settings is None else settings
    app = web.Application(
        middlewares=[problems.problem_documents, access.guard, headers.preflight],
        client_max_size=settings.max_body,
    )
    workers.refuse_several(settings)
    if workers.is_worker():
        _hide_versions()
    for remark in settings.remarks:
        logger.warning("%s", remark)
    hub = Hub(stores.make_log(settings, _clock), _soon(app), settings.max_replay)
    background = Background()
    stores.attach_store(hub, settings, _clock, background)

    app[SETTINGS] = settings
    app[HUB] = hub
    app[BACKGROUND] = background
    app[METRICS] = metrics = Metrics(hub.statistics, settings.node_name, background.restarts)
    app[ACCESS] = Access(settings, metrics)
    app[STREAMS] = Streams(hub, settings, metrics)
    app[NODES] = Nodes(hub)
    app[IDEMPOTENCY] = IdempotencyCache(settings.max_idempotency_keys, metrics)
    app[BUDGET] = budget = ByteBudget(settings.max_in_flight)
    metrics.in_flight_bytes.set_function(lambda: budget.bytes)
    app[RATE] = Rate(settings.publish_rate)

    app.add_routes(
        [
            web.get("/", site.page),
            web.get("/web/{file:.+}", site.asset),
            web.get("/stream", subscribe.follow_channels, allow_head=False),
            web.get("/realtime/{channel}", subscribe.follow_channel, allow_head=False),
            web.post("/realtime/{channel}", publish.publish),
            web.get("/metrics", operations.metrics, allow_head=False),
            web.post("/api/broadcast", publish.broadcast),
            web.get("/api/channels", channels.channels),
            web.get("/api/channels/{channel}/events", history.history),
            web.get("/api/subscribers", subscribers.subscribers),
            web.delete("/api/subscribers/{id}", subscribers.end),
            web.post("/api/session", session.begin),
            web.delete("/api/session", session.end),
            web.get("/api/openapi.json", openapi.describe),
            web.get("/health", operations.health),
        ]
    )
    app.on_response_prepare.extend([headers.complete_headers, request_log.count_answer])
    app.cleanup_ctx.extend(
        [access.checking, cluster.storing, streams.sweeping, operations.measuring, demo.demonstration]
    )
    app.on_shutdown.append(_drain)
    return app


def _from_environment() -> Settings:
    """:raises SystemExit: with one line on stderr if a variable cannot be used."""
    try:
        return Settings.read({}, os.environ)
    except SettingError as error:
        complain(f"sse-server: {error}")
        raise SystemExit(2) from None


def _clock() -> int:
    return time.time_ns() // 1_000_000


def _soon(app: web.Application) -> Callable[[Callable[[], None]], object]:
    """Call a flush once a turn of the event loop, and time it."""
    return lambda flush: asyncio.get_running_loop().call_soon(app[METRICS].timed(flush))


async def _drain(app: web.Application) -> None:
    # The rest of the time is for publishes that are still being answered: see `_serve`.
    await app[STREAMS].drain(app[SETTINGS].drain * 0.8)


def _hide_versions() -> None:
    """aiohttp itself answers what is no HTTP. It would name its version and Python's to people who look for holes in
    them. Done only where the process is ours, not where another application embeds this one."""
    web_response.SERVER_SOFTWARE = "sse-hub"  # type: ignore[attr-defined]


def make_runner(app: web.Application) -> web.AppRunner:
    """What runs the application of `create_app` with the limits of its settings."""
    settings = app[SETTINGS]
    _hide_versions()
    return web.AppRunner(
        app,
        auto_decompress=False,  # `read_body` refuses what is compressed; what is left of it must not be unpacked either
        access_log=logging.getLogger("sse_hub.requests") if settings.access_log else None,
        access_log_class=request_log.AccessLog,
        shutdown_timeout=settings.drain * 0.2,
        keepalive_timeout=settings.request_timeout,  # counted from the connection on, so that slow headers end, too
        max_line_size=settings.max_header,
        max_field_size=settings.max_header,
    )


async def _serve(app: web.Application, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then end well. A second signal ends at once."""
    runner = make_runner(app)
    await runner.setup()
    certificate = _certificate(settings)
    ending = asyncio.Event()

    def end() -> None:
        for name in ("SIGTERM", "SIGINT"):
            signals.restore(name)
        ending.set()

    try:
        for host in settings.host:
            port = runner.addresses[0][1] if runner.addresses else settings.port
            await web.TCPSite(runner, host, port, backlog=BACKLOG, ssl_context=certificate).start()
        for name in ("SIGTERM", "SIGINT"):
            signals.on(name, end)
        signals.on("SIGHUP", lambda: _read_again(app, certificate))
        logs.announce(f"sse-hub is at {url_of(settings, runner.addresses[0][1])} - Ctrl-C ends it", settings.log_format)
        systemd.notify("READY=1")
        await ending.wait()
        systemd.notify("STOPPING=1")
        logger.info("ending: %d streams have %g s to close", app[HUB].statistics().subscribers, settings.drain)
    finally:
        await runner.cleanup()


def _certificate(settings: Settings) -> ssl.SSLContext | None:
    """What TLS is served with; None without.

    :raises OSError: if the certificate or its key cannot be used; `ssl.SSLError` is one.
    """
    if not settings.tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings.tls_cert, settings.tls_key or None, password=_refuse_password)
    return context


def _refuse_password() -> str:
    raise OSError("its private key is encrypted; it takes one without a password")


def _read_again(app: web.Application, certificate: ssl.SSLContext | None) -> None:
    """Use what is in the files now: the key of tokens, and the certificate, for connections from now on."""
    settings = app[SETTINGS]
    try:
        app[ACCESS].read_again()
        if certificate is not None:
            certificate.load_cert_chain(settings.tls_cert, settings.tls_key or None, password=_refuse_password)
        logger.info("certificate and keys were read again")
    except (OSError, ValueError) as error:
        logs.tell(logger, logging.ERROR, f"certificate or key cannot be read, so the old one stays: {error}")


class _WithoutMalformedRequests(logging.Filter):
    """Keeps aiohttp from logging a traceback for every port scanner that speaks no HTTP; it answers them with 400."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return error is None or type(error).__module__ != "aiohttp.http_exceptions"


def _raise_file_limit() -> None:
    """Allow as many descriptors as the system lets us: each subscriber is one, and the default of 1,024 is soon used
    up."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _rest_collector() -> None:
    """Have Python look for cyclic garbage seldom: with 1,000 subscribers a full look takes 70 ms, in which nothing is
    delivered. Connections leave no cycles behind (6,000 of them, without the collector: 0 objects), so little waits."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """:raises SystemExit: if that loop is not installed."""
    if name == "asyncio":
        return None
    try:
        import uvloop
    except ImportError:
        if name == "auto":
            return None
        raise SystemExit("sse-server: --loop uvloop needs it installed: pip install 'sse-hub[speed]'") from None
    return uvloop.new_event_loop  # type: ignore[no-any-return, unused-ignore]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until it is told to end; return the exit status.

    :param arguments: the command line without the program's name; by default that of this process.
    """
    secure()
    return command.run(arguments, _run)


def _run(settings: Settings) -> int:
    logs.set_up(settings.log_format, settings.log_level)
    logging.getLogger("aiohttp.server").addFilter(_WithoutMalformedRequests())
    _raise_file_limit()
    _rest_collector()
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        with asyncio.Runner(loop_factory=_loop_factory(settings.loop)) as runner:
            runner.run(_serve(create_app(settings), settings))
    except ssl.SSLError:
        raise
    except OSError as error:
        complain(f"sse-server: {_about(error, settings)}")
        return 1
    return 0


def _about(error: OSError, settings: Settings) -> str:
    hosts = ", ".join(settings.host)
    if error.errno == errno.EADDRINUSE:
        other = settings.port + 1 if settings.port < 65535 else 8001
        return f"port {settings.port} of {hosts} is in use; try another: --port {other}"
    if error.errno == errno.EACCES:
        return f"port {settings.port} may not be used by this user; try one from 1024 up: --port 8000"
    return f"cannot listen at {hosts} port {settings.port}: {error.strerror or error}"


if __name__ == "__main__":
    raise SystemExit(main())
