from __future__ import annotations

import asyncio
import resource
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from conftest import PATIENCE, Program, Server, serving

from sse_hub.core.events import Draft, EventId
from sse_hub.core.subscription import Subscription
from sse_hub.stores.batches import Append
from sse_hub.stores.database import Database
from sse_hub.stores.reading import Gate, Reader

Start = Callable[..., Program]
ALL = Subscription(frozenset({"*"}))


class Clock:
    def __init__(self) -> None:
        self.now_ms = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


def database(path: Path, clock: Clock, history: int = 1000, history_age_ms: float = 1e9) -> Database:
    made = Database(path / "events.db", clock, history=history, history_age_ms=history_age_ms)
    made.open()
    return made


def reader(path: Path) -> Reader:
    made = Reader(path / "events.db", Gate(), lambda rows: None)
    made.open()
    return made


def drafts(count: int, data: str = "x", channel: str = "c") -> list[Append]:
    return [Append([Draft(channel, "message", data)]) for _ in range(count)]


async def until_status(server: Server, status: str) -> str:
    async with asyncio.timeout(PATIENCE):
        while (said := (await server.get("/health"))[1])["status"] != status:
            await asyncio.sleep(0.05)
    return str(said.get("reason"))


def test_ids_increase_over_restarts_though_the_clock_is_set_back_and_everything_has_expired(tmp_path: Path) -> None:
    clock = Clock()
    first = database(tmp_path, clock, history_age_ms=10)
    before = first.write(drafts(3))[-1].ids[0]
    clock.now_ms += 100
    while first.expire():
        pass
    first.close()
    clock.now_ms = 5000
    second = database(tmp_path, clock)
    after = second.write(drafts(1))[0].ids[0]
    second.close()
    assert before is not None
    assert after is not None
    assert after > before


def test_publishes_that_come_during_a_commit_share_the_next_one(tmp_path: Path) -> None:
    clock = Clock()
    store = database(tmp_path, clock)
    ids = [each.ids[0] for each in store.write(drafts(50))]
    assert len(set(ids)) == 50
    assert reader(tmp_path).page(ALL, EventId(0, 0), EventId(2**40, 0)).events[-1].id == ids[-1]
    store.close()


def test_a_write_that_fails_leaves_nothing_and_takes_no_ids(tmp_path: Path) -> None:
    clock = Clock()
    store = database(tmp_path, clock)
    (kept,) = store.write(drafts(1))
    with pytest.raises(sqlite3.Error):
        store.write([*drafts(2), Append([Draft("c", "message", b"\xff"), Draft("c", {}, "x")])])  # type: ignore[arg-type]
    (after,) = store.write(drafts(1))
    page = reader(tmp_path).page(ALL, EventId(0, 0), EventId(2**40, 0))
    assert [event.id for event in page.events] == [kept.ids[0], after.ids[0]]
    store.close()


def test_the_file_does_not_grow_without_end(tmp_path: Path) -> None:
    clock = Clock()
    store = database(tmp_path, clock, history=100)
    sizes = []
    for _ in range(6):
        for _ in range(20):
            store.write(drafts(100, "x" * 1000))
        while store.expire():
            pass
        sizes.append(sum(path.stat().st_size for path in tmp_path.iterdir()))
    assert sizes[-1] <= sizes[0] * 1.2
    assert len(reader(tmp_path).page(ALL, EventId(0, 0), EventId(2**40, 0)).events) <= 100
    store.close()


def test_space_is_given_back_to_the_system_when_old_events_go(tmp_path: Path) -> None:
    clock = Clock()
    store = database(tmp_path, clock, history=10_000, history_age_ms=1000)
    for _ in range(20):
        store.write(drafts(100, "x" * 5000))
    clock.now_ms += 5000
    while store.expire():
        pass
    for _ in range(20):
        store.expire(prove=True)
    store.close()
    assert (tmp_path / "events.db").stat().st_size < 1_000_000


def test_a_smaller_history_takes_effect_in_steps_after_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    store = database(tmp_path, clock, history=5000)
    ids = [each.ids[0] for each in store.write(drafts(4000))]
    store.close()
    store = database(tmp_path, clock, history=100)
    while store.expire():
        pass
    page = reader(tmp_path).page(ALL, EventId(0, 0), EventId(2**40, 0))
    assert [event.id for event in page.events] == ids[-100:]
    assert page.floors["c"] == ids[-101]
    store.close()


def test_keys_are_forgotten_after_ten_minutes(tmp_path: Path) -> None:
    clock = Clock()
    store = database(tmp_path, clock)
    append = Append([Draft("c", "message", "x")], "key", "memo")
    (first,) = store.write([append])
    (second,) = store.write([append])
    assert (second.ids, second.memo, second.events) == (first.ids, "memo", ())
    clock.now_ms += 600_001
    store.expire()
    (third,) = store.write([append])
    assert third.ids != first.ids
    store.close()


