"""The headers that every answer has, and CORS."""

from __future__ import annotations

import pytest
from hubs import Server, serving
from sockets import raw


@pytest.mark.parametrize("path", ["/", "/health", "/stream?channel=,", "/nowhere"])
async def test_every_answer_has_safe_headers(server: Server, path: str) -> None:
    response, _ = await server.get(path)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in response.headers


@pytest.mark.parametrize(
    "path",
    ["/", "/web/app/page.js", "/stream", "/realtime/c", "/metrics", "/api/broadcast", "/api/channels", "/health"],
)
async def test_every_path_answers_a_preflight(server: Server, path: str) -> None:
    response, _ = await server.ask("OPTIONS", path, headers={"Origin": "https://a.example"})
    assert response.status == 204
    assert "OPTIONS" in response.headers["Allow"]
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "Idempotency-Key" in response.headers["Access-Control-Allow-Headers"]


async def test_a_preflight_allows_the_headers_that_libraries_add(server: Server) -> None:
    asked = [
        ("Access-Control-Request-Headers", "hx-current-url,hx-request, authorization"),
        ("Access-Control-Request-Headers", 'no name, "quoted", datastar-request,'),
    ]
    async with server.client.options(f"{server.url}/stream", headers=asked) as response:
        allowed = response.headers["Access-Control-Allow-Headers"].split(", ")
    assert allowed[-3:] == ["datastar-request", "hx-current-url", "hx-request"]
    assert allowed[:-3] == ["Authorization", "Cache-Control", "Content-Type", "Idempotency-Key", "Last-Event-ID"]


async def test_only_named_origins_may_read_answers() -> None:
    async with serving(cors_origin=("https://a.example",)) as server:
        for origin, allowed in (("https://a.example", "https://a.example"), ("https://b.example", None)):
            response, _ = await server.get("/health", headers={"Origin": origin})
            assert response.headers.get("Access-Control-Allow-Origin") == allowed
            assert "Origin" in response.headers["Vary"]


@pytest.mark.parametrize("origin", ["https://a.example", None])
@pytest.mark.parametrize("allowed", [("*",), ("https://a.example",)])
async def test_the_answer_to_a_publish_has_the_headers_of_any_other(
    allowed: tuple[str, ...], origin: str | None
) -> None:
    """This answer is written by a faster way than others."""
    async with serving(cors_origin=allowed) as server:
        headers = {} if origin is None else {"Origin": origin}
        publish, _ = await server.post("/realtime/main", data=b"x", headers=headers)
        other, _ = await server.get("/health", headers=headers)
        assert publish.headers.keys() == other.headers.keys()
        for name in publish.headers.keys() - {"Date", "X-Request-ID", "Content-Length"}:
            assert publish.headers.getall(name) == other.headers.getall(name)


@pytest.mark.parametrize(
    ("version", "connection", "ends"),
    [("1.1", "", False), ("1.1", "close", True), ("1.0", "", True), ("1.0", "keep-alive", False)],
)
async def test_the_answer_to_a_publish_keeps_or_closes_the_connection(
    server: Server, version: str, connection: str, ends: bool
) -> None:
    header = f"Connection: {connection}\r\n" if connection else ""
    request = f"POST /realtime/main HTTP/{version}\r\nHost: x\r\n{header}Content-Length: 1\r\n\r\nx".encode()
    async with raw(server.port, request) as client:
        answer = (await client.until(b'"subscribers":0}')).lower()
        assert (b"connection: close" in answer) == (ends and version == "1.1")
        assert (b"connection: keep-alive" in answer) == (not ends and version == "1.0")
        if ends:
            await client.rest()
        else:
            client.send(request)
            while client.received.count(b'"subscribers":0}') < 2:
                await client.read()
