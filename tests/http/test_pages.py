from __future__ import annotations

import asyncio

import pytest
from conftest import Server, serving

import sse_hub
from sse_hub.metrics import Metrics
from sse_hub.program.demo import CADENCE


async def test_the_page_and_its_assets_carry_an_etag_and_are_revalidated(server: Server) -> None:
    for path in ("/", "/web/app/page.js", "/web/app/page.css", "/web/client/sse.js", "/web/sse.js"):
        response, _ = await server.get(path)
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-cache"
        again, _ = await server.get(path, headers={"If-None-Match": response.headers["ETag"]})
        assert again.status == 304


async def test_the_page_runs_no_script_but_its_own(server: Server) -> None:
    response, _ = await server.get("/")
    assert "unsafe-inline" not in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/web/../setup.cfg", "/web/%2e%2e/setup.cfg", "/web/..%2fsetup.cfg", "/web//etc/passwd", "/web/"]
)
async def test_no_path_escapes_the_folder_of_the_page(server: Server, path: str) -> None:
    answer = await server.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.split()[1] in {b"403", b"404"}
    assert b"metadata" not in answer


async def test_channels_tell_subscribers_events_and_ids(server: Server) -> None:
    first = await server.hub.publish("a", channel="c")
    last = await server.hub.publish("b", channel="c")
    async with server.stream("/stream?channel=c&channel=quiet") as stream:
        await stream.next()
        _, said = await server.get("/api/channels")
    assert said["channels"] == [
        {"name": "c", "subscribers": 1, "events": 2, "first": str(first), "last": str(last)},
        {"name": "quiet", "subscribers": 1, "events": 0, "first": None, "last": None},
    ]


async def test_history_is_read_in_pages_from_the_oldest(server: Server) -> None:
    for number in range(5):
        await server.hub.publish(str(number), channel="c")
    _, page = await server.get("/api/channels/c/events?limit=2")
    assert [event["data"] for event in page["events"]] == ["0", "1"]
    _, rest = await server.get("/api/channels/c/events", params={"after": page["events"][-1]["id"]})
    assert [event["data"] for event in rest["events"]] == ["2", "3", "4"]
    assert rest["lost"] is False


async def test_history_says_when_events_after_the_cursor_are_gone() -> None:
    async with serving(history=1) as server:
        first = await server.hub.publish("a", channel="c")
        for data in "bc":
            await server.hub.publish(data, channel="c")
        _, said = await server.get(f"/api/channels/c/events?after={first}")
        assert (said["lost"], [event["data"] for event in said["events"]]) == (True, ["c"])


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after=x"])
async def test_a_malformed_history_request_is_a_400(server: Server, query: str) -> None:
    assert (await server.get(f"/api/channels/c/events?{query}"))[0].status == 400


async def test_health_tells_version_uptime_and_counts(server: Server) -> None:
    response, said = await server.get("/health")
    assert response.status == 200
    assert said.pop("uptime") >= 0
    assert said == {"status": "ok", "version": sse_hub.__version__, "subscribers": 0, "channels": 0, "store": "memory"}


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


async def test_prometheus_gets_counters_gauges_and_histograms(server: Server) -> None:
    await server.post("/realtime/secret-name", data=b"x")
    _, text = await server.get("/metrics", headers={"Accept": "text/plain"})
    assert "sse_events_published_total 1.0" in text
    assert 'sse_http_requests_total{method="POST",route="/realtime/{channel}",status="200"} 1.0' in text
    for name in ("sse_subscribers", "sse_publish_seconds_bucket", "sse_delivery_seconds_count", "python_info"):
        assert name in text
    assert "secret-name" not in text


async def test_the_figures_are_those_of_the_contract(server: Server) -> None:
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


async def test_the_demonstration_feed_publishes_every_kind_with_its_fields() -> None:
    fields = {
        "message": {"sequence", "message", "timestamp"},
        "sensor": {"sensor", "value", "unit", "simulated", "timestamp"},
        "notification": {"level", "title", "message", "timestamp"},
        "heartbeat": {"uptime", "subscribers", "timestamp"},
    }
    async with serving(no_demo=False) as server, server.stream("/stream?replay=9") as stream:
        seen: dict[str, set[str]] = {}
        while seen.keys() < fields.keys():
            event = await stream.next()
            if event.type in fields:
                seen[event.type] = set(event.json())
        assert seen == fields
        async with server.stream("/metrics?replay=1") as metrics:
            assert (await metrics.until("metrics"))[-1].json()["node"]


def test_the_cadence_of_the_feed_is_the_contracts() -> None:
    assert CADENCE == {"message": 2, "sensor": 4, "heartbeat": 5, "notification": 8, "metrics": 1}


async def test_without_the_demonstration_nothing_is_published(server: Server) -> None:
    await asyncio.sleep(0)
    assert server.hub.statistics().published == 0


async def test_a_wrong_method_is_a_405_with_allow(server: Server) -> None:
    response, problem = await server.ask("PUT", "/realtime/c")
    assert (response.status, response.headers["Allow"]) == (405, "GET,POST")
    assert "PUT" in problem["detail"]


async def test_a_path_that_is_not_there_is_a_404_problem_even_with_braces_in_it(server: Server) -> None:
    response, problem = await server.get("/{0}/x")
    assert (response.status, problem["title"]) == (404, "Not Found")
    assert response.content_type == "application/problem+json"


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


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /stream?channel=%ff%fe HTTP/1.1",
        b"GET /realtime/%ED%A0%80 HTTP/1.1",
        b"GET /%00 HTTP/1.1",
        b"GET / HTTP/9.9",
        b"\x16\x03\x01",
    ],
)
async def test_a_hostile_request_never_makes_a_500(server: Server, request_line: bytes) -> None:
    answer = await server.raw(request_line + b"\r\nHost: x\r\nAccept: nothing/at-all\r\nConnection: close\r\n\r\n")
    assert answer.split()[1].startswith((b"2", b"4"))


async def test_a_cursor_with_a_line_break_adds_no_field_to_the_stream(server: Server) -> None:
    async with server.stream("/stream?lastEventId=1-0%0Aevent:%20evil") as stream:
        connected = await stream.next()
        assert connected.type == "connected"
        assert "evil" not in connected.data
