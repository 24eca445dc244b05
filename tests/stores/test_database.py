"""One SQLite file: writing events and deleting old ones."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from calls import counted_calls
from sqlite_files import ALL, Clock, database, drafts, reader

from sse_hub.core.events import Draft, EventId
from sse_hub.core.rules import Rule, Rules
from sse_hub.core.subscription import Subscription
from sse_hub.stores.batches import Append
from sse_hub.stores.database import Database


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


def test_appends_of_one_transaction_get_ids_of_their_own_in_order(tmp_path: Path) -> None:
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
        store.expire(force_write=True)
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
    database = Database(tmp_path / "events.db", lambda: next(moments), Rules())
    retained = database.open()
    database.close()
    assert retained.origin == retained.head


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


def test_a_kept_last_event_that_is_too_old_goes_when_a_newer_one_is_the_last(tmp_path: Path) -> None:
    clock = Clock()
    store = Database(tmp_path / "events.db", clock, Rules(Rule(history=10, history_age=10, keep_last=True)))
    store.open()

    def retained() -> list[str]:
        while store.expire():
            pass
        return [event.data for event in reader(tmp_path).page(ALL, EventId(0, 0), EventId(2**50, 0)).events]

    store.write(drafts(1, "first"))
    clock.now_ms += 100_000
    assert retained() == ["first"]
    store.write(drafts(1, "second"))
    assert retained() == ["second"]
    clock.now_ms += 100_000
    assert retained() == ["second"]
    store.close()


def test_answers_kept_for_keys_are_bounded_by_their_bytes(tmp_path: Path) -> None:
    store = database(tmp_path, Clock())
    memo = "m" * 1_000_000
    for number in range(80):
        store.write([Append([Draft("c", "message", "x")], str(number), memo)])
        store.expire()
    count = sqlite3.connect(tmp_path / "events.db").execute("SELECT count(*) FROM keys").fetchone()
    assert count[0] <= 68
    store.close()


def test_the_floor_of_forgotten_channels_never_goes_down(tmp_path: Path) -> None:
    """Channels that keep their events for longer lose them later, but at lower ids."""
    store = database(tmp_path, Clock())
    file = sqlite3.connect(tmp_path / "events.db")

    def lose(name: str, first_ms: int) -> EventId:
        """Lose an event of each of more channels than the file knows; return the floor of the others."""
        rows = ((f"{name}.{number}", first_ms + number) for number in range(110_000))
        with file:
            file.executemany("INSERT INTO floors VALUES (?, ?, 0, 0)", rows)
        store.expire(force_write=True)
        return reader(tmp_path).page(Subscription(frozenset({f"{name}.0"})), EventId(0, 0), EventId(0, 0)).floors[""]

    floor = lose("short", 3_000_000)
    assert floor > EventId(3_000_000, 0)
    assert lose("long", 2_000_000) == floor
    file.close()
    store.close()


@pytest.mark.parametrize("names", [["chat"], ["chat.*"], ["chat", "c*.1"]])
def test_a_page_reads_only_the_floors_that_its_subscription_may_cover(tmp_path: Path, names: list[str]) -> None:
    store = database(tmp_path, Clock())
    with sqlite3.connect(tmp_path / "events.db") as file:
        rows = ((name, number) for number, name in enumerate(["chat", "chat.1", *(f"run.{n}" for n in range(20_000))]))
        file.executemany("INSERT INTO floors VALUES (?, ?, 1, 0)", rows)
    file.close()
    subscription, reading = Subscription(frozenset(names)), reader(tmp_path)
    with counted_calls() as calls:
        page = reading.page(subscription, EventId(0, 0), EventId(0, 0))
    floors = {"chat": EventId(0, 1), "chat.1": EventId(1, 1)}
    own = {name: floor for name, floor in page.floors.items() if name}  # without that of unknown channels
    assert own == {name: floor for name, floor in floors.items() if subscription.covers(name)}
    assert calls.count < 500
    start, lost, _ = reading.beginning(subscription, EventId(9, 0))
    assert (start, lost) == (EventId(9, 0), True)
    reading.close()
    store.close()
