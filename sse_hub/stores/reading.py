"""Reading from a SQLite file. Every call blocks, so the store has a thread for this module. The thread opens and closes
its connection itself. In WAL mode, readers and the writer do not wait for each other.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from heapq import merge
from pathlib import Path

from ..core.events import LOWEST_ID, Event, EventId
from ..core.pages import PAGE_BYTES, PAGE_EVENTS
from ..core.ports import Page, Retained
from ..core.subscription import LAST, Subscription, spans
from .entries import LATEST_BYTES, has_valid_names

__all__ = ["Gate", "Reader", "connect", "following"]

_COLUMNS = "ms, seq, channel, type, data, ifnull(accepted, ms)"
_SPAN = "channel BETWEEN ? AND ?"
_PATIENCE = 1.0


class Gate:
    """Gives the writer a moment without readers, in which SQLite can begin its write-ahead log again. Without such a
    moment, the log would grow for ever while readers never pause."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = threading.Event()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """The context of a reader while it uses one state of the file."""
        until = time.monotonic() + _PATIENCE
        while self._wanted.is_set() and time.monotonic() < until:
            time.sleep(0.0005)  # a lock is not fair: the next page would get it again at once
        with self._lock:
            yield

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """The context of the writer. It yields whether there are no readers."""
        self._wanted.set()
        try:
            got = self._lock.acquire(timeout=_PATIENCE)
            try:
                yield got
            finally:
                if got:
                    self._lock.release()
        finally:
            self._wanted.clear()


class Reader:
    """Reads the file at `path`. Every method is called in the same thread.

    :param gate: is held while a page is read.
    :param passed_over: called with the number of rows that a hub has not written.
    """

    def __init__(self, path: Path, gate: Gate, passed_over: Callable[[int], None]) -> None:
        self._path = path
        self._gate = gate
        self._passed_over = passed_over
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file after the writer has prepared it, or open it again.

        :raises sqlite3.Error: if it cannot be used.
        """
        self.close()
        self._connection = connect(str(self._path), _PATIENCE)
        self._connection.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def page(self, subscription: Subscription, after: EventId, upto: EventId) -> Page:
        """See `ports.Archive`."""
        with self._snapshot() as connection:
            events: list[Event] = []
            size = looked_at = 0
            reached = after
            floors = _floors(connection, subscription, after)
            for event in following(connection, subscription, after, self._passed_over):
                assert event.id is not None
                if event.id > upto:
                    break
                if looked_at == PAGE_EVENTS or size >= PAGE_BYTES:
                    return Page(events, reached, floors)
                reached = event.id
                looked_at += 1
                if subscription.covers(event.channel):
                    events.append(event)
                    size += len(event.data)
            return Page(events, max(reached, upto), floors)

    def back(
        self, subscription: Subscription, count: int, most: int, head: EventId
    ) -> tuple[EventId, Mapping[str, EventId]]:
        """See `ports.Archive`; `head` is the result for a replay without events."""
        with self._snapshot() as connection:
            start = head
            for looked_at, event in enumerate(following(connection, subscription, None, self._passed_over)):
                if not count or looked_at == most:
                    break
                if subscription.covers(event.channel) and subscription.wants(event):
                    assert event.id is not None
                    count -= 1
                    start = event.id.preceding()
            return start, _floors(connection, subscription, start)

    def beginning(self, subscription: Subscription, head: EventId) -> tuple[EventId, bool, Mapping[str, EventId]]:
        """See `ports.Catalogue`; `head` is the result if there are no events."""
        with self._snapshot() as connection:
            first = next(following(connection, subscription, LOWEST_ID, self._passed_over), None)
            start = head if first is None or first.id is None else first.id.preceding()
            return start, _has_lost(connection, subscription), _floors(connection, subscription, start)

    def latest(self, subscription: Subscription, after: str, count: int) -> tuple[list[Event], str | None]:
        """See `ports.Catalogue`."""
        types = sorted(subscription.types)
        wanted = f"AND type IN ({', '.join('?' * len(types))})" if types else ""
        select = f"SELECT {_COLUMNS} FROM events WHERE channel = ? {wanted} ORDER BY ms DESC, seq DESC LIMIT 1"  # noqa: S608 - constants
        with self._snapshot() as connection:
            names = _names(connection, subscription, after, count)
            events: list[Event] = []
            size = 0
            for name in names:
                row = connection.execute(select, (name, *types)).fetchone() if subscription.covers(name) else None
                event = None if row is None else _event(*row)
                if event is not None:
                    events.append(event)
                    size += len(event.data)
                    if size >= LATEST_BYTES:
                        return events, name
        return events, names[-1] if len(names) == count else None

    def channels(self, after: str, count: int) -> list[Retained]:
        """See `ports.Archive`."""
        found: list[Retained] = []
        with self._snapshot() as connection:
            while len(found) < count:
                row = connection.execute(
                    "SELECT channel, ms, seq FROM events WHERE channel > ? ORDER BY channel, ms, seq LIMIT 1", (after,)
                ).fetchone()
                if row is None:
                    break
                after, *first = row
                (events,) = connection.execute("SELECT count(*) FROM events WHERE channel = ?", (after,)).fetchone()
                last = connection.execute(
                    "SELECT ms, seq FROM events WHERE channel = ? ORDER BY ms DESC, seq DESC LIMIT 1", (after,)
                ).fetchone()
                found.append(Retained(after, events, EventId(*first), EventId(*last)))
        return found

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """A context in which all reads see the same state of the file.

        :raises sqlite3.Error: if the file cannot be read.
        """
        if self._connection is None:
            raise sqlite3.OperationalError("the file is not open")
        with self._gate.reading():
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("COMMIT")


