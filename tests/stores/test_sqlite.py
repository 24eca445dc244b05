"""The SQLite store with files that fail in all possible ways."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from eventually import PATIENCE
from hubs import Remote, serving
from programs import Start
from turns import most_in_a_turn

from sse_hub.core.events import LOWEST_ID, Draft
from sse_hub.core.hub import Hub
from sse_hub.core.log import Log
from sse_hub.core.rules import Rule
from sse_hub.stores.batches import SLICE
from sse_hub.stores.sqlite import SqliteStore
from sse_hub.tasks import Background


async def test_a_locked_file_refuses_publishes_with_503_and_keeps_streams(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    async with serving(store=f"sqlite:{path}") as server, server.stream() as stream:
        await stream.until("connected")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        response, problem = await server.post("/realtime/main", data=b"refused")
        assert response.status == 503
        assert response.content_type == "application/problem+json"
        assert int(response.headers["Retry-After"]) > 0
        assert "locked" in problem["detail"]
        assert "locked" in await server.until_status("degraded")
        other.execute("ROLLBACK")
        other.close()
        await server.until_status("ok")
        response, _ = await server.post("/realtime/main", data=b"accepted")
        assert (response.status, (await stream.next()).data) == (200, "accepted")


async def test_silent_channels_are_ended_though_the_file_is_locked_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    rule = Rule(match="run.*", idle_end=0.5)
    async with (
        serving(store=f"sqlite:{path}", rules=(rule,)) as server,
        server.stream("/stream?channel=*&event=end") as ends,
    ):
        await ends.until("connected")
        for number in range(300):
            await server.hub.publish("a", channel=f"run.{number}")
        ended = {(await ends.next()).json()["channel"]}
        other = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)
        other.execute("BEGIN IMMEDIATE")
        await server.until_status("degraded")
        other.execute("ROLLBACK")
        other.close()
        while len(ended) < 300:
            ended.add((await ends.next()).json()["channel"])


@pytest.mark.parametrize(
    ("make", "answered"),
    [
        (lambda path: path.write_bytes(b"no database at all" * 100), "not a database"),
        (lambda path: path.mkdir(), "unable to open"),
        (lambda path: sqlite3.connect(path).execute("CREATE TABLE other (x)").connection.close(), "another program"),
    ],
)
async def test_a_file_of_another_program_is_left_alone_and_health_says_why(
    tmp_path: Path, make: object, answered: str
) -> None:
    path = tmp_path / "events.db"
    assert callable(make)
    make(path)
    async with serving(store=f"sqlite:{path}") as server:
        assert answered in await server.until_status("degraded")
        response, problem = await server.post("/realtime/main", data=b"x")
        assert (response.status, answered in problem["detail"]) == (503, True)
        async with server.stream() as stream:
            (event,) = await stream.rest()
            assert (event.type, event.json()["status"]) == ("error", 503)


async def test_a_newer_schema_is_refused_with_the_two_versions(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    async with serving(store=f"sqlite:{path}"):
        pass
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    async with serving(store=f"sqlite:{path}") as server:
        assert "version 99" in await server.until_status("degraded")


async def test_a_second_process_at_the_same_file_waits_until_the_first_has_ended(sqlite_store: str) -> None:
    async with serving(store=sqlite_store) as first:
        await first.hub.publish("a")
        async with serving(store=sqlite_store) as second:
            assert "another process" in await second.until_status("degraded")
            await first.app.cleanup()
            await second.until_status("ok")
            async with second.stream("/stream?replay=1") as stream:
                assert [event.data for event in (await stream.until("live"))[1:-1]] == ["a"]


async def test_a_file_that_becomes_read_only_still_serves_its_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_only = False

    class Connection(sqlite3.Connection):
        """SQLite as it is where the system forbids writing. A system forbids nothing to root, who may run this test."""

        def execute(self, *arguments: Any) -> sqlite3.Cursor:
            super().execute(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
            return super().execute(*arguments)

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Connection))
    path = tmp_path / "events.db"
    async with serving(store=f"sqlite:{path}") as server:
        await server.hub.publish("kept")
        async with server.stream() as stream:
            await stream.until("connected")
            read_only = True
            response, problem = await server.post("/realtime/main", data=b"x")
            assert (response.status, "readonly" in problem["detail"]) == (503, True)
            assert (await server.get("/health"))[1]["status"] == "degraded"
            async with server.stream("/stream?replay=1") as other:
                assert [event.data for event in (await other.until("live"))[1:-1]] == ["kept"]
            read_only = False
            await server.until_status("ok")
            await server.post("/realtime/main", data=b"again")
            assert (await stream.next()).data == "again"


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="this system cannot limit the files of a process")
async def test_a_full_disk_refuses_publishes_until_there_is_room(sqlite_store: str, program: Start) -> None:
    running = program("--no-demo", "--store", sqlite_store)
    soft, hard = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
    async with aiohttp.ClientSession() as client:
        server = Remote(running.url, client)
        async with server.stream() as stream:
            await stream.until("connected")
            resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (100_000, hard))
            accepted = 0
            while (answer := await server.post("/realtime/main", data=b"x" * 5000))[0].status == 200:
                accepted += 1
            assert answer[0].status == 503
            assert "disk" in answer[1]["detail"]
            assert (await server.get("/health"))[1]["status"] == "degraded"
            resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (soft, hard))
            await server.until_status("ok")
            await server.post("/realtime/main", data=b"room")
            assert [len((await stream.next()).data) for _ in range(accepted + 1)] == [5000] * accepted + [4]


async def test_a_lock_held_while_clients_read_ends_nothing(tmp_path: Path, program: Start) -> None:
    path = tmp_path / "events.db"
    running = program("--no-demo", "--cache", "10", "--history", "100000", "--store", f"sqlite:{path}")
    async with aiohttp.ClientSession() as client:
        server = Remote(running.url, client)
        ndjson = {"Content-Type": "application/x-ndjson"}
        lines = "\n".join("x" * 100 for _ in range(5000))
        for _ in range(4):
            await server.post("/realtime/main", data=lines, headers=ndjson)
        other = sqlite3.connect(path, isolation_level=None)

        async def read() -> None:
            while True:
                response, answered = await server.get("/api/channels/main/events?limit=1000")
                assert (response.status, len(answered["events"])) == (200, 1000)

        readers = [asyncio.create_task(read()) for _ in range(8)]
        for _ in range(3):
            other.execute("BEGIN IMMEDIATE")
            assert "locked" in await server.until_status("degraded")  # before there is a publish
            await asyncio.sleep(1.5)  # how long the lock lasts: the hub tries the file once a second
            other.execute("ROLLBACK")
            await server.until_status("ok")
            assert (await server.post("/realtime/main", data=b"x"))[0].status == 200
        other.close()
        assert not any(reader.done() for reader in readers)
        for reader in readers:
            reader.cancel()
    assert running.end()[0] == 0


@pytest.mark.usefixtures("no_loop_debug")
async def test_the_write_ahead_log_stays_small_while_readers_never_pause(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    async with serving(store=f"sqlite:{path}", cache=0, history=2000) as server:
        ndjson = {"Content-Type": "application/x-ndjson"}
        largest = 0

        async def read() -> None:
            while True:
                await server.get("/api/channels/main/events?limit=300")

        readers = [asyncio.create_task(read()) for _ in range(8)]
        lines = "\n".join("x" * 1000 for _ in range(1000))
        for _ in range(40):
            await server.post("/realtime/main", data=lines, headers=ndjson)
            largest = max(largest, Path(f"{path}-wal").stat().st_size)
        for reader in readers:
            reader.cancel()
        assert largest < 40 << 20


async def test_rows_of_other_programs_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    async with serving(store=f"sqlite:{path}", cache=0) as server:
        await server.hub.publish("ours")
        other = sqlite3.connect(path)
        ms = server.hub.log.head.ms
        for row in (
            (ms, 1, "main", "message", None, None),
            (ms, 2, "main", "a\nb", "x", None),
            (ms, 3, "a b", "message", "x", None),
            (ms, "x", "main", "message", "x", None),
            (ms, 4, "main", "message", b"\xff", None),
        ):
            other.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", row)
        other.execute("INSERT INTO events VALUES (?, 5, 'main', 'message', CAST(x'ff' AS TEXT), NULL)", (ms,))
        other.commit()
        other.close()
        async with server.stream("/stream?replay=9") as stream:
            assert "ours" in [event.data for event in await stream.until("live")]
    async with serving(store=f"sqlite:{path}") as server:
        async with server.stream("/stream?replay=9") as stream:
            assert [event.data for event in (await stream.until("live"))[1:-1]] == ["ours", "\ufffd"]
        assert server.hub.statistics().passed_over >= 5


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 6 MB."""
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(tmp_path)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount a file system")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


