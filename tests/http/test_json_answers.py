"""Answers in JSON that may be large, and answers to `HEAD`."""

from __future__ import annotations

import re

from hubs import serving


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
