"""Running the application in this process: its addresses, its event loop, its signals, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import ssl
import sys
from collections.abc import Awaitable, Callable

from aiohttp import web, web_response

from .. import logs
from ..http import request_log
from ..http.access import ACCESS
from ..http.app_keys import BACKGROUND, HUB, METRICS, SETTINGS
from ..http.mercure_access import MERCURE_ACCESS
from ..http.shortcut import Runner
from ..settings import SettingError, Settings, url_of
from ..stdio import program_name
from ..tasks import end
from . import config, signals, systemd

__all__ = [
    "announce",
    "cannot_listen",
    "certificate",
    "hide_versions",
    "loop_factory",
    "make_runner",
    "prepare",
    "serve",
]

BACKLOG = 4096
"""Connections that the kernel completes before we accept them. With aiohttp's 128, a thousand clients that come at once
wait for seconds."""

SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread that reads the store lets the event loop continue. Python's default of 5 ms is longer
than a delivery."""

logger = logging.getLogger("sse_hub")


def hide_versions() -> None:
    """Remove the versions of aiohttp and Python from aiohttp's own answers, for example to malformed requests. Versions
    help an attacker. This is only for our own process, not for an application that embeds the hub."""
    web_response.SERVER_SOFTWARE = "sse-hub"  # type: ignore[attr-defined]


def make_runner(app: web.Application) -> web.AppRunner:
    """A runner for the application of `create_app` with the limits of its settings."""
    settings = app[SETTINGS]
    hide_versions()
    return Runner(
        app,
        auto_decompress=False,  # `read_body` refuses compressed bodies; aiohttp must not unpack their rest
        access_log=logging.getLogger("sse_hub.requests") if settings.access_log else None,
        access_log_class=request_log.AccessLog,
        shutdown_timeout=settings.drain * 0.2,
        keepalive_timeout=settings.request_timeout,  # from the beginning of the connection, so slow headers end, too
        max_line_size=settings.max_header,
        max_field_size=settings.max_header,
    )


async def serve(app: web.Application, started: Callable[[int], None], *, reuse_port: bool = False) -> None:
    """Serve until SIGTERM or SIGINT, then drain and end. A signal during the start ends it after the start.

    A second signal ends the process at once, but not a worker: systemd and the arbiter may both send it SIGTERM.

    :param started: called with the port when connections are accepted and signals are handled.
    :param reuse_port: whether this is a worker, which shares the port with others.
    :raises OSError: if an address cannot be used.
    :raises SettingError: if the certificate cannot be used.
    """
    settings = app[SETTINGS]
    context = certificate(settings)
    runner = make_runner(app)
    ending, outdated = asyncio.Event(), asyncio.Event()
    signals.handle(ending.set, outdated.set, second_ends=not reuse_port)
    reading = app[BACKGROUND].start("read again", lambda: _read_again_whenever(outdated, app, context))
    try:
        await runner.setup()
        if ending.is_set():
            return
        for host in settings.host:
            port = runner.addresses[0][1] if runner.addresses else settings.port
            site = web.TCPSite(runner, host, port, backlog=BACKLOG, ssl_context=context, reuse_port=reuse_port or None)
            await site.start()
        started(runner.addresses[0][1])
        await ending.wait()
        systemd.notify("STOPPING=1")
        logger.info("ending: open streams: %d, time to close them: %g s", app[METRICS].streams, settings.drain)
    finally:
        await end(reading)
        await runner.cleanup()
        signals.hold_back("SIGHUP", *(("SIGTERM", "SIGINT") if reuse_port else ()))  # they would end the process


def announce(settings: Settings, port: int) -> None:
    """Print the address of the server for the person who started it."""
    logs.announce(f"sse-hub is at {url_of(settings, port)} - Ctrl-C ends it", settings.log_format)


def certificate(settings: Settings) -> ssl.SSLContext | None:
    """The TLS context of the server. None without TLS.

    :raises SettingError: if the certificate or its key cannot be used.
    """
    if not settings.tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _load(context, settings)
    return context


def _load(context: ssl.SSLContext, settings: Settings) -> None:
    files = f"--tls-cert {settings.tls_cert}" + (f" or --tls-key {settings.tls_key}" if settings.tls_key else "")
    try:
        # In a context of its own first: where this fails, OpenSSL has replaced the certificate, but not yet the key.
        for each in (ssl.create_default_context(), context):
            each.load_cert_chain(settings.tls_cert, settings.tls_key or None, password=_refuse_password)
    except OSError as error:
        raise SettingError(f"{files} cannot be used: {_reason(error)}") from None


