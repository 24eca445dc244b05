"""The server as a process: its start, signals, bad values and end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import aiohttp
import psutil
import pytest
from eventually import PATIENCE, eventually
from hubs import Stream
from programs import Program, Start, environment, free_port

import sse_hub


def read(url: str, data: bytes | None = None) -> bytes:
    with urllib.request.urlopen(url, data, timeout=PATIENCE) as response:
        body: bytes = response.read()
        return body


def test_one_line_at_the_start_tells_the_url_of_the_page(program: Start) -> None:
    running = program()
    assert running.first_line.startswith("sse-hub is at http://127.0.0.1:")
    assert b"<title>sse-hub</title>" in read(running.url + "/")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_every_stream_well_and_the_status_is_0(program: Start, how: signal.Signals) -> None:
    running = program("--no-demo")
    async with aiohttp.ClientSession() as client:
        streams = [Stream(await client.get(running.url + "/stream")) for _ in range(5)]
        for stream in streams:
            await stream.until("connected")
        running.process.send_signal(how)
        for stream in streams:
            assert [event.type for event in await stream.rest()] == ["closing"]
        assert len({stream.parser.retry_ms for stream in streams}) > 1
    status, answer = await asyncio.to_thread(running.wait)
    assert status == 0
    assert "Traceback" not in answer


async def open_streams(port: int, count: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Streams whose `connected` has arrived, all asked for at once."""

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"event: connected")
        return reader, writer

    async with asyncio.timeout(3 * PATIENCE):
        return await asyncio.gather(*(connect() for _ in range(count)))


