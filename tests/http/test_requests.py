"""The parts of a request: query parameters, headers, body."""

from __future__ import annotations

import pytest
from hubs import Server, serving
from tokens import mint


async def test_a_body_that_is_not_utf_8_is_a_400_that_names_the_position(server: Server) -> None:
    response, problem = await server.post("/realtime/c", data=b"ab\xff")
    assert response.status == 400
    assert "byte 2" in problem["detail"]


async def test_a_header_is_limited() -> None:
    async with serving() as server:
        response, _ = await server.get("/stream", headers={"X-Long": "x" * 9000})
        assert response.status == 400


async def test_two_lines_of_accept_are_one_list(server: Server) -> None:
    headers = [("Accept", "text/event-stream;q=0.1"), ("Accept", "text/plain")]
    async with server.client.get(f"{server.url}/metrics", headers=headers) as response:
        assert response.content_type == "text/plain"


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_a_413_that_names_the_limit_and_is_counted(chunked: bool) -> None:
    async def pieces() -> object:
        yield b"x" * 60
        yield b"x" * 60

    async with serving(max_body=100) as server:
        data = pieces() if chunked else b"x" * 120
        response, problem = await server.post("/realtime/c", data=data)
        assert response.status == 413
        assert "100 bytes" in problem["detail"]
        assert await server.hits("body") == 1


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/stream?replay=1&replay=2", "replay"),
        ("GET", "/stream?replay=latest&replay=5", "replay"),
        ("GET", "/stream?from=start&from=1-0", "from"),
        ("GET", "/stream?plain=0&plain=1", "plain"),
        ("GET", "/stream?envelope=1&envelope=0", "envelope"),
        ("GET", "/stream?conflate=100&conflate=200", "conflate"),
        ("GET", "/realtime/a?ended=204&ended=200", "ended"),
        ("POST", "/realtime/a?end=done&end=failed", "end"),
        ("POST", "/realtime/a?event=x&event=y", "event"),
        ("POST", "/realtime/a?ephemeral=1&ephemeral=0", "ephemeral"),
        ("GET", "/api/channels?match=a&match=b", "match"),
        ("GET", "/api/channels?after=a&after=b", "after"),
        ("GET", "/api/channels/a/events?after=1-0&after=2-0", "after"),
        ("GET", "/api/channels/a/events?limit=1&limit=2", "limit"),
        ("GET", "/api/subscribers?after=1&after=2", "after"),
    ],
)
async def test_several_values_of_a_parameter_that_takes_one_are_a_400_that_says_so(
    server: Server, method: str, path: str, name: str
) -> None:
    response, problem = await server.ask(method, path, data=b"x" if method == "POST" else None)
    assert response.status == 400
    assert problem["detail"] == f"The parameter {name} has several values; it takes one."
    assert await server.retained("a") == []


@pytest.mark.parametrize(
    "path", ["/stream?token=a&token=b", "/.well-known/mercure?topic=t&authorization=a&authorization=b"]
)
async def test_a_request_with_two_tokens_in_its_query_is_a_400(guarded: Server, path: str) -> None:
    response, problem = await guarded.get(path)
    assert response.status == 400
    assert "has several values; it takes one" in problem["detail"]


async def test_the_same_value_twice_counts_once(guarded: Server) -> None:
    token = mint(["a"])
    async with guarded.stream(f"/realtime/a?token={token}&token={token}") as stream:
        assert (await stream.next()).type == "connected"


async def test_of_several_cursors_in_a_url_the_last_one_counts(server: Server) -> None:
    """Some polyfills of EventSource append the newest id at each reconnect, and leave the one that the page gave."""
    first, second, _ = [str(await server.hub.publish(text, channel="a")) for text in "xyz"]
    async with server.stream(f"/realtime/a?lastEventId={first}&lastEventId={second}") as stream:
        assert await stream.replay() == ["z"]
