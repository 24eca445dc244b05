"""Health, and the figures over HTTP."""

from __future__ import annotations

import pytest
from hubs import Server
from tokens import bearer

import sse_hub


async def test_health_gives_version_uptime_and_counts(server: Server) -> None:
    response, answer = await server.get("/health")
    assert response.status == 200
    assert answer.pop("uptime") >= 0
    assert answer == {
        "status": "ok",
        "version": sse_hub.__version__,
        "subscribers": 0,
        "channels": 0,
        "store": "memory",
    }


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/event-stream", "text/event-stream"),
        ("*/*", "text/event-stream"),
        ("text/plain", "text/plain"),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5,*/*;q=0.1", "application/openmetrics-text"),
    ],
)
async def test_metrics_are_an_event_stream_or_prometheus_by_accept(server: Server, accept: str, kind: str) -> None:
    async with server.client.get(server.url + "/metrics", headers={"Accept": accept}) as response:
        assert response.content_type == kind


async def test_prometheus_needs_the_channel_metrics(guarded: Server) -> None:
    accept = {"Accept": "text/plain"}
    assert await guarded.status("/metrics", headers=accept) == 401
    assert await guarded.status("/metrics", headers=accept | bearer(["sensors.*"])) == 403
    assert await guarded.status("/metrics", headers=accept | bearer(["metrics"])) == 200


@pytest.mark.parametrize("accept", ["text/plain; version=abc", "application/openmetrics-text; version=1.x"])
async def test_a_version_of_the_exposition_that_is_no_number_gets_the_usual_one(server: Server, accept: str) -> None:
    response, _ = await server.ask("GET", "/metrics", headers={"Accept": accept})
    assert (response.status, response.content_type) == (200, "text/plain")
