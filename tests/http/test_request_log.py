"""The id, the count and the log line of every request."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hubs import Server, logged, serving

PROXY = {"trusted_proxies": (ip_network("127.0.0.1"),)}


async def test_a_request_keeps_the_id_that_a_trusted_proxy_gave_it() -> None:
    async with serving(**PROXY) as server:
        response, _ = await server.get("/health", headers={"X-Request-ID": "abc-1"})
        assert response.headers["X-Request-ID"] == "abc-1"


async def test_a_request_id_from_an_untrusted_client_is_replaced(server: Server) -> None:
    response, _ = await server.get("/health", headers={"X-Request-ID": "mine"})
    assert response.headers["X-Request-ID"] != "mine"


@pytest.mark.parametrize("id", ["", "a b", "a" * 65, "a\tb"])
async def test_an_id_that_would_spoil_the_log_is_replaced(id: str) -> None:
    async with serving(**PROXY) as server:
        response, _ = await server.get("/health", headers={"X-Request-ID": id})
        assert response.headers["X-Request-ID"] != id


async def test_every_answer_is_counted_by_route_method_and_status(server: Server) -> None:
    await server.get("/api/channels/secret-name/events")
    await server.get("/nowhere")
    await server.ask("PROPFIND", "/health")
    for labels in (
        'method="GET",route="/api/channels/{channel}/events",status="200"',
        'method="GET",route="none",status="404"',
        'method="other",route="none",status="405"',
    ):
        assert await server.figure(f"sse_http_requests_total{{{labels}}}") == 1


@pytest.mark.parametrize("request_line", [b"GET / HTTP/x", b"G\x01T / HTTP/1.1"])
async def test_a_request_that_is_no_http_has_its_line_in_the_log(
    caplog: pytest.LogCaptureFixture, request_line: bytes
) -> None:
    async with serving(access_log=True) as server:
        with caplog.at_level("INFO"):
            answer = await server.exchange(request_line + b"\r\nHost: hub\r\nConnection: close\r\n\r\n")
        assert b" 400 " in answer.partition(b"\r\n")[0]
    assert [record.getMessage() for record in caplog.records if record.name == "sse_hub.requests"]
    assert "Unhandled exception" not in caplog.text


@pytest.mark.parametrize("name", ["token", "authorization"])
async def test_the_line_of_a_request_hides_a_token_in_its_query(name: str, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(access_log=True) as server:
        with caplog.at_level("INFO"):
            await server.get("/health", params={name: "s3cret", "other": "shown"})
    assert "other=shown" in logged(caplog)
    assert "s3cret" not in logged(caplog)


async def test_an_id_from_a_client_beside_the_trusted_proxy_is_replaced() -> None:
    async with serving(trusted_proxies=(ip_network("10.0.0.0/8"),)) as server:
        response, _ = await server.get("/health", headers={"X-Request-ID": "mine"})
        assert response.headers["X-Request-ID"] != "mine"
