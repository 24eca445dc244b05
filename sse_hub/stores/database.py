"""One SQLite file, and all writes to it. Every call blocks, so the store has a thread for this module. The thread
opens and closes its connections itself. A commit has reached the disk when `write` returns
(`synchronous=FULL`). schema.py has the tables, and reading.py the reads.

Retention (retention.py) costs each write a little and never stops the others for long. An event too many in a channel
is deleted in the transaction that adds the new one. Old events are deleted a few at a time.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..core.ends import Ended, Silent
from ..core.events import LOWEST_ID, Event, EventId
from ..core.ports import KEY_AGE_MS
from ..core.rules import Rules
from ..core.subscription import Subscription
from .batches import Append
from .entries import TAIL_BYTES, TAIL_EVENTS
from .reading import Gate, connect, following
from .retention import STEP, Expiry, Retention, Staged
from .schema import WAL_BYTES, mark, prepare, raise_mark, transaction

__all__ = ["Appended", "Content", "Database"]

_ALL = Subscription(frozenset({"*"}))
_BUSY = 1.0
"""Seconds to wait for another program that has locked the file. An operator's query must not stop the hub for long."""
_STEP = 500
"""Largest number of keys deleted at once."""
_KEYS = 100_000
_KEY_BYTES = 64 << 20
"""Largest size of all answers that are kept for keys."""
_WAL_PERIOD = 1.0
"""Seconds until the next trial, if another program reads the file."""
_LEAST_FREE_BYTES = 4 << 20
_FLOORS = 100_000
"""Largest number of channels with a floor of their own. If there are more, the oldest floors become part of the common
floor."""


class Appended(NamedTuple):
    """The result of an `Append`."""

    events: Sequence[Event]
    ids: Sequence[EventId | None]
    memo: str
    floor: EventId | None = None
    """The id up to which the channel was forgotten, if it was."""
    refused: Ended | None = None
    """The reason why nothing was appended."""


class Content(NamedTuple):
    """The content of a file when it is opened."""

    origin: EventId
    """The events are complete above this id."""
    events: Sequence[Event]
    head: EventId


