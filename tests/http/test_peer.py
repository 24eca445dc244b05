"""The client of a request, also behind proxies."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hubs import Server, serving
from sockets import get, raw


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
async def test_a_trusted_proxy_names_the_client(headers: dict[str, str], address: str) -> None:
    networks = (ip_network("127.0.0.1"), ip_network("10.0.0.0/8"))
    async with serving(trusted_proxies=networks) as server, server.stream("/stream", headers) as stream:
        await stream.next()
        _, answer = await server.get("/api/subscribers")
        assert answer["subscribers"][0]["address"] == address


NETWORKS = (ip_network("127.0.0.1"), ip_network("10.0.0.0/8"))


async def test_the_headers_of_a_proxy_that_is_not_trusted_are_passed_over(server: Server) -> None:
    async with server.stream("/stream", {"X-Forwarded-For": "192.0.2.1"}) as stream:
        await stream.next()
        _, answer = await server.get("/api/subscribers")
    assert answer["subscribers"][0]["address"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("headers", "secure"),
    [
        ({}, False),
        ({"X-Forwarded-Proto": "https"}, True),
        ({"X-Forwarded-Proto": "http"}, False),
        ({"X-Forwarded-Proto": "http, https"}, True),
        ({"X-Forwarded-Proto": "https, http"}, False),
        ({"Forwarded": "for=192.0.2.1;proto=https"}, True),
        ({"Forwarded": "proto=https", "X-Forwarded-Proto": "http"}, False),
    ],
)
async def test_a_trusted_proxy_says_whether_the_client_came_by_tls(headers: dict[str, str], secure: bool) -> None:
    async with serving(trusted_proxies=NETWORKS) as server:
        response, _ = await server.get("/health", headers=headers)
    assert ("Strict-Transport-Security" in response.headers) is secure


async def test_a_header_that_is_longer_than_any_chain_of_proxies_needs_does_not_count() -> None:
    lines = b"Forwarded: %bfor=192.0.2.1;proto=https\r\n" % (b"," * 3000)
    async with serving(trusted_proxies=NETWORKS) as server:
        for count, counts in ((1, True), (2, False)):
            request = get("/realtime/c", Connection="close").replace(b"\r\n\r\n", b"\r\n" + lines * count + b"\r\n")
            async with raw(server.port, request) as client:
                head = await client.until(b"event: connected")
                assert (b"Strict-Transport-Security" in head) is counts
                _, answer = await server.get("/api/subscribers")
                assert answer["subscribers"][-1]["address"] == ("192.0.2.1" if counts else "127.0.0.1")
