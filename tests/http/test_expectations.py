"""The header `Expect`."""

from __future__ import annotations

import pytest
from hubs import Server, serving
from sockets import raw
from tokens import SECRET

_UPDATE = b"topic=t"


def post(path: str, *lines: str) -> bytes:
    """The headers of a publish, without its body."""
    form = "Content-Type: application/x-www-form-urlencoded"
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", form, "Content-Length: 7", *lines, "", ""]).encode()


@pytest.mark.parametrize("path", ["/realtime/a", "/realtime/%61", "/.well-known/mercure"])
async def test_an_expectation_that_is_not_known_is_ignored(server: Server, path: str) -> None:
    answer = await server.exchange(post(path, "Expect: a miracle", "Connection: close") + _UPDATE)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"X-Request-ID: " in answer


async def test_a_refusal_of_a_request_with_an_expectation_is_a_problem_document() -> None:
    async with serving(jwt_key=SECRET) as server:
        answer = await server.exchange(post("/realtime/a", "Expect: a miracle", "Connection: close") + _UPDATE)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"Content-Type: application/problem+json" in answer
    assert b"X-Request-ID: " in answer


@pytest.mark.parametrize("path", ["/realtime/a", "/.well-known/mercure"])
async def test_a_client_that_waits_is_invited_to_send_its_body(server: Server, path: str) -> None:
    async with raw(server.port, post(path, "Expect: 100-Continue")) as client:
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(_UPDATE)
        assert b"HTTP/1.1 200 OK" in await client.until(b"X-Request-ID: ")


async def test_a_client_of_http_1_0_is_not_invited(server: Server) -> None:
    request = post("/realtime/a", "Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0")
    assert (await server.exchange(request + _UPDATE)).startswith(b"HTTP/1.0 200 ")
