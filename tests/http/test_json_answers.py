"""Answers in JSON that may be large, and answers to `HEAD`."""

from __future__ import annotations

import re

from eventually import eventually
from hubs import serving
from sockets import get, raw

from sse_hub.http.app_keys import BUDGET


async def test_answers_to_head_have_no_body_so_that_the_next_answer_is_read_right() -> None:
    async with serving(anonymous="all", mercure_subscriptions=True) as server:
        resources = {route.resource for route in server.app.router.routes() if route.method == "HEAD"}
        paths = [re.sub(r"\{.*?\}", "sse.js", each.canonical) for each in resources if each is not None]
        assert {"/", "/api/channels", "/web/sse.js", "/.well-known/mercure"} < set(paths)
        requests = "".join(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n" for path in paths)
        last = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        *heads, body = (await server.exchange(f"{requests}{last}".encode())).split(b"\r\n\r\n")
        assert [head[:9] for head in heads] == [b"HTTP/1.1 "] * (len(paths) + 1)
        assert body.startswith(b'{"status":"ok"')


async def test_an_answer_to_head_has_the_length_of_the_answer_to_get() -> None:
    async with serving() as server:
        await server.hub.publish("x" * 1000, channel="c")
        whole, _ = await server.get("/api/channels/c/events")
        head, _ = await server.ask("HEAD", "/api/channels/c/events")
        assert head.headers["Content-Length"] == whole.headers["Content-Length"]
        assert head.headers["Content-Type"] == whole.headers["Content-Type"]


async def test_slow_readers_of_histories_leave_room_for_publishes_and_the_oldest_makes_it() -> None:
    history = get("/api/channels/main/events", Connection="close")
    async with serving(max_in_flight=20_500_000) as server:
        await server.hub.publish("x" * 10_000_000 + "the end")  # more than the kernel's buffers hold
        budget = server.app[BUDGET]
        async with (
            raw(server.port, history, window_bytes=200_000) as oldest,
            raw(server.port, window_bytes=200_000) as other,
        ):
            oldest.freeze()
            await eventually(lambda: budget.bytes > 10_000_000)
            other.freeze()
            other.send(history)
            await eventually(lambda: budget.bytes > 20_000_000)
            response, _ = await server.post("/realtime/main", data=b"x" * 1_000_000)
            assert response.status == 200
            assert await server.hits("in_flight") == 1
            other.thaw()
            assert b"the end" in await other.rest()
            oldest.thaw()
            assert b"the end" not in await oldest.rest()