async def close(streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> None:
    for _, writer in streams:
        writer.close()
    for _, writer in streams:
        await writer.wait_closed()


def frozen_client(running: Program) -> socket.socket:
    """A client that asks for the channel `big` and never reads it."""
    client = socket.create_connection(("127.0.0.1", running.port))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.sendall(b"GET /realtime/big HTTP/1.1\r\nHost: x\r\n\r\n")
    return client


def fill(running: Program) -> None:
    """Publish more to the channel `big` than the kernel buffers for a connection."""
    for _ in range(10):
        read(running.url + "/realtime/big", b"x" * 1_000_000)


async def test_hundreds_of_streams_and_some_frozen_ones_end_within_the_drain_time(program: Start) -> None:
    running = program("--no-demo", "--drain", "3")
    streams = await open_streams(running.port, 300)
    frozen = [frozen_client(running) for _ in range(5)]
    drains = [asyncio.create_task(reader.read()) for reader, _ in streams]
    await asyncio.to_thread(fill, running)
    running.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        endings = await asyncio.gather(*drains)
        status, answer = await asyncio.to_thread(running.wait)
    assert all(b"event: closing" in ending for ending in endings)
    assert (status, "Traceback" in answer) == (0, False)
    await close(streams)
    for client in frozen:
        client.close()


async def test_a_second_signal_ends_at_once(program: Start) -> None:
    running = program("--no-demo", "--drain", "60")
    client = frozen_client(running)
    await asyncio.to_thread(fill, running)
    running.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(running.until, "ending")
    running.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(running.process.wait, PATIENCE) == -signal.SIGTERM
    client.close()


async def test_the_port_is_closed_while_streams_drain(program: Start) -> None:
    running = program("--no-demo", "--drain", "60")
    client = frozen_client(running)
    await asyncio.to_thread(fill, running)
    running.process.send_signal(signal.SIGTERM)

    def is_refused() -> bool:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", running.port)).close()
            return False
        return True

    await eventually(is_refused)
    assert running.process.poll() is None
    running.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(running.process.wait, PATIENCE)
    client.close()


def test_a_port_in_use_is_one_line_that_proposes_another(program: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        second = program("--port", str(port))
        status, answer = second.wait()
    assert status == 1
    assert f"--port {port + 1}" in second.first_line
    assert answer == ""


@pytest.mark.parametrize(
    ("arguments", "environment", "answer"),
    [
        (["--port", "http"], {}, "--port is 'http'"),
        (["--ping", "0"], {}, "--ping is '0'"),
        (["--history", "-1"], {}, "--history"),
        (["--colour", "red"], {}, "--colour"),
        (["--store", "redis"], {}, "sqlite:PATH"),
        (["--cors-origin", "example.org"], {}, "https://example.org"),
        ([], {"SSE_RETRY": "soon"}, "SSE_RETRY is 'soon'"),
    ],
)
def test_a_bad_value_is_one_line_and_status_2(
    program: Start, arguments: list[str], environment: dict[str, str], answer: str
) -> None:
    running = program(*arguments, **environment)
    status, rest = running.wait()
    assert (status, rest) == (2, "")
    assert answer in running.first_line


def test_a_flag_wins_over_its_variable(program: Start) -> None:
    running = program("--max-body", "3", SSE_MAX_BODY="9", SSE_NO_DEMO="1")
    with pytest.raises(urllib.error.HTTPError) as refusal:
        read(running.url + "/realtime/c", b"1234")
    refusal.value.close()
    assert refusal.value.code == 413
    assert json.loads(read(running.url + "/health"))["channels"] == 0


def test_the_version_is_printed(capfd: pytest.CaptureFixture[str], program: Start) -> None:
    assert program("--version").wait()[0] == 0
    assert capfd.readouterr().out == f"sse-hub {sse_hub.__version__}\n"


@pytest.mark.parametrize("name", ["sse-hub", "sse-server"])
def test_help_and_errors_begin_with_the_command_that_was_called(name: str) -> None:
    command = shutil.which(name, path=str(Path(sys.executable).parent))
    assert command is not None, "pip install -e '.[test]' installs it"

    def printed(*arguments: str, **variables: str) -> tuple[int, str]:
        run = subprocess.run(
            [command, *arguments], env=environment(**variables), capture_output=True, text=True, check=False
        )
        return run.returncode, run.stdout + run.stderr

    assert printed("--help")[1].startswith(f"Usage: {name} [OPTIONS]")
    assert printed("token", "mint", "--help")[1].startswith(f"Usage: {name} token mint ")
    for arguments in (("--no-such-flag",), ("--ping", "soon")):
        status, message = printed(*arguments)
        assert (status, message.startswith(f"{name}: ")) == (2, True)
    status, message = printed("health", SSE_PORT=str(free_port()))
    assert (status, message.startswith(f"{name}: no server answers")) == (1, True)


@pytest.mark.usefixtures("no_loop_debug")
async def test_a_thousand_clients_at_once_are_all_served(program: Start) -> None:
    running = program("--no-demo")
    streams = await open_streams(running.port, 1000)
    assert json.loads(await asyncio.to_thread(read, running.url + "/health"))["subscribers"] == 1000
    await close(streams)


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("no_loop_debug")
async def test_five_thousand_connects_and_disconnects_leave_nothing_behind(program: Start) -> None:
    running = program("--no-demo")
    server = psutil.Process(running.process.pid)

    async def come_and_go(times: int) -> tuple[int, int]:
        for _ in range(times):
            await close(await open_streams(running.port, 250))
        await eventually(lambda: json.loads(read(running.url + "/health"))["subscribers"] == 0)
        return server.num_fds(), server.memory_info().rss

    files_before, bytes_before = await come_and_go(4)
    files, resident_bytes = await come_and_go(16)
    assert files <= files_before + 2
    assert resident_bytes < bytes_before + (8 << 20)


def test_a_port_scanner_leaves_no_traceback_in_the_log(program: Start) -> None:
    running = program("--no-demo")
    with socket.create_connection(("127.0.0.1", running.port)) as scanner:
        scanner.sendall(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        scanner.recv(100)
    status, answer = running.end()
    assert (status, "Traceback" in answer) == (0, False)
