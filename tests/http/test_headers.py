"""The headers that every answer has, and CORS."""

from __future__ import annotations

import pytest
from hubs import Server, serving


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


async def test_only_named_origins_may_read_answers() -> None:
    async with serving(cors_origin=("https://a.example",)) as server:
        for origin, allowed in (("https://a.example", "https://a.example"), ("https://b.example", None)):
            response, _ = await server.get("/health", headers={"Origin": origin})
            assert response.headers.get("Access-Control-Allow-Origin") == allowed
            assert "Origin" in response.headers["Vary"]
