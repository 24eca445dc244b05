"""The tables of a SQLite file: their schema, its conversion from earlier releases, and the rows of `marks`."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator

from ..core.events import EventId

__all__ = ["WAL_BYTES", "mark", "prepare", "raise_mark", "transaction"]

WAL_BYTES = 16 << 20
"""Size to which SQLite shortens its write-ahead log when it begins the log again."""

_APPLICATION = 0x53534548  # "SSEH"
_SCHEMA_VERSION = 3
_SCHEMA = """
CREATE TABLE events (ms INTEGER, seq INTEGER, channel TEXT, type TEXT, data TEXT, accepted INTEGER,
  PRIMARY KEY (ms, seq)) WITHOUT ROWID;
CREATE INDEX events_by_channel ON events (channel, ms, seq);
CREATE INDEX ends ON events (channel, ms, seq) WHERE type = 'end';
CREATE TABLE floors (channel TEXT PRIMARY KEY, ms INTEGER, seq INTEGER, anew INTEGER DEFAULT 0) WITHOUT ROWID;
CREATE TABLE marks (name TEXT PRIMARY KEY, ms INTEGER, seq INTEGER) WITHOUT ROWID;
CREATE TABLE keys (key TEXT PRIMARY KEY, until_ms INTEGER, ids TEXT, memo TEXT) WITHOUT ROWID;
CREATE INDEX keys_by_age ON keys (until_ms);
"""
_UPGRADES = {
    1: ["ALTER TABLE events ADD COLUMN accepted INTEGER"],
    2: [
        "CREATE INDEX ends ON events (channel, ms, seq) WHERE type = 'end'",
        "ALTER TABLE floors ADD COLUMN anew INTEGER DEFAULT 0",
    ],
}
"""By the version that each of them replaces. `accepted` is a time in milliseconds, NULL where the id has the same;
`anew` says that the channel begins above its floor."""


def prepare(writer: sqlite3.Connection, clock: Callable[[], int]) -> None:
    """Make the tables in an empty file, or convert those of an earlier release.

    :param clock: Unix time in milliseconds.
    :raises sqlite3.DatabaseError: if the file belongs to another program, or to a later release.
    """
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
        writer.execute("PRAGMA auto_vacuum = INCREMENTAL")  # has an effect only before the first table
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA synchronous = FULL")  # a commit is on the disk when it returns
    writer.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    if tables:
        _convert(writer, version)
    else:
        _create(writer, EventId(clock(), 0))


def _create(writer: sqlite3.Connection, origin: EventId) -> None:
    with transaction(writer):
        for statement in filter(str.strip, _SCHEMA.split(";")):
            writer.execute(statement)
        writer.execute(f"PRAGMA application_id = {_APPLICATION}")
        writer.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        mark(writer, "head", origin)
        mark(writer, "floor", origin)


def _convert(writer: sqlite3.Connection, version: int) -> None:
    for older in range(version, _SCHEMA_VERSION):
        with transaction(writer):
            for statement in _UPGRADES[older]:
                writer.execute(statement)
            writer.execute(f"PRAGMA user_version = {older + 1}")


def mark(writer: sqlite3.Connection, name: str, id: EventId) -> None:
    """Note an id about the whole file.

    :param name: `head` for the newest id ever given; `floor` for the floor of channels without one of their own; `lost`
        if that floor hides losses; `ahead` and `set back` for the state of the clock (`core.times`).
    """
    writer.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?)", (name, *id))


def raise_mark(writer: sqlite3.Connection, name: str, id: EventId) -> None:
    """The same, unless the mark is higher."""
    present = writer.execute("SELECT ms, seq FROM marks WHERE name = ?", (name,)).fetchone()
    mark(writer, name, id if present is None else max(id, EventId(*present)))


@contextlib.contextmanager
def transaction(writer: sqlite3.Connection) -> Iterator[None]:
    """A context that is committed at its end, and rolled back after an error."""
    writer.execute("BEGIN IMMEDIATE")
    try:
        yield
        writer.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # a full disk may have ended the transaction already
            writer.execute("ROLLBACK")
        raise
