"""The check, at a hub and at servers between that do what proxies do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from certificates import certify
from eventually import PATIENCE
from hubs import Server, serving
from programs import ROOT
from scripted import scripted, status

from sse_hub.console.figures import sparkline


async def checked(url: str, *flags: str, before: tuple[str, ...] = ()) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "sse_client.py"),
        *before,
        "check",
        url,
        *(flags or ("--idle", "0.5")),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "COLUMNS": "150"},
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


def signs(out: str) -> dict[str, str]:
    """The sign of each check."""
    return {match[2].strip(): match[1] for match in re.finditer(r"^([✓!✗-])  (.{18})", out, re.MULTILINE)}


async def test_a_hub_that_is_well_passes_everything() -> None:
    async with serving(no_demo=False, ping=0.2) as server:
        code, out = await checked(server.url, "--idle", "3")
    assert set(signs(out).values()) == {"✓"}
    assert len(signs(out)) == 13
    assert "13 well, 0 to look at, 0 failed" in out
    assert code == 0


async def test_an_address_is_shown_as_it_is(unused_tcp_port: int) -> None:
    _, out = await checked(f"http://[fe80::1]:{unused_tcp_port}")
    assert out.startswith(f"Checking http://[fe80::1]:{unused_tcp_port}")


async def test_no_server_is_one_failure_with_advice(unused_tcp_port: int) -> None:
    code, out = await checked(f"http://127.0.0.1:{unused_tcp_port}")
    assert code == 1
    assert signs(out) == {"health": "✗"}
    assert "sse-hub" in out


async def test_a_draining_hub_fails_its_health() -> None:
    draining = status(
        503, "Content-Type: application/json\r\n", '{"status":"draining","reason":"The server is ending."}'
    )
    async with scripted(draining, *[status(404)] * 40) as server:
        code, out = await checked(server.url)
    assert code == 1
    assert "status is 'draining': The server is ending." in out


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


class Proxy:
    """Stands between: it collects the bytes of answers, cuts idle connections, changes answers, or refuses a method."""

    def __init__(
        self,
        port: int,
        *,
        hold_bytes: int = 0,
        idle: float | None = None,
        change: Callable[[bytes], bytes] = bytes,
        refuse: bytes = b"OPTIONS is not refused",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._port = port
        self._hold_bytes = hold_bytes
        self._idle = idle
        self._change = change
        self._refuse = refuse
        self._tls = tls
        self._passing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0, ssl=self._tls)
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        if self._passing:  # who was connected has left
            await asyncio.wait(self._passing, timeout=PATIENCE)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._passing.add(asyncio.create_task(self._pass(reader, writer)))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection."""
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            if request.startswith(self._refuse):
                writer.write(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                await self._relay(request, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has left
        finally:
            await close(writer)

    async def _relay(self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, up = await asyncio.open_connection("127.0.0.1", self._port)
        up.write(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        back = asyncio.create_task(self._answer(upstream, writer, b"text/event-stream" in request))
        back.add_done_callback(lambda _: writer.close())
        try:
            while data := await reader.read(65536):
                up.write(data)
        finally:
            back.cancel()
            await asyncio.wait([back])
            await close(up)

    async def _answer(self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, stream: bool) -> None:
        held = b""
        while True:
            try:
                data = await asyncio.wait_for(upstream.read(65536), self._idle)
            except TimeoutError:
                return
            held += self._change(data)
            if not data or not stream or len(held) >= self._hold_bytes:
                writer.write(held)
                held = b""
            if not data:
                return


@pytest.mark.timeout(120)
async def test_a_proxy_that_holds_events_back_is_found(server: Server) -> None:
    async with Proxy(server.port, hold_bytes=100_000) as url:
        code, out = await checked(url)
    assert code == 1
    assert signs(out)["main stream"] == "✗"
    assert "proxy_buffering off" in out


async def test_a_proxy_that_cuts_quiet_streams_is_found(server: Server) -> None:
    async with Proxy(server.port, idle=1.0) as url:
        code, out = await checked(url, "--idle", "30")
    assert code == 1
    assert signs(out)["quiet stream"] == "✗"
    assert re.search(r"it was cut after \d+\.\d s", out)
    assert "proxy_read_timeout" in out


async def test_headers_that_a_proxy_has_taken_away_are_found() -> None:
    async with (
        serving(no_demo=False) as server,
        Proxy(server.port, change=lambda data: data.replace(b", no-transform", b"")) as url,
    ):
        code, out = await checked(url)
    assert signs(out)["headers"] == "!"
    assert "missing: Cache-Control: no-transform" in out
    assert code == 0


async def test_a_proxy_that_refuses_preflights_is_found() -> None:
    async with serving(no_demo=False) as server, Proxy(server.port, refuse=b"OPTIONS") as url:
        _, out = await checked(url)
    assert signs(out)["CORS"] == "!"
    assert "OPTIONS is answered 405" in out


PAGE = ("--idle", "0.5", "--origin", "http://127.0.0.1:8001/shop")
"""A page that wants to use the hub."""
ORIGIN = b"Access-Control-Allow-Origin: http://127.0.0.1:8001\r\n"


@pytest.mark.parametrize(
    ("allowed", "sign", "says"),
    [
        ("*", "!", "--cors-origin http://127.0.0.1:8001"),
        ("https://other.example", "!", "http://127.0.0.1:8001 is not allowed"),
        ("http://127.0.0.1:8001", "✓", "http://127.0.0.1:8001 may send cookies"),
    ],
)
async def test_a_hub_whose_streams_a_page_cannot_read_with_cookies_is_found(allowed: str, sign: str, says: str) -> None:
    async with serving(no_demo=False, cors_origin=(allowed,)) as server:
        code, out = await checked(server.url, *PAGE)
    assert signs(out)["credentials"] == sign
    assert says in out
    assert code == 0


@pytest.mark.parametrize(
    ("former", "changed", "says"),
    [
        (b"Access-Control-Allow-Credentials: true\r\n", b"", "Access-Control-Allow-Credentials is missing"),
        (ORIGIN, b"Access-Control-Allow-Origin: *\r\n", "may not send cookies"),
        (ORIGIN, ORIGIN + b"Access-Control-Allow-Origin: *\r\n", "has several values"),
    ],
)
async def test_a_proxy_that_spoils_the_headers_for_cookies_is_found(former: bytes, changed: bytes, says: str) -> None:
    async with (
        serving(no_demo=False, cors_origin=("http://127.0.0.1:8001",)) as server,
        Proxy(server.port, change=lambda data: data.replace(former, changed)) as url,
    ):
        _, out = await checked(url, *PAGE)
    assert signs(out)["credentials"] == "!"
    assert says in out


@pytest.mark.parametrize(
    ("page", "sign"),
    [
        ("http://127.0.0.1:8001", "✓"),
        ("http://127.0.0.2:8001", "!"),
        ("https://127.0.0.1", "!"),
        ("http://shop.example", "!"),
    ],
)
async def test_a_page_of_another_site_that_would_send_no_cookie_is_found(page: str, sign: str) -> None:
    async with serving(no_demo=False, cors_origin=(page,)) as server:
        _, out = await checked(server.url, "--idle", "0.5", "--origin", page)
    assert signs(out)["session cookie"] == sign
    assert ("SameSite=Strict" in out) == (sign == "!" or "for pages of the same site" in out)


async def test_a_cookie_that_a_proxy_has_made_useless_is_found() -> None:
    async with (
        serving(no_demo=False) as server,
        Proxy(server.port, change=lambda data: data.replace(b"SameSite=Strict", b"SameSite=None")) as url,
    ):
        _, out = await checked(url)
    assert signs(out)["session cookie"] == "!"
    assert "SameSite=None without Secure" in out


async def test_a_proxy_whose_tls_the_hub_does_not_see_is_found(tmp_path: Path) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*certify(tmp_path, "localhost"))
    async with serving(no_demo=False) as server, Proxy(server.port, tls=tls) as url:
        _, out = await checked(url, "--idle", "0.5", before=("--insecure",))
    assert signs(out)["session cookie"] == "!"
    assert "--trusted-proxies" in out


async def test_an_origin_that_is_none_is_wrong_use() -> None:
    code, out = await checked("http://127.0.0.1:1", "--origin", "shop")
    assert code == 2
    assert "'shop' is not the address of a page, such as https://www.example.org" in out


async def test_a_hub_that_forgets_at_once_cannot_resume() -> None:
    async with serving(history=0) as server:
        code, out = await checked(server.url)
    assert signs(out)["resume"] == "✗"
    assert code == 1


def test_a_line_of_blocks_has_the_largest_value_at_full_height() -> None:
    assert sparkline([0, 1, 2, 4]) == "▁▂▄█"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([]) == ""
