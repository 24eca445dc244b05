"""The SQLite store: an acknowledged event is on the disk of this machine, and survives a crash of it.

SQLite blocks, so the file has two threads: one that writes, one that reads. Publishes that come while a commit is under
way share the next one (`batches`). Events are handed to the hub in the order of their commits.

Whatever goes wrong with the file stops publishing only: streams stay open, `trouble` says why, and every second the
file is opened anew and tried.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ..events import Draft, Event, EventId, Subscription
from ..hub import Hub
from ..ports import Page, StoreUnavailable
from ..tasks import end
from .batches import Append, Batches, clean
from .database import Appended, Database, Retained

__all__ = ["SqliteStore"]

_PERIOD = 1.0
"""Seconds between two rounds of deleting what is too old, or two trials of a file in trouble."""

_Result = TypeVar("_Result")

logger = logging.getLogger("sse_hub")


class SqliteStore:
    """Keeps events in a file.

    :param path: the file, made if it is not there; SQLite keeps others beside it.
    :param hub: gets the events.
    :param clock: Unix time in milliseconds.
    :param history: events retained for each channel.
    :param history_age: seconds for which an event is retained.
    """

    def __init__(self, path: Path, hub: Hub, clock: Callable[[], int], *, history: int, history_age: float) -> None:
        self._path = path
        self._hub = hub
        self._clock = clock
        self._database = Database(path, clock, history=history, history_age_ms=history_age * 1000)
        self._writing = ThreadPoolExecutor(1, "sqlite-write")
        self._reading = ThreadPoolExecutor(1, "sqlite-read")
        self._batches = Batches[Append, Appended](self._write)
        self._head = EventId(0, 0)  # of what the hub has
        self._trouble: str | None = "The store is being opened."
        self._keeping: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> str | None:
        """Why nothing can be written."""
        return self._trouble

    async def open(self) -> None:
        """Read what is retained; from now on, delete what is too old, and try again what fails."""
        await self._try()
        self._keeping = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Wait for the last commit and close the file."""
        if self._keeping is not None:
            await end(self._keeping)
        await self._batches.close()
        await self._in_writing_thread(self._database.close)
        self._writing.shutdown()
        self._reading.shutdown()

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        """Commit events, together with those of others that come meanwhile."""
        if self._trouble is None and all(draft.ephemeral for draft in drafts):
            events = [draft.accepted(self._head.following(self._clock())) for draft in drafts]
            self._hub.deliver(events)
            return events
        return (await self._put(Append(clean(drafts)))).events

    async def append_once(self, key: str, drafts: Sequence[Draft], memo: str) -> tuple[Sequence[EventId | None], str]:
        """The key is committed with the events: whatever breaks, both are there or neither."""
        appended = await self._put(Append(clean(drafts), key, memo))
        return appended.ids, appended.memo

    async def page(self, subscription: Subscription, after: EventId, upto: EventId) -> Page:
        """Read a page in the reading thread."""
        return await self._read(lambda: self._database.page(subscription, after, upto))

    async def back(self, subscription: Subscription, count: int) -> tuple[EventId, EventId]:
        """Look for the last events in the reading thread."""
        return await self._read(lambda: self._database.back(subscription, count))

    async def reach(self, id: EventId) -> bool:
        """No other process writes: what has been given out has been handed over."""
        return id <= self._head

    async def _put(self, append: Append) -> Appended:
        if self._trouble is not None:
            raise StoreUnavailable(self._trouble)
        return await self._batches.put(append)

    async def _write(self, appends: Sequence[Append]) -> Sequence[Appended]:
        try:
            appended = await self._in_writing_thread(lambda: self._database.write(appends))
        except sqlite3.Error as error:
            raise StoreUnavailable(self._note(error)) from error
        events = [event for each in appended for event in each.events]
        self._head = next((event.id for event in reversed(events) if event.id is not None), self._head)
        self._hub.deliver(events)
        return appended

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_PERIOD)
            if self._trouble is not None:
                await self._try()
                continue
            try:
                more = True
                while more:  # a publish may come in between two steps
                    more = await self._in_writing_thread(self._database.expire)
            except sqlite3.Error as error:
                self._note(error)

    async def _try(self) -> None:
        """Open the file, and see whether it can be written."""
        try:
            retained = await self._in_writing_thread(self._database.open)
            self._take(retained)
            await self._in_writing_thread(lambda: self._database.expire(prove=True))
        except sqlite3.Error as error:
            self._note(error)
        else:
            if self._keeping is not None:
                logger.info("the SQLite file %s can be used again", self._path)
            self._trouble = None

    def _take(self, retained: Retained) -> None:
        if self._hub.ready and retained.origin <= self._head <= retained.head:
            # The file broke off between a commit and its answer, perhaps.
            self._hub.deliver([event for event in retained.events if event.id is not None and event.id > self._head])
        elif self._hub.ready and retained.head < self._head:
            self._hub.restart(self._head)  # somebody has put an older file in its place
            return
        else:
            self._hub.restart(retained.origin, retained.events, retained.head)
        self._head = retained.head

    def _note(self, error: sqlite3.Error) -> str:
        reason = f"The SQLite file {self._path.name} cannot be used: {error}."
        if reason != self._trouble:
            logger.error("%s", reason)
        self._trouble = reason
        return reason

    async def _read(self, what: Callable[[], _Result]) -> _Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reading, what)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"The SQLite file {self._path.name} cannot be read: {error}.") from error

    async def _in_writing_thread(self, what: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._writing, what)