def _reason(error: OSError) -> str:
    if not isinstance(error, ssl.SSLError):
        return error.strerror or str(error)
    if (error.reason or "").endswith("_MISMATCH"):
        return "the private key belongs to another certificate"
    return "there must be a certificate and a private key in PEM"


def _refuse_password() -> str:
    raise OSError("the private key is encrypted; use one without a password")


async def _read_again_whenever(outdated: asyncio.Event, app: web.Application, context: ssl.SSLContext | None) -> None:
    while True:
        await outdated.wait()
        outdated.clear()
        await _read_again(app, context)


async def _read_again(app: web.Application, context: ssl.SSLContext | None) -> None:
    """Read again what SIGHUP is for; new connections and requests use it. What cannot be used stays as it was."""
    settings = app[SETTINGS]
    readings: dict[str, Callable[[], Awaitable[None] | None]] = {
        "file of rules": lambda: _read_rules(app),
        "key of tokens": app[ACCESS].read_again,
    }
    if MERCURE_ACCESS in app:
        readings["key of Mercure tokens"] = app[MERCURE_ACCESS].read_again
    if context is not None:
        readings["certificate"] = lambda: _load(context, settings)
    done = []
    for name, read in readings.items():
        try:
            reading = read()
            if reading is not None:
                await reading
            done.append(name)
        except (SettingError, OSError, ValueError) as error:
            logs.log_line(logger, logging.ERROR, f"the {name} cannot be used, so the old one stays: {error}")
    logger.info("read again: %s", ", ".join(done) or "nothing")


async def _read_rules(app: web.Application) -> None:
    rules = await asyncio.to_thread(config.read_rules, app[SETTINGS])  # thousands of rules take a while
    app[HUB].log.rules.replace(rules)


class _WithoutMalformedRequests(logging.Filter):
    """Keeps aiohttp from logging a traceback for every client that does not speak HTTP. aiohttp answers it with 400."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return error is None or type(error).__module__ != "aiohttp.http_exceptions"


def prepare(settings: Settings) -> None:
    """Make this process ready to serve: its log, its limits and Python's collector."""
    logs.set_up(settings.log_format, settings.log_level)
    logging.getLogger("aiohttp.server").addFilter(_WithoutMalformedRequests())
    _raise_file_limit()
    _relax_collector()
    sys.setswitchinterval(SWITCH_INTERVAL)


def _raise_file_limit() -> None:
    """Raise the limit of open files as far as the system allows. Each subscriber needs one, and the default of 1,024 is
    soon used up."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _relax_collector() -> None:
    """Let Python's garbage collector run rarely. With 1,000 subscribers a full collection takes 70 ms, in which nothing
    is delivered. Connections leave no reference cycles (6,000 of them, without the collector: 0 objects).

    A collection of the middle generation looks at all objects since the last one. With a threshold of 50, it held the
    event loop for 40 ms while a million events were published; with 5, for 8 ms. Full ones stay as rare. In Python
    3.14, the number has another meaning: a larger one means less work at once.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, *((5, 1000) if sys.version_info < (3, 14) else (50, 100)))


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The factory for the event loop of `--loop`.

    :raises SystemExit: if that loop is not installed.
    """
    if name == "asyncio":
        return None
    try:
        import uvloop
    except ImportError:
        if name == "auto":
            return None
        raise SystemExit(f"{program_name()}: --loop uvloop needs uvloop: pip install 'sse-hub[speed]'") from None
    return uvloop.new_event_loop  # type: ignore[no-any-return, unused-ignore]


def cannot_listen(error: OSError, settings: Settings) -> str:
    """A message that says why the server cannot listen at its addresses, and what to do."""
    hosts = ", ".join(settings.host)
    if error.errno == errno.EADDRINUSE:
        other = settings.port + 1 if settings.port < 65535 else 8001
        return f"port {settings.port} of {hosts} is in use; try another: --port {other}"
    if error.errno == errno.EACCES:
        return f"port {settings.port} may not be used by this user; try one from 1024 up: --port 8000"
    return f"cannot listen at {hosts} port {settings.port}: {error.strerror or error}"
