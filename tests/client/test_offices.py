"""The networks of offices: proxies, authorities of their own, names that do not resolve."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from certificates import certify
from hubs import Server, running
from programs import ROOT

from sse_client import EventSource, Refused, SSEClient, SSEError
from sse_hub.settings import Settings
from sse_server import create_app

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "NETRC")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class Proxy:
    """An HTTP proxy: it forwards requests with an absolute URL and opens tunnels.

    :param credentials: without which it answers 407.
    """

    def __init__(self, credentials: str = "") -> None:
        self.seen: list[str] = []
        """The request lines that have come."""
        self._wanted = f"proxy-authorization: basic {b64encode(credentials.encode()).decode()}".lower()
        self._open = not credentials

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, _, rest = head.partition("\r\n")
            self.seen.append(line)
            if not self._open and self._wanted not in head.lower():
                writer.write(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                await self._pass(line, rest, reader, writer)
        writer.close()

    async def _pass(self, line: str, rest: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, version = line.split()
        place, slash, path = target.removeprefix("http://").partition("/")
        host, _, port = place.rpartition(":")
        behind, ahead = await asyncio.open_connection(host, int(port))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            ahead.write(f"{method} {slash}{path} {version}\r\nConnection: close\r\n{rest}".encode())
        try:
            await asyncio.gather(self._copy(reader, ahead), self._copy(behind, writer))
        finally:
            ahead.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def proxy(credentials: str = "") -> AsyncIterator[tuple[Proxy, str]]:
    """A running proxy and its URL."""
    serving = Proxy(credentials)
    server = await asyncio.start_server(serving.serve, "127.0.0.1", 0)
    user = f"{credentials}@" if credentials else ""
    yield serving, f"http://{user}127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.fixture
async def secure(tmp_path: Path) -> AsyncIterator[Server]:
    """A hub with TLS, whose certificate `cert.pem` nobody knows."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certify(tmp_path, "localhost"))
    async with running(create_app(Settings(no_demo=True, drain=1.0)), context) as server:
        yield server


async def command(server: Server, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Run a command; exit status, stdout, stderr."""
    environment = {**{name: value for name, value in os.environ.items() if name not in VARIABLES}, **variables}
    url = server.url.replace("127.0.0.1", "localhost")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "sse_client.py"),
        *("--url", url, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_streams_and_publishes_go_through_the_proxy_of_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxy("user:password") as (seen, url):
        monkeypatch.setenv("HTTP_PROXY", url)
        async with SSEClient(server.url) as client:
            await client.publish("a")
            async with client.stream(replay=1) as events, EventSource(server.url + "/stream?replay=1"):
                assert (await anext(events)).data == "a"
    assert len(seen.seen) == 3


async def test_a_proxy_without_a_scheme_is_one(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxy() as (seen, url):
        monkeypatch.setenv("HTTP_PROXY", url.removeprefix("http://"))
        async with SSEClient(server.url) as client:
            await client.health()
    assert len(seen.seen) == 1


async def test_hosts_in_no_proxy_are_reached_directly(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "example.org,127.0.0.1")
    async with SSEClient(server.url) as client:
        assert (await client.health())["status"] == "ok"


async def test_a_proxy_that_wants_a_password_is_a_refusal(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxy("user:password") as (_, url):
        monkeypatch.setenv("HTTP_PROXY", url.replace("user:password@", ""))
        monkeypatch.setenv("HTTPS_PROXY", url.replace("user:password@", ""))
        for address in (server.url, "https://localhost:9"):
            async with SSEClient(address) as client:
                with pytest.raises(Refused, match="407"):
                    await client.publish("a")
                with pytest.raises(Refused, match="407"):
                    await anext(client.stream())


async def test_a_token_goes_before_the_netrc_file(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with SSEClient(server.url, token="a") as client:
        assert (await client.publish("a")).channel == "main"


async def test_a_session_of_the_user_decides_by_itself(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with SSEClient(server.url, session=server.client) as client:
        assert (await client.health())["status"] == "ok"


async def test_a_command_goes_through_the_proxy_that_is_named(server: Server, secure: Server, tmp_path: Path) -> None:
    async with proxy("user:password") as (seen, url):
        assert (await command(server, "--proxy", url, "channels"))[0] == 0
        assert (await command(server, "channels", HTTP_PROXY=url))[0] == 0
        flags = ("--cacert", str(tmp_path / "cert.pem"))
        assert (await command(secure, *flags, "publish", "c", "a", HTTPS_PROXY=url))[0] == 0
        assert (await command(secure, *flags, "check", "--idle", "0.1", HTTPS_PROXY=url))[0] == 0
    assert [line.split()[0] for line in seen.seen[:3]] == ["GET", "GET", "CONNECT"]


async def test_a_command_trusts_the_authorities_that_are_named(secure: Server, tmp_path: Path) -> None:
    status, _, err = await command(secure, "channels")
    assert (status, err.count("\n")) == (1, 1)
    assert "the certificate of localhost" in err
    assert "is not accepted" in err
    certificate = str(tmp_path / "cert.pem")
    assert (await command(secure, "--cacert", certificate, "channels"))[0] == 0
    assert (await command(secure, "channels", SSL_CERT_FILE=certificate))[0] == 0
    assert (await command(secure, "--insecure", "channels"))[0] == 0


async def test_a_file_without_certificates_is_wrong_use(secure: Server, tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("nothing")
    status, _, err = await command(secure, "--cacert", str(tmp_path / "none.pem"), "channels")
    assert (status, err.count("\n")) == (2, 1)
    assert "no certificates" in err


async def test_an_unknown_host_name_gets_a_message_that_says_so() -> None:
    async with SSEClient("http://no-such-host.invalid") as client:
        with pytest.raises(SSEError, match=r"the name no-such-host\.invalid does not resolve"):
            await client.channels()
