"""The SQLite store: an acknowledged event is on the disk of this machine and survives a crash.

SQLite blocks, so the file has two threads: one writes and one reads. Each thread opens, uses and closes its own
connections, because closing a connection while another thread uses it ends the process. Publishes that come during a
commit share the next one (`batches`). Events are delivered to the hub in the order of their commits.

A failure of the file stops only publishing. Streams stay open, `trouble` gives the reason, and the store tries the file
again every second. A file that another program has locked stays open. After any other error it is opened again.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from ..core.ends import ABANDONED, Ended, end_draft
from ..core.events import LOWEST_ID, Draft, Event, EventId
from ..core.hub import Hub
from ..core.ports import ChannelState, Page, Retained, StoreUnavailable
from ..core.subscription import Subscription
from ..tasks import Background, end, in_slices
from .batches import SLICE, Append, Batches, clean, deliver_in_slices, forget_in_steps
from .database import Appended, Content, Database
from .reading import Reader

__all__ = ["SqliteStore"]

_PERIOD = 1.0
"""Seconds between two rounds of deleting old events, or between two trials of a file that has failed."""
_MOST_ENDED = 500
"""Largest number of silent channels that are ended in one round. Each needs a commit, and old events wait for them."""
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

_Result = TypeVar("_Result")

logger = logging.getLogger("sse_hub")


class SqliteStore:
    """Keeps events in a file.

    :param path: the file. It is made if it does not exist. SQLite keeps other files beside it.
    :param hub: gets the events.
    :param clock: Unix time in milliseconds.
    :param background: watches the store's task.
    """

    def __init__(
        self,
        path: Path,
        hub: Hub,
        clock: Callable[[], int],
        background: Background,
    ) -> None:
        self._path = path
        self._hub = hub
        self._clock = clock
        self._background = background
        self._rules = hub.log.rules
        self._database = Database(path, clock, self._rules, hub.pass_over)
        self._reader = Reader(path, self._database.gate, hub.pass_over)
        self._writing = ThreadPoolExecutor(1, "sqlite-write")
        self._reading = ThreadPoolExecutor(1, "sqlite-read")
        self._batches = Batches[Append, Appended](self._write, Append.size_bytes)
        self._passing = asyncio.Lock()  # held while ephemeral events are delivered
        self._head = LOWEST_ID  # id of the newest event that the hub has
        self._trouble: str | None = "The store is being opened."
        self._is_open = False
        self._blocked = False
        self._maintenance: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> str | None:
        """See `ports.Store`."""
        return self._trouble

    async def open(self) -> None:
        """Read the retained events. From now on, delete old events and recover from failures."""
        await self._recover()
        self._maintenance = self._background.start("sqlite", self._maintain)

    async def close(self) -> None:
        """Wait for the last commit and close the file."""
        if self._maintenance is not None:
            await end(self._maintenance)
        await self._batches.close()
        await self._in_reading_thread(self._reader.close)
        await self._in_writing_thread(self._database.close)
        self._writing.shutdown()
        self._reading.shutdown()

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        """Commit events, together with other publishes of this time."""
        if self._trouble is None and all(draft.ephemeral for draft in drafts):
            channels = {draft.channel for draft in drafts}
            if not any(map(self._watches, channels)):
                async with self._passing:
                    return await self._pass_on(drafts, channels)
        return (await self._put(Append(clean(drafts)))).events

    async def _pass_on(self, drafts: Sequence[Draft], channels: Iterable[str]) -> Sequence[Event]:
        """Deliver ephemeral events, some at a time. They are not written."""
        for channel in channels:
            if (ended := self._database.retention.end_of(channel)) is not None:
                raise Ended(channel, ended.reason)
        events: list[Event] = []
        async for some in in_slices(drafts, SLICE):
            made = [draft.accepted(self._head, self._clock()) for draft in some]
            await deliver_in_slices(self._hub, made)
            events += made
        return events

    def _watches(self, channel: str) -> bool:
        """Whether the channel ends after a time without a publish."""
        return self._rules.of(channel).idle_end is not None

    async def append_once(self, key: str, drafts: Sequence[Draft], memo: str) -> tuple[Sequence[EventId | None], str]:
        """See `ports.IdempotentStore`. The key is committed with the events, so either both exist or neither."""
        appended = await self._put(Append(clean(drafts), key, memo))
        return appended.ids, appended.memo

    async def forget(self, channel: str) -> None:
        """Delete the channel's events, and its end."""
        await self._put(Append((), forget=channel))

    async def page(self, subscription: Subscription, after: EventId, upto: EventId) -> Page:
        """Read a page in the reading thread."""
        return await self._read(lambda: self._reader.page(subscription, after, upto))

    async def back(self, subscription: Subscription, count: int, most: int) -> tuple[EventId, Mapping[str, EventId]]:
        """Look for the last events in the reading thread."""
        head = self._hub.log.head
        return await self._read(lambda: self._reader.back(subscription, count, most, head))

    async def reach(self, id: EventId) -> bool:
        """See `ports.Archive`. No other process writes to the file, so the hub has every issued id."""
        return id <= self._head

    async def channels(self, after: str, count: int) -> Sequence[Retained]:
        """Look the channels up in the reading thread."""
        return await self._read(lambda: self._reader.channels(after, count))

    async def beginning(self, subscription: Subscription) -> tuple[EventId, bool, Mapping[str, EventId]]:
        """Look for the first event in the reading thread."""
        head = self._hub.log.head
        return await self._read(lambda: self._reader.beginning(subscription, head))

    async def latest(self, subscription: Subscription, after: str, count: int) -> tuple[Sequence[Event], str | None]:
        """Look for the newest events in the reading thread."""
        return await self._read(lambda: self._reader.latest(subscription, after, count))

    async def state(self, channel: str) -> ChannelState:
        """See `ports.Catalogue`. The state of every channel is in memory."""
        return self._database.retention.state(channel)

    async def _put(self, append: Append) -> Appended:
        if self._trouble is not None:
            raise StoreUnavailable(self._trouble)
        return await self._batches.put(append)

    async def _write(self, appends: Sequence[Append]) -> Sequence[Appended | Exception]:
        try:
            appended = await self._in_writing_thread(lambda: self._database.write(appends))
        except sqlite3.Error as error:
            raise StoreUnavailable(self._note(error)) from error
        events: list[Event] = []
        for append, each in zip(appends, appended, strict=True):
            events += each.events
            if each.floor is not None:
                await self._deliver(events)
                await forget_in_steps(self._hub, append.forget, each.floor)
                events = []
        await self._deliver(events)
        return [each.refused or each for each in appended]

    async def _deliver(self, events: Sequence[Event]) -> None:
        await deliver_in_slices(self._hub, events)
        self._head = next((event.id for event in reversed(events) if event.id is not None), self._head)

    async def _maintain(self) -> None:
        while True:
            await asyncio.sleep(_PERIOD)
            if self._trouble is not None:
                await self._recover()
                continue
            try:
                more = True
                while more:  # a publish may come in between two steps
                    more = await self._in_writing_thread(self._database.expire)
                await self._abandon()
            except sqlite3.Error as error:
                self._note(error)
            self._note_blocked()

    async def _abandon(self) -> None:
        """End some of the channels that have been silent for their `idle_end`."""
        count, more = 0, True
        while more and count < _MOST_ENDED:
            silent, more = await self._in_writing_thread(self._database.silent)
            count += len(silent)
            for channel in silent:
                await self._abandon_one(channel)

    async def _abandon_one(self, channel: str) -> None:
        try:
            await self._put(Append([end_draft(channel, ABANDONED)], if_idle=True))
        except Ended:
            pass
        except StoreUnavailable:
            await self._in_writing_thread(partial(self._database.find_again, channel))

    async def _recover(self) -> None:
        """Open the file if it is not open, and check that it can be written."""
        try:
            if not self._is_open:
                await self._batches.close()  # events that are being delivered must not be taken for missed ones
                content = await self._in_writing_thread(self._database.open)
                await self._in_reading_thread(self._reader.open)
                await self._load(content)
                self._is_open = True
            await self._in_writing_thread(lambda: self._database.expire(force_write=True))
        except sqlite3.Error as error:
            self._note(error)
        else:
            if self._maintenance is not None:
                logger.info("the SQLite file %s can be used again", self._path)
            self._trouble = None

    async def _load(self, content: Content) -> None:
        if self._hub.ready and content.origin <= self._head <= content.head:
            # The file may have failed between a commit and its answer.
            missed = [event for event in content.events if event.id is not None and event.id > self._head]
            await deliver_in_slices(self._hub, missed)
        elif self._hub.ready and content.head < self._head:
            self._hub.restart(self._head)  # the file has been replaced by an older one
            self._hub.set_ready(self._head)
            return
        else:
            self._hub.restart(content.origin)
            await deliver_in_slices(self._hub, content.events)
            self._hub.set_ready(content.head)
        self._head = content.head

    def _note(self, error: sqlite3.Error) -> str:
        reason = f"The SQLite file {self._path.name} cannot be used: {error}."
        if reason != self._trouble:
            logger.error("%s", reason)
        self._trouble = reason
        # From Python 3.11 on, errors of SQLite have a code. Its low byte is the kind of the error.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _BUSY:
            self._is_open = False
        return reason

    def _note_blocked(self) -> None:
        blocked = self._database.wal_blocked
        if blocked and not self._blocked:
            logger.warning("another program reads %s all the time, so its write-ahead log grows", self._path)
        self._blocked = blocked

    async def _read(self, function: Callable[[], _Result]) -> _Result:
        try:
            return await self._in_reading_thread(function)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"The SQLite file {self._path.name} cannot be read: {error}.") from error

    async def _in_reading_thread(self, function: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._reading, function)

    async def _in_writing_thread(self, function: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._writing, function)