class Database:
    """The file at `path`. It is made if it does not exist.

    :param clock: Unix time in milliseconds.
    :param rules: what is retained of each channel.
    :param passed_over: called with the number of rows that a hub has not written.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], int],
        rules: Rules,
        passed_over: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._path = path
        self._passed_over = passed_over
        self.gate = Gate()
        """Synchronizes the readers of the file with the writer."""
        self.wal_blocked = False
        """Whether the write-ahead log grows because another program reads the file all the time."""
        self.retention = Retention(rules)
        self._clock = clock
        self._head = LOWEST_ID
        self._connections = contextlib.ExitStack()
        self._writer: sqlite3.Connection
        self._key_bytes = 0
        self._wal_tried = 0.0

    def open(self) -> Content:
        """Open the file for writing, or open it again.

        :raises sqlite3.Error: if it cannot be used.
        """
        self.close()
        # An exclusive transaction on a second file is a lock that works on every system and ends with the process.
        owner = self._connect(f"{self._path}-owner", timeout=0.0)
        try:
            owner.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise sqlite3.OperationalError(f"another process has opened it ({error})") from None
        self._writer = self._connect(str(self._path))
        prepare(self._writer, self._clock)
        return self._content()

    def close(self) -> None:
        """Close the file, if it is open."""
        self._connections.close()

    def _connect(self, path: str, timeout: float = _BUSY) -> sqlite3.Connection:
        connection = connect(path, timeout)
        self._connections.callback(connection.close)
        return connection

    def _content(self) -> Content:
        marks = {name: EventId(ms, seq) for name, ms, seq in self._writer.execute("SELECT * FROM marks")}
        self._head = max(self._head, marks["head"])
        self.retention.load(self._writer)
        times = self.retention.times
        highest = self._writer.execute("SELECT ms, seq FROM floors ORDER BY ms DESC, seq DESC LIMIT 1").fetchone()
        times.ahead = marks.get("ahead", times.ahead)
        times.set_back_ms = marks["set back"].ms if "set back" in marks else 0
        (self._key_bytes,) = self._writer.execute(
            "SELECT ifnull(sum(length(ids) + length(memo)), 0) FROM keys"
        ).fetchone()
        (latest,) = self._writer.execute(
            "SELECT max(ifnull(accepted, ms)) FROM (SELECT * FROM events ORDER BY ms DESC, seq DESC LIMIT 1)"
        ).fetchone()
        times.latest_ms = latest or 0
        origin = max(marks["floor"], EventId(*highest) if highest else marks["floor"])
        tail: list[Event] = []
        size = 0
        for event in following(self._writer, _ALL, None, self._passed_over):
            assert event.id is not None
            if event.id <= origin or len(tail) == TAIL_EVENTS or size > TAIL_BYTES:
                origin = max(origin, event.id)
                break
            tail.append(event)
            size += len(event.data)
        return Content(origin, tail[::-1], marks["head"])

    def write(self, appends: Sequence[Append]) -> list[Appended]:
        """Make events of these drafts in one transaction, apart from those for channels that have ended.

        :raises sqlite3.Error: if that cannot be done; nothing is written then.
        """
        head, staged = self._head, Staged()
        try:
            with transaction(self._writer):
                now_ms = self._clock()
                appended: list[Appended] = []
                for append in appends:
                    try:
                        appended.append(self._append(append, now_ms, staged))
                    except Ended as ended:
                        appended.append(Appended((), (), "", refused=ended))
                self.retention.trim(self._writer, staged)
                mark(self._writer, "head", self._head)
        except BaseException:
            self._head = head
            raise
        self.retention.commit(staged, now_ms)
        self._shorten_wal()
        return appended

    def _append(self, append: Append, now_ms: int, staged: Staged) -> Appended:
        if append.key:
            first = self._writer.execute(
                "SELECT ids, memo FROM keys WHERE key = ? AND until_ms > ?", (append.key, now_ms)
            ).fetchone()
            if first is not None:
                return Appended((), [EventId.parse(id) if id else None for id in first[0].split(" ")], first[1])
        if append.forget and not self.retention.state(append.forget).exists:
            self.retention.idle.discard(append.forget)  # it may have had ephemeral events
            return Appended((), (), "")
        if append.forget:
            self.retention.forget(self._writer, append.forget, self._head, staged)
            return Appended((), (), "", self._head)
        if append.if_idle and not self.retention.is_silent(append.drafts[0].channel, staged):
            return Appended((), (), "")
        self.retention.check(append.drafts, staged)
        events = []
        for draft in append.drafts:
            following = self._head.following(now_ms)
            events.append(draft.accepted(following, now_ms))
            if not draft.ephemeral:
                self._head = following
            self.retention.stage(events[-1], staged)
        self._insert(events)
        if append.key:
            ids = " ".join("" if event.id is None else str(event.id) for event in events)
            row = (append.key, now_ms + KEY_AGE_MS, ids, append.memo)
            self._writer.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?)", row)
            self._key_bytes += len(ids) + len(append.memo)
        return Appended(events, [event.id for event in events], append.memo)

    def _insert(self, events: Sequence[Event]) -> None:
        self._writer.executemany(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)",
            [
                (*event.id, event.channel, event.type, event.data, None if event.ms == event.id.ms else event.ms)
                for event in events
                if event.id is not None
            ],
        )

    def silent(self) -> Silent:
        """Some channels that have been silent for their `idle_end`; each is returned once (see `find_again`)."""
        return self.retention.idle.find(self._clock())

    def find_again(self, channel: str) -> None:
        """Let `silent` return a channel once more, because it could not be ended."""
        if channel not in self.retention.idle:  # there was no publish to it since
            self.retention.idle.note(channel, 0)

    def expire(self, force_write: bool = False) -> bool:
        """Delete some of the events that are too old or too many; return whether there are more. The file is locked for
        writing even if there are none, so that a failure is known before the next publish.

        :param force_write: whether to write something in any case, to find out whether the file can be written.
        :raises sqlite3.Error: if that cannot be done.
        """
        self._check_space()
        self._shorten_wal()
        now_ms, retention = self._clock(), self.retention
        if retention.set_back(now_ms, self._head):
            with transaction(self._writer):
                mark(self._writer, "ahead", retention.times.ahead)
                mark(self._writer, "set back", EventId(now_ms, 0))
        stale = self._writer.execute("SELECT 1 FROM keys WHERE until_ms <= ? LIMIT 1", (now_ms,)).fetchone()
        if not (retention.anything_due(now_ms) or stale or force_write or self._key_bytes > _KEY_BYTES):
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.execute("ROLLBACK")  # an idle hub must not write to the disk
            return False
        expiry = Expiry()
        try:
            with transaction(self._writer):
                mark(self._writer, "head", self._head)
                retention.expire(self._writer, now_ms, expiry)
                self._forget_keys(now_ms)
                self._forget_floors()
        except BaseException:
            retention.finish_expiry(expiry, committed=False)
            raise
        retention.finish_expiry(expiry, committed=True)
        # 1 MB of free space goes back to the system; execute() would stop after the first page.
        self._writer.executescript("PRAGMA incremental_vacuum(256)")
        return expiry.rows >= STEP

    def _check_space(self) -> None:
        """:raises sqlite3.OperationalError: if the disk is nearly full, because SQLite needs space to delete events."""
        try:
            free = shutil.disk_usage(self._path.parent).free
        except OSError as error:
            raise sqlite3.OperationalError(f"its folder cannot be used ({error})") from None
        if free < _LEAST_FREE_BYTES:
            raise sqlite3.OperationalError(f"its disk has only {free} bytes left")

    def _shorten_wal(self) -> None:
        """Begin the write-ahead log again if it is long. SQLite does this by itself unless a reader uses an old state
        of the file."""
        now, size = time.monotonic(), 0
        with contextlib.suppress(OSError):  # it does not exist before the first write
            size = Path(f"{self._path}-wal").stat().st_size
        if size <= WAL_BYTES:
            self.wal_blocked = False
        if size <= WAL_BYTES or now - self._wal_tried < _WAL_PERIOD:
            return
        with self.gate.alone() as alone:
            self._writer.execute("PRAGMA busy_timeout = 0")  # another program may read for hours
            try:
                (busy, *_) = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                self._writer.execute(f"PRAGMA busy_timeout = {round(_BUSY * 1000)}")
        self.wal_blocked = bool(busy) and alone
        self._wal_tried = now if busy else 0.0

    def _forget_keys(self, now_ms: int) -> None:
        (count,) = self._writer.execute("SELECT count(*) FROM keys").fetchone()
        excess = max(count - _KEYS, count // 2 if self._key_bytes > _KEY_BYTES else 0)
        gone = self._writer.execute(
            "SELECT key, length(ids) + length(memo) FROM keys WHERE until_ms <= ? ORDER BY until_ms LIMIT ?",
            (now_ms + KEY_AGE_MS, excess) if excess > 0 else (now_ms, _STEP),
        ).fetchall()
        self._writer.executemany("DELETE FROM keys WHERE key = ?", [(key,) for key, _ in gone])
        self._key_bytes -= sum(size for _, size in gone)

    def _forget_floors(self) -> None:
        (count,) = self._writer.execute("SELECT count(*) FROM floors").fetchone()
        if count <= _FLOORS:
            return
        oldest = self._writer.execute(
            "SELECT ms, seq FROM floors ORDER BY ms, seq LIMIT 1 OFFSET ?", (count - _FLOORS // 2,)
        ).fetchone()
        (lost,) = self._writer.execute(
            "SELECT count(*) FROM floors WHERE (ms, seq) <= (?, ?) AND NOT anew", oldest
        ).fetchone()
        self._writer.execute("DELETE FROM floors WHERE (ms, seq) <= (?, ?)", oldest)
        # A channel that keeps its events for longer loses them later, but at lower ids.
        raise_mark(self._writer, "floor", EventId(*oldest))
        if lost:
            raise_mark(self._writer, "lost", EventId(*oldest))
