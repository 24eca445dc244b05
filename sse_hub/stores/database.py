"""One SQLite file: its tables, and everything that is read from it and written to it. All of this blocks.

`write` and `expire` are called by one thread, `page` and `back` by another: in WAL mode readers and the writer do not
wait for each other. A commit has reached the disk when `write` returns (`synchronous=FULL`).

Retention costs every write a little instead of stopping all for long: an event too many in a channel goes in the
transaction that brought the new one; old ones go some at a time.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from pathlib import Path
from typing import NamedTuple

from ..events import Event, EventId, Subscription
from ..ports import Page
from ..replay import PAGE_BYTES, PAGE_EVENTS
from .batches import Append

__all__ = ["Appended", "Database", "Retained"]

_APPLICATION = 0x53534548  # "SSEH"
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE events (ms INTEGER, seq INTEGER, channel TEXT, type TEXT, data TEXT, PRIMARY KEY (ms, seq)) WITHOUT ROWID;
CREATE INDEX events_by_channel ON events (channel, ms, seq);
CREATE TABLE floors (channel TEXT PRIMARY KEY, ms INTEGER, seq INTEGER) WITHOUT ROWID;
CREATE TABLE marks (name TEXT PRIMARY KEY, ms INTEGER, seq INTEGER) WITHOUT ROWID;
CREATE TABLE keys (key TEXT PRIMARY KEY, until_ms INTEGER, ids TEXT, memo TEXT) WITHOUT ROWID;
CREATE INDEX keys_by_age ON keys (until_ms);
"""
_COLUMNS = "ms, seq, channel, type, data"
_ALL = Subscription(frozenset({"*"}))
_BUSY = 1.0
"""Seconds to wait for somebody who has locked the file: an operator's query must not stop the hub for longer."""
_STEP = 500
"""Rows deleted at once: a few milliseconds, for which publishers wait."""
_TAIL_EVENTS = 10_000
_TAIL_BYTES = 32 << 20
"""The newest events are read into the hub's log when it begins: some tenths of a second."""
_KEY_AGE_MS = 600_000
_KEYS = 100_000
_FLOORS = 100_000
"""Channels whose floor is known exactly; beyond that the oldest are forgotten and become everybody's."""


class Appended(NamedTuple):
    """What became of an `Append`."""

    events: Sequence[Event]
    ids: Sequence[EventId | None]
    memo: str


class Retained(NamedTuple):
    """What a file holds when it is opened."""

    origin: EventId
    """Everything above this id is among the events."""
    events: Sequence[Event]
    head: EventId


