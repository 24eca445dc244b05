"""Errors as problem documents."""

from __future__ import annotations

import pytest
from hubs import Server


async def test_a_wrong_method_is_a_405_with_allow(server: Server) -> None:
    response, problem = await server.ask("PUT", "/realtime/c")
    assert (response.status, response.headers["Allow"]) == (405, "DELETE,GET,POST")
    assert "PUT" in problem["detail"]


async def test_a_path_that_is_not_there_is_a_404_problem_even_with_braces_in_it(server: Server) -> None:
    response, problem = await server.get("/{0}/x")
    assert (response.status, problem["title"]) == (404, "Not Found")
    assert response.content_type == "application/problem+json"


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /stream?channel=%ff%fe HTTP/1.1", b"400"),
        (b"GET /realtime/%ED%A0%80 HTTP/1.1", b"400"),
        (b"GET /%00 HTTP/1.1", b"404"),
        (b"GET / HTTP/9.9", b"400"),
        (b"\x16\x03\x01", b"400"),
    ],
)
async def test_a_hostile_request_is_refused(server: Server, request_line: bytes, status: bytes) -> None:
    answer = await server.exchange(request_line + b"\r\nHost: x\r\nAccept: nothing/at-all\r\nConnection: close\r\n\r\n")
    assert answer.split()[1] == status