def test_the_newest_events_are_read_when_the_file_is_opened_and_the_rest_is_left_to_pages(tmp_path: Path) -> None:
    clock = Clock()
    store = database(tmp_path, clock, history=20_000)
    for _ in range(3):
        store.write(drafts(4000))
    retained = store.open()
    assert len(retained.events) == 10_000
    assert retained.events[0].id is not None
    assert retained.origin < retained.events[0].id
    assert len(reader(tmp_path).page(ALL, EventId(0, 0), retained.origin).events) == 1000
    store.close()


async def test_a_new_file_begins_at_one_id_though_the_clock_moves_on(tmp_path: Path) -> None:
    moments = iter(range(1000, 2000))
    database = Database(tmp_path / "events.db", lambda: next(moments), history=10, history_age_ms=1000)
    retained = database.open()
    database.close()
    assert retained.origin == retained.head


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
        assert "locked" in await until_status(server, "degraded")
        other.execute("ROLLBACK")
        other.close()
        await until_status(server, "ok")
        response, _ = await server.post("/realtime/main", data=b"accepted")
        assert (response.status, (await stream.next()).data) == (200, "accepted")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_bytes(b"no database at all" * 100), "not a database"),
        (lambda path: path.mkdir(), "unable to open"),
        (lambda path: sqlite3.connect(path).execute("CREATE TABLE other (x)").connection.close(), "another program"),
    ],
)
async def test_a_file_that_is_none_of_ours_is_left_alone_and_said_in_health(
    tmp_path: Path, make: object, said: str
) -> None:
    path = tmp_path / "events.db"
    assert callable(make)
    make(path)
    async with serving(store=f"sqlite:{path}") as server:
        assert said in await until_status(server, "degraded")
        response, problem = await server.post("/realtime/main", data=b"x")
        assert (response.status, said in problem["detail"]) == (503, True)
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
        assert "version 99" in await until_status(server, "degraded")


async def test_a_second_process_at_the_same_file_waits_until_the_first_has_ended(sqlite_store: str) -> None:
    async with serving(store=sqlite_store) as first:
        await first.hub.publish("a")
        async with serving(store=sqlite_store) as second:
            assert "another process" in await until_status(second, "degraded")
            await first.app.cleanup()
            await until_status(second, "ok")
            async with second.stream("/stream?replay=1") as stream:
                assert [event.data for event in (await stream.until("live"))[1:-1]] == ["a"]


async def test_a_file_that_is_read_only_still_serves_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    async with serving(store=f"sqlite:{path}") as server:
        await server.hub.publish("kept")
        store = server.hub.store
        async with server.stream() as stream:
            await stream.until("connected")
            # What SQLite does where the system forbids writing; as root, nothing is forbidden.
            await store._in_writing_thread(  # type: ignore[attr-defined]
                lambda: store._database._writer.execute("PRAGMA query_only = ON")  # type: ignore[attr-defined]
            )
            response, problem = await server.post("/realtime/main", data=b"x")
            assert (response.status, "readonly" in problem["detail"]) == (503, True)
            assert (await server.get("/health"))[1]["status"] == "degraded"
            async with server.stream("/stream?replay=1") as other:
                assert [event.data for event in (await other.until("live"))[1:-1]] == ["kept"]
            await until_status(server, "ok")  # it is opened anew, and can be written now
            await server.post("/realtime/main", data=b"again")
            assert (await stream.next()).data == "again"


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="this system cannot limit the files of a process")
async def test_a_full_disk_refuses_publishes_until_there_is_room(sqlite_store: str, program: Start) -> None:
    running = program("--no-demo", "--store", sqlite_store)
    soft, hard = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
    async with aiohttp.ClientSession() as client:
        server = Server(None, running.url, client)  # type: ignore[arg-type]
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
            await until_status(server, "ok")
            await server.post("/realtime/main", data=b"room")
            assert [len((await stream.next()).data) for _ in range(accepted + 1)] == [5000] * accepted + [4]


