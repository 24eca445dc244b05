"""Each limit: what happens at it, and that it is counted."""

from __future__ import annotations

import asyncio
import json
from ipaddress import ip_network
from typing import Any

import pytest
from conftest import PATIENCE, Server, serving
from tokens import SECRET, bearer

PROXY = {"trusted_proxies": (ip_network("127.0.0.1"),)}


async def hits(server: Server, limit: str) -> float:
    """How often a limit was met."""
    _, figures = await server.get("/metrics", headers={"Accept": "text/plain"})
    (line,) = [line for line in figures.splitlines() if line.startswith(f'sse_limit_hits_total{{limit="{limit}"}}')]
    return float(line.split()[1])


async def refusal(server: Server, path: str = "/stream", **headers: str) -> Any:
    """The problem of a stream that is asked to come back."""
    async with server.stream(path, headers) as stream:
        (event,) = await stream.rest()
        assert event.type == "error"
        return json.loads(event.data)


async def test_subscribers_in_all_are_limited() -> None:
    async with serving(max_subscribers=1) as server, server.stream() as first:
        await first.next()
        assert "--max-subscribers)" in (await refusal(server))["detail"]
        assert await hits(server, "subscribers") == 1


async def test_subscribers_of_an_address_are_limited_and_others_get_their_places() -> None:
    async with serving(max_subscribers_per_address=1, **PROXY) as server:
        async with server.stream("/stream", {"X-Forwarded-For": "192.0.2.1"}) as first:
            await first.next()
            problem = await refusal(server, **{"X-Forwarded-For": "192.0.2.1"})
            assert "192.0.2.1" in problem["detail"]
            async with server.stream("/stream", {"X-Forwarded-For": "192.0.2.2"}) as other:
                assert (await other.next()).type == "connected"
        assert await hits(server, "address") == 1


async def test_a_place_is_free_again_when_its_subscriber_has_left() -> None:
    async with serving(max_subscribers=1) as server:
        async with server.stream() as first:
            await first.next()
        while server.hub.statistics().subscribers:
            await asyncio.sleep(0.01)
        async with server.stream() as second:
            assert (await second.next()).type == "connected"


async def test_channels_of_a_connection_are_limited() -> None:
    async with serving(max_channels_per_connection=2) as server:
        response, problem = await server.get("/stream?channel=a&channel=b.*&channel=c")
        assert response.status == 400
        assert "3 channels" in problem["detail"]
        assert await hits(server, "channels_per_connection") == 1


async def test_of_too_many_channels_the_one_that_was_quiet_longest_goes() -> None:
    async with serving(max_channels=2) as server:
        for channel in ("a", "b", "a", "c"):
            await server.hub.publish("x", channel=channel)
        assert sorted(server.hub.channels()) == ["a", "c"]
        assert await hits(server, "channels") == 1


async def test_a_subscriber_of_a_channel_that_had_to_go_is_told_lost() -> None:
    async with serving(max_channels=1) as server:
        first = await server.hub.publish("1", channel="a")
        await server.hub.publish("2", channel="a")
        await server.hub.publish("x", channel="b")
        async with server.stream(f"/realtime/a?lastEventId={first}") as stream:
            assert json.loads((await stream.next()).data)["lost"] is True


async def test_a_live_subscriber_of_a_channel_that_had_to_go_misses_nothing() -> None:
    async with serving(max_channels=1) as server, server.stream("/stream?channel=a&channel=b") as stream:
        await stream.next()
        for number in range(6):
            await server.hub.publish(str(number), channel="ab"[number % 2])
        events = [await stream.next() for _ in range(6)]
        assert [(event.type, event.data) for event in events] == [("message", str(number)) for number in range(6)]


async def test_bytes_retained_in_all_are_limited_and_the_channel_that_was_quiet_longest_goes() -> None:
    async with serving(max_retained_bytes=10_000) as server:
        for channel in ("a", "b", "c"):
            await server.hub.publish("x" * 4000, channel=channel)
        assert sorted(server.hub.channels()) == ["b", "c"]
        assert server.hub.statistics().retained_bytes <= 10_000
        assert await hits(server, "retained_bytes") == 1


async def test_the_only_channel_keeps_the_newest_that_fit() -> None:
    async with serving(max_retained_bytes=10_000) as server:
        for number in range(100):
            await server.hub.publish(f"{number:04000d}", channel="a")
        _, answer = await server.get("/api/channels/a/events")
        assert [int(event["data"]) for event in answer["events"]] == [98, 99]


async def test_who_publishes_too_fast_is_told_when_to_come_back() -> None:
    async with serving(publish_rate=1) as server:
        statuses = [(await server.post("/realtime/main", data="x"))[0].status for _ in range(5)]
        response, problem = await server.post("/realtime/main", data="x")
        assert (statuses, response.status) == ([200] * 5, 429)
        assert response.headers["Retry-After"] == "1"
        assert "--publish-rate" in problem["detail"]
        assert await hits(server, "publish_rate") == 1


async def test_the_rate_is_that_of_a_token_wherever_it_comes_from() -> None:
    async with serving(publish_rate=0.1, jwt_key=SECRET, **PROXY) as server:
        statuses = []
        for name, address in (("anna", "192.0.2.1"), ("anna", "192.0.2.2"), ("ben", "192.0.2.1")):
            headers = bearer((), ["*"], sub=name) | {"X-Forwarded-For": address}
            statuses.append((await server.post("/realtime/main", data="x", headers=headers))[0].status)
        assert statuses == [200, 429, 200]


