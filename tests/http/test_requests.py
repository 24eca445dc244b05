"""The parts of a request: query parameters, headers, body."""

from __future__ import annotations

import pytest
from hubs import Server, serving


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