class Database:
    """The file at `path`, made if it is not there.

    :param clock: Unix time in milliseconds.
    :param history: events retained for each channel.
    :param history_age_ms: milliseconds for which an event is retained.
    """

    def __init__(self, path: Path, clock: Callable[[], int], *, history: int, history_age_ms: float) -> None:
        self._path = path
        self._clock = clock
        self._history = history
        self._history_age_ms = history_age_ms
        self._head = EventId(0, 0)
        self._counts: Counter[str] = Counter()
        self._connections = contextlib.ExitStack()
        self._writer: sqlite3.Connection
        self._reader: sqlite3.Connection

    def open(self) -> Retained:
        """Open the file for writing and reading; a second time, open it anew.

        :raises sqlite3.Error: if it cannot be used.
        """
        self.close()
        # A lock that every system has: an exclusive transaction on a file beside it, which ends with the process.
        owner = self._connect(f"{self._path}-owner", timeout=0.0)
        try:
            owner.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise sqlite3.OperationalError(f"another process has opened it ({error})") from None
        self._writer = self._connect(str(self._path))
        self._prepare()
        self._reader = self._connect(str(self._path))
        self._reader.execute("PRAGMA query_only = ON")
        return self._retained()

    def close(self) -> None:
        """Close the file, if it is open."""
        self._connections.close()

    def _connect(self, path: str, timeout: float = _BUSY) -> sqlite3.Connection:
        # Several threads use a connection, though never two at once: its owner sees to that.
        connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
        self._connections.callback(connection.close)
        return connection

    def _prepare(self) -> None:
        """Make the tables, or see that those that are there are ours.

        :raises sqlite3.DatabaseError: if they are not.
        """
        writer = self._writer
        (application,) = writer.execute("PRAGMA application_id").fetchone()
        (version,) = writer.execute("PRAGMA user_version").fetchone()
        (tables,) = writer.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and application != _APPLICATION:
            raise sqlite3.DatabaseError("it is a database of another program")
        if version > _SCHEMA_VERSION:
            raise sqlite3.DatabaseError(
                f"its schema is version {version}, and this release knows {_SCHEMA_VERSION}; use the newer release"
            )
        if not tables:
            writer.execute("PRAGMA auto_vacuum = INCREMENTAL")
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("PRAGMA synchronous = FULL")  # a commit is on the disk when it returns
        writer.execute("PRAGMA journal_size_limit = 16777216")
        if not tables:
            with self._transaction():
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    writer.execute(statement)
                writer.execute(f"PRAGMA application_id = {_APPLICATION}")
                writer.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
                origin = EventId(self._clock(), 0)  # one look at the clock: the floor must not be above the head
                self._mark("head", origin)
                self._mark("floor", origin)

    def _retained(self) -> Retained:
        marks = {name: EventId(ms, seq) for name, ms, seq in self._writer.execute("SELECT * FROM marks")}
        self._head = max(self._head, marks["head"])
        self._counts = Counter(dict(self._writer.execute("SELECT channel, count(*) FROM events GROUP BY channel")))
        highest = self._writer.execute("SELECT ms, seq FROM floors ORDER BY ms DESC, seq DESC LIMIT 1").fetchone()
        origin = max(marks["floor"], EventId(*highest) if highest else marks["floor"])
        tail: list[Event] = []
        size = 0
        for event in self._following(_ALL, None):
            assert event.id is not None
            if event.id <= origin or len(tail) == _TAIL_EVENTS or size > _TAIL_BYTES:
                origin = max(origin, event.id)
                break
            tail.append(event)
            size += len(event.data)
        return Retained(origin, tail[::-1], marks["head"])

    def write(self, appends: Sequence[Append]) -> list[Appended]:
        """Make events of all these drafts in one transaction.

        :raises sqlite3.Error: if that cannot be done; nothing is written then.
        """
        head, added = self._head, Counter[str]()
        try:
            with self._transaction():
                now_ms = self._clock()
                appended = [self._append(append, now_ms, added) for append in appends]
                self._writer.executemany(
                    "INSERT INTO events VALUES (?, ?, ?, ?, ?)",
                    [
                        (*event.id, event.channel, event.type, event.data)
                        for each in appended
                        for event in each.events
                        if event.id is not None
                    ],
                )
                for channel in added:
                    added[channel] -= self._trim(channel, self._counts[channel] + added[channel])
                self._mark("head", self._head)
        except BaseException:
            self._head = head
            raise
        self._counts.update(added)
        return appended

    def _append(self, append: Append, now_ms: int, added: Counter[str]) -> Appended:
        if append.key:
            first = self._writer.execute(
                "SELECT ids, memo FROM keys WHERE key = ? AND until_ms > ?", (append.key, now_ms)
            ).fetchone()
            if first is not None:
                return Appended((), [EventId.parse(id) if id else None for id in first[0].split(" ")], first[1])
        events = []
        for draft in append.drafts:
            following = self._head.following(now_ms)
            events.append(draft.accepted(following))
            if not draft.ephemeral:
                self._head = following
                added[draft.channel] += 1
        if append.key:
            ids = " ".join("" if event.id is None else str(event.id) for event in events)
            row = (append.key, now_ms + _KEY_AGE_MS, ids, append.memo)
            self._writer.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?)", row)
        return Appended(events, [event.id for event in events], append.memo)

    def _trim(self, channel: str, count: int) -> int:
        """Delete the channel's oldest events beyond its history, some at a time; return how many."""
        excess = min(count - self._history, 2 * _STEP)
        if excess <= 0:
            return 0
        last = self._writer.execute(
            "SELECT ms, seq FROM events WHERE channel = ? ORDER BY ms, seq LIMIT 1 OFFSET ?", (channel, excess - 1)
        ).fetchone()
        self._writer.execute("DELETE FROM events WHERE channel = ? AND (ms, seq) <= (?, ?)", (channel, *last))
        self._writer.execute("INSERT OR REPLACE INTO floors VALUES (?, ?, ?)", (channel, *last))
        return excess

    def expire(self, prove: bool = False) -> bool:
        """Delete some of what is too old or too much; say whether there is more to delete.

        :param prove: whether to write in any case, to find out whether the file can be written.
        :raises sqlite3.Error: if that cannot be done.
        """
        now_ms = self._clock()
        old = self._writer.execute(
            "SELECT channel, ms, seq FROM events WHERE ms <= ? ORDER BY ms, seq LIMIT ?",
            (now_ms - self._history_age_ms, _STEP),
        ).fetchall()
        over = [channel for channel, count in self._counts.items() if count > self._history][:10]
        stale = self._writer.execute("SELECT 1 FROM keys WHERE until_ms <= ? LIMIT 1", (now_ms,)).fetchone()
        if not (old or over or stale or prove):
            return False  # an idle hub leaves the disk alone
        gone = Counter[str](channel for channel, *_ in old)
        with self._transaction():
            self._mark("head", self._head)
            if old:
                self._writer.execute("DELETE FROM events WHERE (ms, seq) <= (?, ?)", old[-1][1:])
                self._writer.executemany("INSERT OR REPLACE INTO floors VALUES (?, ?, ?)", old)
            for channel in over:
                gone[channel] += self._trim(channel, self._counts[channel] - gone[channel])
            self._forget_keys(now_ms)
            self._forget_floors()
        self._counts -= gone
        # 1 MB of what is free goes back to the system; execute() would stop after the first page.
        self._writer.executescript("PRAGMA incremental_vacuum(256)")
        return sum(gone.values()) >= _STEP

    def _forget_keys(self, now_ms: int) -> None:
        (count,) = self._writer.execute("SELECT count(*) FROM keys").fetchone()
        self._writer.execute(
            "DELETE FROM keys WHERE key IN (SELECT key FROM keys WHERE until_ms <= ? ORDER BY until_ms LIMIT ?)",
            (now_ms if count <= _KEYS else now_ms + _KEY_AGE_MS, _STEP if count <= _KEYS else count - _KEYS),
        )

    def _forget_floors(self) -> None:
        (count,) = self._writer.execute("SELECT count(*) FROM floors").fetchone()
        if count <= _FLOORS:
            return
        oldest = self._writer.execute(
            "SELECT ms, seq FROM floors ORDER BY ms, seq LIMIT 1 OFFSET ?", (count - _FLOORS // 2,)
        ).fetchone()
        self._writer.execute("DELETE FROM floors WHERE (ms, seq) <= (?, ?)", oldest)
        self._mark("floor", EventId(*oldest))

    def page(self, subscription: Subscription, after: EventId, upto: EventId) -> Page:
        """See `ports.Archive`."""
        with self._snapshot():
            events: list[Event] = []
            size = looked_at = 0
            reached = after
            for event in self._following(subscription, after):
                assert event.id is not None
                if event.id > upto:
                    break
                if looked_at == PAGE_EVENTS or size >= PAGE_BYTES:
                    return Page(events, reached, self._floor(subscription, after))
                reached = event.id
                looked_at += 1
                if subscription.covers(event.channel):
                    events.append(event)
                    size += len(event.data)
            return Page(events, max(reached, upto), self._floor(subscription, after))

    def back(self, subscription: Subscription, count: int) -> tuple[EventId, EventId]:
        """See `ports.Archive`."""
        with self._snapshot():
            floor = self._floor(subscription, EventId(0, 0))
            oldest = None
            for event in self._following(subscription, None):
                if subscription.covers(event.channel) and subscription.wants(event):
                    if not count:
                        break
                    count -= 1
                    oldest = event.id
            return (max(self._head, floor) if oldest is None else oldest.preceding()), floor

    def _following(self, subscription: Subscription, after: EventId | None) -> Iterator[Event]:
        """Events that may be the subscription's, oldest first; without a cursor, newest first."""
        where = "(ms, seq) > (?, ?)" if after is not None else "1"
        order = "ms, seq" if after is not None else "ms DESC, seq DESC"
        cursor = () if after is None else after
        if not subscription.exact:
            yield from self._events(f"SELECT {_COLUMNS} FROM events WHERE {where} ORDER BY {order}", *cursor)  # noqa: S608 - constants
            return
        # Each is read as far as it is needed; `IN` would have SQLite sort all of them for every page.
        select = f"SELECT {_COLUMNS} FROM events WHERE channel = ? AND {where} ORDER BY {order}"  # noqa: S608 - constants
        runs = [self._events(select, name, *cursor) for name in subscription.names]
        yield from merge(*runs, key=_id, reverse=after is None)

    def _events(self, select: str, *values: str | int) -> Iterator[Event]:
        for ms, seq, channel, type, data in self._reader.execute(select, values):
            yield Event(EventId(ms, seq), channel, type, data, ms)

    def _floor(self, subscription: Subscription, after: EventId) -> EventId:
        (common,) = self._reader.execute("SELECT ms, seq FROM marks WHERE name = 'floor'").fetchall()
        rows = self._reader.execute("SELECT channel, ms, seq FROM floors WHERE (ms, seq) > (?, ?)", after)
        floors = [EventId(ms, seq) for channel, ms, seq in rows if subscription.covers(channel)]
        return max(floors, default=EventId(0, 0)) if floors else EventId(*common)

    def _mark(self, name: str, id: EventId) -> None:
        self._writer.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?)", (name, *id))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # a full disk may have ended it already
                self._writer.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[None]:
        """All that is read within is of one moment."""
        self._reader.execute("BEGIN")
        try:
            yield
        finally:
            self._reader.execute("COMMIT")


def _id(event: Event) -> EventId:
    assert event.id is not None
    return event.id