def connect(path: str, timeout: float) -> sqlite3.Connection:
    """A connection for the calling thread. It waits this number of seconds for a lock."""
    connection = sqlite3.connect(path, timeout=timeout, isolation_level=None)
    # A hub has not written text that is not UTF-8. It must not make other rows unreadable.
    connection.text_factory = functools.partial(str, encoding="utf-8", errors="replace")
    return connection


def following(
    connection: sqlite3.Connection,
    subscription: Subscription,
    after: EventId | None,
    passed_over: Callable[[int], None],
) -> Iterator[Event]:
    """Events that may belong to the subscription, oldest first, or newest first without a cursor."""
    where = "(ms, seq) > (?, ?)" if after is not None else "1"
    order = "ms, seq" if after is not None else "ms DESC, seq DESC"
    cursor = () if after is None else after

    def events(select: str, *values: str | int) -> Iterator[Event]:
        for row in connection.execute(select, values):
            event = _event(*row)
            if event is None:
                passed_over(1)
            else:
                yield event

    if not subscription.exact:
        yield from events(f"SELECT {_COLUMNS} FROM events WHERE {where} ORDER BY {order}", *cursor)  # noqa: S608 - constants
        return
    # Each channel is read only as far as needed. With `IN`, SQLite would sort all events for every page.
    select = f"SELECT {_COLUMNS} FROM events WHERE channel = ? AND {where} ORDER BY {order}"  # noqa: S608 - constants
    runs = [events(select, name, *cursor) for name in subscription.names]
    yield from merge(*runs, key=_id, reverse=after is None)


def _event(ms: object, seq: object, channel: object, type: object, data: object, accepted: object) -> Event | None:
    """The event of a row. None if a hub has not written the row; any program can write to the file."""
    if not (isinstance(ms, int) and isinstance(seq, int) and ms >= 0 <= seq and isinstance(accepted, int)):
        return None
    if not (
        isinstance(channel, str) and isinstance(type, str) and isinstance(data, str) and has_valid_names(channel, type)
    ):
        return None
    return Event(EventId(ms, seq), channel, type, data, accepted)


def _floors(connection: sqlite3.Connection, subscription: Subscription, after: EventId) -> dict[str, EventId]:
    """See `ports.Page.floors`."""
    select = f"SELECT channel, ms, seq FROM floors WHERE {_SPAN} AND (ms, seq) > (?, ?)"  # noqa: S608 - constants
    floors: dict[str, EventId] = {}
    for span in _spans(subscription):
        rows = connection.execute(select, (*span, *after))
        floors |= {channel: EventId(ms, seq) for channel, ms, seq in rows if subscription.covers(channel)}
    for ms, seq in connection.execute("SELECT ms, seq FROM marks WHERE name = 'floor' AND (ms, seq) > (?, ?)", after):
        if not subscription.exact or not _all_known(connection, subscription):
            floors[""] = EventId(ms, seq)
    return floors


def _has_lost(connection: sqlite3.Connection, subscription: Subscription) -> bool:
    """Whether a channel has lost events of its beginning."""
    select = f"SELECT channel FROM floors WHERE {_SPAN} AND NOT anew"  # noqa: S608 - constants
    for span in _spans(subscription):
        if any(subscription.covers(channel) for (channel,) in connection.execute(select, span)):
            return True
    lost = connection.execute("SELECT 1 FROM marks WHERE name = 'lost'").fetchone() is not None
    return lost and not (subscription.exact and _all_known(connection, subscription))


def _spans(subscription: Subscription) -> Iterator[tuple[str, str]]:
    """The first and the last name of each span that holds channels of the subscription. The floors are sorted by name,
    and a hub of short runs has up to 100,000 of them."""
    for name, is_beginning in spans(subscription, ""):
        yield name, name + LAST if is_beginning else name


def _names(connection: sqlite3.Connection, subscription: Subscription, after: str, count: int) -> list[str]:
    """Sorted names after this one, among which are the subscription's channels."""
    found: list[str] = []
    for key, is_beginning in spans(subscription, after):
        if not is_beginning:
            found.append(key)
            continue
        name, comparison = (key, ">=") if key > after else (after, ">")
        while len(found) < count:
            row = connection.execute(
                f"SELECT channel FROM events WHERE channel {comparison} ? ORDER BY channel LIMIT 1",  # noqa: S608 - constants
                (name,),
            ).fetchone()
            if row is None or not row[0].startswith(key):
                break
            name, comparison = row[0], ">"
            found.append(name)
        if len(found) >= count:
            break
    return found[:count]


def _all_known(connection: sqlite3.Connection, subscription: Subscription) -> bool:
    """Whether every channel has a floor of its own."""
    return all(
        connection.execute("SELECT 1 FROM floors WHERE channel = ?", (name,)).fetchone() for name in subscription.names
    )


def _id(event: Event) -> EventId:
    assert event.id is not None
    return event.id