async def test_health_says_that_a_disk_has_no_room_left_before_it_is_full(small_disk: Path) -> None:
    async with serving(store=f"sqlite:{small_disk / 'events.db'}") as server:
        (small_disk / "filler").write_bytes(bytes(4 << 20))
        assert "bytes left" in await server.until_status("degraded")
        (small_disk / "filler").unlink()
        await server.until_status("ok")
        assert (await server.post("/realtime/main", data=b"x"))[0].status == 200


async def test_ephemeral_batches_that_come_at_once_are_made_a_few_events_in_a_turn(tmp_path: Path) -> None:
    made = 0

    def clock() -> int:
        nonlocal made
        made += 1  # the time of an event is read when it is made
        return 1_000_000

    hub = Hub(Log(LOWEST_ID), asyncio.get_running_loop().call_soon)
    store = SqliteStore(tmp_path / "events.db", hub, clock, Background())
    await store.open()
    drafts = [Draft("c", "message", "x", ephemeral=True)] * 3000
    assert await most_in_a_turn(asyncio.gather(*(store.append(drafts) for _ in range(4))), lambda: made) <= 2 * SLICE
    assert hub.statistics().published == 12_000
    await store.close()


async def test_channels_that_are_forgotten_at_once_are_forgotten_in_different_turns(tmp_path: Path) -> None:
    async with serving(store=f"sqlite:{tmp_path}/events.db") as server, server.stream("/stream?channel=*") as stream:
        await stream.until("connected")
        await server.hub.publish_all([Draft(f"run.{number}", "message", "x") for number in range(20)])
        forgetting = asyncio.gather(*(server.hub.store.forget(f"run.{number}") for number in range(20)))
        assert await most_in_a_turn(forgetting, lambda: server.hub.statistics().lost) == 1
        assert [event.type for event in await stream.take(40)] == ["message"] * 20 + ["lost"] * 20