async def test_every_event_of_a_batch_counts() -> None:
    async with serving(publish_rate=1) as server:
        headers = {"Content-Type": "application/x-ndjson"}
        assert (await server.post("/realtime/main", data="1\n2\n3\n4\n5\n", headers=headers))[0].status == 200
        assert (await server.post("/realtime/main", data="x"))[0].status == 429


async def test_a_body_is_limited() -> None:
    async with serving(max_body=10) as server:
        assert (await server.post("/realtime/main", data="x" * 11))[0].status == 413
        assert await hits(server, "body") == 1


async def test_a_header_is_limited() -> None:
    async with serving() as server:
        response, _ = await server.get("/stream", headers={"X-Long": "x" * 9000})
        assert response.status == 400


async def test_a_body_has_to_arrive_in_time() -> None:
    async with serving(request_timeout=0.2) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /realtime/main HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nslow")
        async with asyncio.timeout(PATIENCE):
            answer = await reader.readuntil(b"--request-timeout")
        writer.close()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert await hits(server, "request_time") == 1


async def test_the_answers_kept_for_idempotency_keys_are_limited() -> None:
    async with serving(max_idempotency_keys=2) as server:
        for key in ("1", "2", "3"):
            await server.post("/realtime/main", data="x", headers={"Idempotency-Key": key})
        _, figures = await server.get("/metrics", headers={"Accept": "text/plain"})
        assert "sse_idempotency_keys 2.0" in figures
        assert await hits(server, "idempotency_keys") == 1


# Who is asking


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({}, "127.0.0.1"),
        ({"X-Forwarded-For": "192.0.2.1"}, "192.0.2.1"),
        ({"X-Forwarded-For": "1.1.1.1, 192.0.2.1"}, "192.0.2.1"),
        ({"X-Forwarded-For": "192.0.2.1, 10.0.0.1"}, "192.0.2.1"),
        ({"X-Forwarded-For": "10.0.0.2, 10.0.0.1"}, "10.0.0.2"),
        ({"X-Forwarded-For": "192.0.2.1, unknown"}, "127.0.0.1"),
        ({"X-Forwarded-For": "[2001:db8::1]:4711"}, "2001:db8::1"),
        ({"X-Forwarded-For": "192.0.2.1:4711"}, "192.0.2.1"),
        ({"Forwarded": 'for="[2001:db8::1]:80";proto=https, for=10.0.0.1'}, "2001:db8::1"),
        ({"Forwarded": "for=1.1.1.1", "X-Forwarded-For": "192.0.2.1"}, "192.0.2.1"),
    ],
)
async def test_a_trusted_proxy_says_who_is_asking(headers: dict[str, str], address: str) -> None:
    networks = (ip_network("127.0.0.1"), ip_network("10.0.0.0/8"))
    async with serving(trusted_proxies=networks) as server, server.stream("/stream", headers) as stream:
        await stream.next()
        _, answer = await server.get("/api/subscribers")
        assert answer["subscribers"][0]["address"] == address


async def test_nobody_else_is_believed() -> None:
    headers = {"X-Forwarded-For": "192.0.2.1", "X-Request-ID": "mine"}
    async with serving() as server, server.stream("/stream", headers) as stream:
        await stream.next()
        _, answer = await server.get("/api/subscribers")
        assert answer["subscribers"][0]["address"] == "127.0.0.1"
        assert stream.response.headers["X-Request-ID"] != "mine"


async def test_a_request_keeps_the_id_that_a_trusted_proxy_gave_it() -> None:
    async with serving(**PROXY) as server:
        response, _ = await server.get("/health", headers={"X-Request-ID": "abc-1"})
        assert response.headers["X-Request-ID"] == "abc-1"


@pytest.mark.parametrize("path", ["/", "/health", "/stream?channel=,", "/nowhere"])
async def test_every_answer_has_safe_headers(server: Server, path: str) -> None:
    response, _ = await server.get(path)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in response.headers


# The figures


async def test_replays_and_endings_are_counted(server: Server) -> None:
    id = await server.hub.publish("x")
    for query in ("", "?replay=1", f"?lastEventId={id}", "?lastEventId=1-0"):
        async with server.stream(f"/stream{query}") as stream:
            await stream.next()
    while server.hub.statistics().subscribers:
        await asyncio.sleep(0.01)
    _, figures = await server.get("/metrics", headers={"Accept": "text/plain"})
    for outcome in ("replayed", "resumed", "lost"):
        assert f'sse_replays_total{{outcome="{outcome}"}} 1.0' in figures
    assert 'sse_streams_ended_total{reason="left"} 4.0' in figures


async def test_the_loops_lag_and_the_stores_time_are_measured(server: Server) -> None:
    await server.post("/realtime/main", data="x")
    while True:
        _, figures = await server.get("/metrics", headers={"Accept": "text/plain"})
        if "sse_event_loop_lag_seconds_count 0.0" not in figures:
            break
        await asyncio.sleep(0.05)
    assert "sse_store_seconds_count 1.0" in figures
    assert "sse_publish_seconds_count 1.0" in figures
