"""The hub behind nginx and behind Caddy, which run with the configurations of `deploy/`."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import aiohttp
import pytest
from certificates import certify
from eventually import PATIENCE, eventually
from hubs import Server, Stream, serving
from playwright.async_api import Browser
from programs import ROOT, free_port, tool

DEPLOY = ROOT / "deploy"


@dataclass
class Proxied:
    """A hub, and its address through a proxy."""

    hub: Server
    url: str
    client: aiohttp.ClientSession

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[Stream]:
        async with self.client.get(self.url + path) as response:
            assert response.status == 200
            yield Stream(response)


def nginx(folder: Path, port: int, hub: Server) -> list[str]:
    """The command that runs nginx there."""
    text = (DEPLOY / "nginx.conf").read_text()
    for old, new in (
        ("server hub-1:8000;", f"server 127.0.0.1:{hub.port};"),
        ("        server hub-2:8000;\n", ""),
        ("listen 80;", f"listen 127.0.0.1:{free_port()};"),
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{port} ssl http2;"),
        ("/etc/nginx/tls/cert.pem", str(folder / "cert.pem")),
        ("/etc/nginx/tls/key.pem", str(folder / "key.pem")),
        ("/dev/stdout", str(folder / "access.log")),
        ("worker_rlimit_nofile 40000;\n", ""),
        ("http {\n", f"http {{\n    client_body_temp_path {folder}/body;\n    proxy_temp_path {folder}/proxy;\n"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    (folder / "nginx.conf").write_text(text)
    program = tool("nginx", "nginx-light")
    return [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", f"daemon off; pid {folder}/pid;"]


def caddy(folder: Path, port: int, hub: Server) -> list[str]:
    """The command that runs Caddy there."""
    text = (DEPLOY / "Caddyfile").read_text()
    for old, new in (
        (
            "{$SITE:localhost} {",
            f"https://localhost:{port} {{\n\tbind 127.0.0.1\n\ttls {folder}/cert.pem {folder}/key.pem",
        ),
        ("hub-1:8000 hub-2:8000", f"127.0.0.1:{hub.port}"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{text}")
    return [tool("caddy", "caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


@pytest.fixture(params=[nginx, caddy], ids=["nginx", "caddy"])
async def proxied(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Proxied]:
    certify(tmp_path, "localhost")
    trusted = (ip_network("127.0.0.1"),)
    async with serving(trusted_proxies=trusted, allowed_hosts=("localhost",), ping=0.5) as hub:
        port = free_port()
        log = (tmp_path / "proxy.log").open("wb")
        process = await asyncio.create_subprocess_exec(
            *request.param(tmp_path, port, hub),
            stdout=log,
            stderr=log,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/usr/sbin"},
        )
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(tmp_path / "cert.pem")), limit=0)
        async with aiohttp.ClientSession(connector=connector) as client:
            try:
                await answered(client, f"https://localhost:{port}/health", tmp_path)
                yield Proxied(hub, f"https://localhost:{port}", client)
            finally:
                process.terminate()
                await process.wait()
                log.close()


async def answered(client: aiohttp.ClientSession, url: str, folder: Path) -> None:
    """Wait until the hub is reached through the proxy."""

    async def well() -> bool:
        async with client.get(url) as response:
            return response.status == 200

    try:
        await eventually(well, despite=(aiohttp.ClientConnectionError,))
    except pytest.fail.Exception:
        pytest.fail((folder / "proxy.log").read_text())


async def test_each_event_arrives_before_the_next_one_is_published(proxied: Proxied) -> None:
    async with proxied.stream("/stream") as stream:
        await stream.next()
        for number in range(20):
            await proxied.hub.hub.publish(str(number))
            assert (await stream.next()).data == str(number)


async def test_a_stream_that_only_pings_stays_open(proxied: Proxied) -> None:
    # A second here. Two minutes, with a ping every 15 s, were tried by hand.
    async with proxied.stream("/stream") as stream:
        await stream.next()
        await stream.comments(5)
        await proxied.hub.hub.publish("still there")
        assert (await stream.next()).data == "still there"


async def test_the_hub_knows_the_address_of_the_client_and_that_it_uses_tls(proxied: Proxied) -> None:
    headers = {"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.2"}
    async with proxied.client.get(f"{proxied.url}/stream", headers=headers) as response:
        assert "Strict-Transport-Security" in response.headers
        await Stream(response).next()
        _, answer = await proxied.hub.get("/api/subscribers", headers={"Host": "localhost"})
    assert answer["subscribers"][0]["address"] == "127.0.0.1"


async def test_a_publish_goes_through_byte_for_byte(proxied: Proxied) -> None:
    data = "é\n\n\u2028 data: x".encode()
    async with proxied.stream("/stream") as stream:
        await stream.next()
        async with proxied.client.post(f"{proxied.url}/realtime/main", data=data) as response:
            assert response.status == 200
        assert (await stream.next()).data == data.decode()


async def test_a_client_that_leaves_is_gone_at_the_hub(proxied: Proxied) -> None:
    async with proxied.stream("/stream") as stream:
        await stream.next()
    await proxied.hub.until_subscribers(0)


async def test_a_browser_holds_twelve_streams_over_http_2(proxied: Proxied, browser: Browser) -> None:
    context = await browser.new_context(ignore_https_errors=True)
    page = await context.new_page()
    await page.goto(f"{proxied.url}/health")
    protocol = await page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol")
    assert protocol == "h2"
    opening = """() => Promise.all(Array.from({length: 12}, (_, number) => new Promise((resolve) => {
        const source = new EventSource(`/realtime/c${number}`);
        source.addEventListener("connected", () => resolve());
        source.addEventListener("message", ({ data }) => { (window.told ??= new Set()).add(`${number}:${data}`); });
    })))"""
    async with asyncio.timeout(PATIENCE):
        await page.evaluate(opening)
    for number in range(12):
        await proxied.hub.hub.publish("x", channel=f"c{number}")
    await page.wait_for_function("window.told?.size === 12")
    await context.close()
