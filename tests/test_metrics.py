"""The figures of the server and its host."""

from __future__ import annotations

import pytest
from eventually import eventually
from hubs import Server, serving

from sse_hub.metrics import Metrics


async def test_prometheus_gets_counters_gauges_and_histograms(server: Server) -> None:
    await server.post("/realtime/secret-name", data=b"x")
    _, text = await server.get("/metrics", headers={"Accept": "text/plain"})
    assert "sse_events_published_total 1.0" in text
    assert 'sse_http_requests_total{method="POST",route="/realtime/{channel}",status="200"} 1.0' in text
    for name in ("sse_subscribers", "sse_publish_seconds_bucket", "sse_delivery_seconds_count", "python_info"):
        assert name in text
    assert "secret-name" not in text


async def test_the_figures_are_those_of_the_protocol(server: Server) -> None:
    figures = Metrics(server.hub.statistics, "node-1").figures()
    assert set(figures) == {
        "cpu_percent",
        "memory_percent",
        "memory_used_bytes",
        "network_received_bytes_per_second",
        "network_sent_bytes_per_second",
        "requests_per_second",
        "error_rate",
        "subscribers",
        "events_per_second",
        "deliveries_per_second",
        "node",
    }
    assert figures["node"] == "node-1"
    assert isinstance(figures["memory_used_bytes"], int)
    assert figures["memory_used_bytes"] > 0


async def test_the_lag_of_the_loop_and_the_time_of_the_store_are_measured(server: Server) -> None:
    await server.post("/realtime/main", data="x")
    await eventually(lambda: server.figure("sse_event_loop_lag_seconds_count"))
    assert await server.figure("sse_store_seconds_count") == 1
    assert await server.figure("sse_publish_seconds_count") == 1


@pytest.mark.parametrize(
    ("limit", "bounds"), [("channels", {"max_channels": 2}), ("retained_bytes", {"max_retained_bytes": 10_000})]
)
async def test_a_channel_that_had_to_go_is_counted_by_the_limit_that_it_met(limit: str, bounds: dict[str, int]) -> None:
    async with serving(**bounds) as server:
        for channel in ("a", "b", "c"):
            await server.hub.publish("x" * 4000, channel=channel)
        assert server.hub.channels("", 10) == ["b", "c"]
        assert await server.hits(limit) == 1
