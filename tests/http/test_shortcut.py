"""The short way to the handlers gives the answers that aiohttp's way gives.

Each request is sent twice: to the hub as it runs, and to one whose owner has added a middleware that does nothing,
which goes aiohttp's way. If aiohttp changes what `match_info` reads, the tests of this file fail.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from hubs import PROMETHEUS, Server, running, serving
from sockets import raw

from sse_hub.settings import Settings
from sse_server import create_app, make_runner

OWN_TO_AN_ANSWER = {"Date", "X-Request-ID", "Content-Length"}
REQUESTS = [
    "POST /realtime/main",
    "POST /realtime/a%20b",
    "POST /realtime/%25",
    "POST /realtime/%C3%A9",
    "POST /realtime/a%2Fb",
    "POST /realtime/{main}",
    "POST /realtime/",
    "POST /realtime",
    "POST /realtime/main?event=",
    "POST /realtime/main/",
    "POST /realtime/main/more",
    "POST //realtime/main",
    "POST /elsewhere",
    "PUT /realtime/main",
    "OPTIONS /realtime/main",
    "OPTIONS /realtime/main/more",
    "OPTIONS *",
    "DELETE /realtime/main",
    "DELETE /api/subscribers/1",
    "HEAD /health",
    "HEAD /realtime/main",
    "GET /",
    "GET /web/app/page.js",
    "GET /web/",
    "GET /web",
    "GET /api/channels",
    "GET /api/channels/",
    "GET /api/channels/main/events",
    "GET /api/channels//events",
    "GET /health?%FF",
    "GET http://other.example/health",
    "GET /.well-known/mercure/subscriptions",
    "GET /.well-known/mercure/subscriptions/a",
    "GET /.well-known/mercure/subscriptions/a/b",
    "GET /.well-known/mercure/subscriptions/a/b/c",
]


@web.middleware
async def nothing(request: web.Request, handler: Handler) -> web.StreamResponse:
    return await handler(request)


@asynccontextmanager
async def both(**changes: Any) -> AsyncIterator[tuple[Server, Server]]:
    """A hub as it runs, and one whose requests go aiohttp's way."""
    app = create_app(Settings(no_demo=True, **changes))
    app.middlewares.append(nothing)
    async with serving(**changes) as short, running(app) as long:
        yield short, long


async def answer(
    server: Server, request: str, *lines: str, version: str = "1.1", closes: bool = True
) -> tuple[bytes, list[str], bytes]:
    """The status line, the headers and the problem document of an answer, without what differs each time.

    :param closes: whether the request closes the connection. If not, its answer must be a JSON object.
    """
    connection = f"Connection: {'close' if closes else 'keep-alive'}"
    head = [f"{request} HTTP/{version}", "Host: localhost", connection, "Content-Length: 1", *lines, "", "x"]
    async with raw(server.port, "\r\n".join(head).encode()) as client:
        received = await client.rest() if closes else await client.until(b"}")
    found, _, body = received.partition(b"\r\n\r\n")
    status, *headers = found.split(b"\r\n")
    shown = [line.decode() for line in headers if line.partition(b":")[0].decode() not in OWN_TO_AN_ANSWER]
    return status, sorted(shown), body if b"application/problem+json" in found else b""


@pytest.mark.parametrize("request_line", REQUESTS)
async def test_an_answer_is_the_one_of_the_long_way(request_line: str) -> None:
    async with both() as (short, long):
        assert await answer(short, request_line) == await answer(long, request_line)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("request_line", ["POST /realtime/main", "POST /realtime/main?event=", "POST /elsewhere"])
async def test_an_answer_after_which_the_connection_stays_is_the_one_of_the_long_way(
    request_line: str, version: str
) -> None:
    async with both() as (short, long):
        answers = [await answer(each, request_line, version=version, closes=False) for each in (short, long)]
        assert answers[0] == answers[1]


@pytest.mark.parametrize("line", ["Expect: 100-continue", "Expect: the impossible", "Origin: http://a.example"])
async def test_an_answer_to_a_request_with_unusual_headers_is_the_one_of_the_long_way(line: str) -> None:
    async with both(cors_origin=()) as (short, long):
        assert await answer(short, "POST /realtime/main", line) == await answer(long, "POST /realtime/main", line)


async def test_the_figures_name_the_same_routes() -> None:
    async with both() as (short, long):
        for request in REQUESTS:
            await answer(short, request)
            await answer(long, request)
        routes = [await counted(server) for server in (short, long)]
        assert len(routes[0]) > 10
        assert routes[0] == routes[1]


async def counted(server: Server) -> list[str]:
    """The lines of the metrics that count requests."""
    _, exposition = await server.get("/metrics", headers=PROMETHEUS)
    return sorted(line for line in exposition.splitlines() if line.startswith("sse_http_requests_total"))


async def test_only_an_application_to_which_nothing_was_added_has_the_short_way() -> None:
    app, changed = (create_app(Settings(no_demo=True)) for _ in range(2))
    changed.middlewares.append(nothing)
    assert not await goes_long_way(app)
    assert await goes_long_way(changed)


@pytest.mark.parametrize(("owner", "method"), [(web.Application, "_handle"), (web.UrlDispatcher, "resolve")])
async def test_a_library_that_replaces_a_method_of_aiohttp_sees_every_request(
    owner: type, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, seen = getattr(owner, method), []

    @functools.wraps(original)
    async def observed(self: object, request: web.Request) -> Any:
        seen.append(request.path)
        return await original(self, request)

    monkeypatch.setattr(owner, method, observed)  # as the integration of Sentry does
    async with serving() as server:
        assert await server.status("/health") == 200
    assert seen == ["/health"]


async def goes_long_way(app: web.Application) -> bool:
    """Whether the server calls a method of the application for each request."""
    async with making(app) as server:
        return getattr(server.request_handler, "__self__", None) is app


@asynccontextmanager
async def making(app: web.Application) -> AsyncIterator[web.Server]:
    """The server of an application, which does not listen."""
    runner = make_runner(app)
    await runner.setup()
    try:
        assert runner.server is not None
        yield runner.server
    finally:
        await runner.cleanup()