async def test_a_lock_held_while_clients_read_ends_nothing(tmp_path: Path, program: Start) -> None:
    path = tmp_path / "events.db"
    running = program("--no-demo", "--cache", "10", "--history", "100000", "--store", f"sqlite:{path}")
    async with aiohttp.ClientSession() as client:
        server = Server(None, running.url, client)  # type: ignore[arg-type]
        ndjson = {"Content-Type": "application/x-ndjson"}
        lines = "\n".join("x" * 100 for _ in range(5000))
        for _ in range(4):
            await server.post("/realtime/main", data=lines, headers=ndjson)
        other = sqlite3.connect(path, isolation_level=None)

        async def read() -> None:
            while True:
                response, said = await server.get("/api/channels/main/events?limit=1000")
                assert (response.status, len(said["events"])) == (200, 1000)

        readers = [asyncio.create_task(read()) for _ in range(8)]
        for _ in range(3):
            other.execute("BEGIN IMMEDIATE")
            assert "locked" in await until_status(server, "degraded")  # before anybody publishes
            await asyncio.sleep(1.5)  # it is tried again meanwhile
            other.execute("ROLLBACK")
            await until_status(server, "ok")
            assert (await server.post("/realtime/main", data=b"x"))[0].status == 200
        other.close()
        assert not any(reader.done() for reader in readers)
        for reader in readers:
            reader.cancel()
    assert running.end()[0] == 0


async def test_the_write_ahead_log_stays_small_while_readers_never_pause(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    async with serving(store=f"sqlite:{path}", cache=0, history=2000) as server:
        ndjson = {"Content-Type": "application/x-ndjson"}
        largest = 0

        async def read() -> None:
            while True:
                await server.get("/api/channels/main/events?limit=1000")

        readers = [asyncio.create_task(read()) for _ in range(8)]
        lines = "\n".join("x" * 1000 for _ in range(1000))
        for _ in range(60):
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


def test_a_file_of_the_first_release_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    old = sqlite3.connect(path)
    old.executescript(
        """
        CREATE TABLE events (ms INTEGER, seq INTEGER, channel TEXT, type TEXT, data TEXT, PRIMARY KEY (ms, seq))
          WITHOUT ROWID;
        CREATE INDEX events_by_channel ON events (channel, ms, seq);
        CREATE TABLE floors (channel TEXT PRIMARY KEY, ms INTEGER, seq INTEGER) WITHOUT ROWID;
        CREATE TABLE marks (name TEXT PRIMARY KEY, ms INTEGER, seq INTEGER) WITHOUT ROWID;
        CREATE TABLE keys (key TEXT PRIMARY KEY, until_ms INTEGER, ids TEXT, memo TEXT) WITHOUT ROWID;
        CREATE INDEX keys_by_age ON keys (until_ms);
        PRAGMA application_id = 1397966152;
        PRAGMA user_version = 1;
        INSERT INTO marks VALUES ('head', 900000, 0), ('floor', 800000, 0);
        INSERT INTO events VALUES (900000, 0, 'c', 'message', 'kept');
        """
    )
    old.close()
    store = database(tmp_path, Clock())
    store.write(drafts(1))
    assert [event.data for event in reader(tmp_path).page(ALL, EventId(0, 0), EventId(2**40, 0)).events] == [
        "kept",
        "x",
    ]
    store.close()


def test_events_of_a_clock_that_was_ahead_expire_by_the_time_at_which_it_was_set_back(tmp_path: Path) -> None:
    clock = Clock()
    right_ms = clock.now_ms
    clock.now_ms += 365 * 24 * 3600 * 1000
    store = database(tmp_path, clock, history_age_ms=10_000)
    store.write(drafts(2, "ahead"))
    store.close()
    clock.now_ms = right_ms
    store = database(tmp_path, clock, history_age_ms=10_000)
    store.expire()
    (later,) = store.write(drafts(1, "right"))
    assert later.events[0].ms == right_ms

    def retained() -> list[str]:
        return [event.data for event in reader(tmp_path).page(ALL, EventId(0, 0), EventId(2**50, 0)).events]

    clock.now_ms += 9_999
    store.expire()
    assert retained() == ["ahead", "ahead", "right"]
    clock.now_ms += 2
    store.expire()
    assert retained() == []
    store.close()


def test_what_is_answered_to_keys_is_bounded_by_its_bytes(tmp_path: Path) -> None:
    store = database(tmp_path, Clock())
    memo = "m" * 1_000_000
    for number in range(80):
        store.write([Append([Draft("c", "message", "x")], str(number), memo)])
        store.expire()
    count = sqlite3.connect(tmp_path / "events.db").execute("SELECT count(*) FROM keys").fetchone()
    assert count[0] <= 68
    store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 6 MB."""
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(tmp_path)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount a file system")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


async def test_a_disk_with_no_room_left_is_said_in_health_before_it_is_full(small_disk: Path) -> None:
    async with serving(store=f"sqlite:{small_disk / 'events.db'}") as server:
        (small_disk / "filler").write_bytes(bytes(4 << 20))
        assert "bytes left" in await until_status(server, "degraded")
        (small_disk / "filler").unlink()
        await until_status(server, "ok")
        assert (await server.post("/realtime/main", data=b"x"))[0].status == 200
