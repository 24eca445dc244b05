"""A node's follower: it reads the stream in Redis and delivers its events to the hub.

Every entry has an ordinal. A missing ordinal means that entries are gone that this node has not read. The floors show
their channels, and the subscribers of these channels are informed. A stream that begins again (FLUSHALL, another Redis,
a Redis that lost its last entries) has a new origin, and all subscribers are informed. Entries of other programs are
skipped.

Two servers that both took events after a failover can have as many entries and the same newest id. So a node that
connects again also shows the last event that it has read: a stream without this event is another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..core.events import LOWEST_ID, Event, EventId, check_channel
from ..core.hub import Hub
from ..core.subscription import Subscription
from ..tasks import in_slices
from .batches import deliver_in_slices, forget_in_steps
from .entries import TAIL_BYTES, TAIL_EVENTS, event_of_entry
from .redis_connection import STREAM_REPLACED, RedisConnection, RedisFailed
from .scripts import BEGIN

__all__ = ["Follower", "floors_of"]

_BLOCK_MS = 1000
_PAUSE = 0.001
"""Seconds between two reads if a read brought several events. Without the pause, each read brings three or four events,
and the read costs more than they do."""
_TAIL_PATIENCE = 5.0
"""Largest time in seconds to read the newest events at the start, over a slow line."""
_FLOORS = 500
"""Floors read in one turn of the event loop, for one pattern: about 2 ms."""
_CATCH_UP = 2.0
"""Largest time in seconds to wait until this node has read the written events."""

_Entries = Sequence[tuple[str, dict[str, str]]]

logger = logging.getLogger("sse_hub")


class Follower:
    """The position of one node in the stream.

    :param connection: to Redis.
    :param hub: gets the events.
    :param keys: the beginning of all keys.
    """

    def __init__(self, connection: RedisConnection, hub: Hub, keys: str) -> None:
        self._connection = connection
        self._hub = hub
        self._stream, self._ephemeral = f"{keys}:events", f"{keys}:ephemeral"
        self.origin = ""
        """The id from which the stream is continuous. Empty before it is known."""
        self.last = LOWEST_ID
        """Id of the last entry that it has read."""
        self._ordinal = 0
        self._read: _Read | None = None
        self._last_ephemeral = "0-0"
        self._progress = asyncio.Event()

    @property
    def position(self) -> str:
        """The state of this node, for reading_scripts.py."""
        return json.dumps([self.origin, str(self.last), self._ordinal])

    async def begin(self) -> None:
        """Read the state of the stream, and find out whether it is the one that this node knows.

        :raises RedisFailed: if that cannot be done.
        """
        state = await self._state()
        self._last_ephemeral = state.last_ephemeral
        if state.origin != self.origin:
            await self._load(state)
        elif state.added != self._ordinal and not await self._next(block_ms=None):
            await self._note_gap(state.newest)
            self._ordinal = state.added

    async def read(self) -> None:
        """Wait a moment for entries and deliver them to the hub.

        :raises RedisFailed: if Redis cannot be read, or if the stream has begun again.
        """
        most = self._connection.entries
        found = await self._next(_BLOCK_MS)
        for stream, entries in found:
            self._measure(entries)
            if stream == self._stream:
                await self._deliver_entries(entries)
                continue
            ephemeral = [Event(None, e.channel, e.type, e.data, e.ms) for e in self._readable(entries)]
            await deliver_in_slices(self._hub, ephemeral)
            self._last_ephemeral = entries[-1][0]
        if 1 < sum(len(entries) for _, entries in found) < most:
            await asyncio.sleep(_PAUSE)

    async def _deliver_entries(self, entries: _Entries) -> None:
        """Deliver the entries of the stream. If one is missing, deliver the earlier ones before reporting it."""
        events: list[Event] = []
        floors: Mapping[str, EventId] = {}
        previous = self.last
        for id, fields in entries:
            ordinal = (fields or {}).get("n", "")
            entry = _forgotten(id, fields) or event_of_entry(id, fields)
            if entry is None or entry.id is None or not ordinal.isdecimal():
                self._hub.pass_over(1)
                continue
            if int(ordinal) != self._ordinal + 1:
                await self._deliver(events, previous)
                events = []
                if max(floors.values(), default=LOWEST_ID) <= previous:  # else those of an earlier gap explain it
                    floors = await self._note_gap(entry.id.preceding())
            floor = max(floors.get(entry.channel, LOWEST_ID), floors.get("", LOWEST_ID))
            if not isinstance(entry, _Forgotten):
                self._read = _Read(id, ordinal, entry.channel)
                if entry.id > max(floor, self.last):
                    events.append(entry)
            elif entry.floor > floor:  # else the loss is that of a gap, and subscribers are informed of it already
                await self._deliver(events, previous)
                events = []
                await forget_in_steps(self._hub, entry.channel, entry.floor)
            self._ordinal, previous = int(ordinal), entry.id
        await self._deliver(events, EventId.parse(entries[-1][0]))

    async def _deliver(self, events: Sequence[Event], reached: EventId) -> None:
        await deliver_in_slices(self._hub, events)
        self._advance(reached)

    async def until_read(self, id: EventId) -> None:
        """Wait a moment until this node has read up to this id, so that a publisher finds its event here."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP):
                while self.last < id:
                    await self._progress.wait()

    async def _state(self, gap: str = "", *, floors: bool = False) -> _State:
        """The state of the stream.

        :param gap: an id up to which entries are gone for an unknown reason.
        :param floors: whether the floors are wanted. There may be 100,000.
        """
        origin, newest, added, floor, highest, gone, ephemeral = await self._connection.run_following(
            BEGIN, str(self.last), self.origin, gap, int(floors), *(self._read or ("", "", ""))
        )
        top = max(EventId.parse(floor), EventId.parse(highest))
        return _State(origin, EventId.parse(newest), int(added), top, gone, ephemeral)

    async def _load(self, state: _State) -> None:
        """Give the hub the stream's newest events."""
        events, read, floor = await self._tail(state.newest, state.top)
        now = await self._state()  # another node may have removed entries between two reads
        if now.origin != state.origin:
            raise RedisFailed(STREAM_REPLACED)
        floor = max(floor, now.top)
        if floor > state.newest:  # also entries that were not read: begin now, and leave the older ones to the store
            state, floor = now, now.newest
        self._hub.restart(floor)
        await deliver_in_slices(self._hub, [e for e in reversed(events) if e.id is not None and e.id > floor])
        self._hub.set_ready(state.newest)
        self._advance(state.newest)
        self.origin, self._ordinal, self._read = state.origin, state.added, read

    async def _tail(self, newest: EventId, floor: EventId) -> tuple[Sequence[Event], _Read | None, EventId]:
        """The newest events, the newest first; the first of them; and the id above which they are all of the stream."""
        events: list[Event] = []
        read: _Read | None = None
        size, before, until = 0, str(newest), time.monotonic() + _TAIL_PATIENCE
        while len(events) < TAIL_EVENTS and size < TAIL_BYTES and (not events or time.monotonic() < until):
            count = self._connection.entries
            entries = await self._connection.follow("XREVRANGE", self._stream, before, f"({floor}", "COUNT", count)
            size += self._measure(entries)
            events += self._readable(entries)
            read = read or _newest(entries)
            if len(entries) < count:
                break
            before = f"({entries[-1][0]}"
        else:
            floor = EventId.parse(before.removeprefix("(")).preceding()
        return events, read, floor

    async def _next(self, block_ms: int | None) -> Sequence[tuple[str, _Entries]]:
        """The entries of the two streams that this node has not read. Empty if none come within the time."""
        block = () if block_ms is None else ("BLOCK", block_ms)
        streams = (self._stream, self._ephemeral, str(self.last), self._last_ephemeral)
        answer = await self._connection.follow("XREAD", "COUNT", self._connection.entries, *block, "STREAMS", *streams)
        return list(answer.items()) if isinstance(answer, dict) else answer or []

    def _readable(self, entries: _Entries) -> list[Event]:
        """The events of these entries, without those that a hub has not written."""
        events = [event_of_entry(id, fields) for id, fields in entries if "x" not in (fields or {})]
        self._hub.pass_over(events.count(None))
        return [event for event in events if event is not None]

    def _measure(self, entries: _Entries) -> int:
        size = sum(len(value) for _, fields in entries for value in (fields or {}).values())
        self._connection.note_read(len(entries), size)
        return size

    async def _note_gap(self, before: EventId) -> Mapping[str, EventId]:
        """Inform the subscribers of entries that are gone and that this node has not read; return the floors.

        :param before: the id up to which they are lost.
        """
        state = await self._state(floors=True)
        if state.origin == self.origin and not state.gone and before > self.last:  # entries were deleted by hand
            state = await self._state(str(before), floors=True)
        if state.origin != self.origin:
            raise RedisFailed(STREAM_REPLACED)
        floors = await floors_of(state.gone)
        self._lose(floors)
        return floors

    def _lose(self, floors: Mapping[str, EventId]) -> None:
        """Inform the subscribers of these channels that events are gone which this node has not read. The empty name
        stands for all channels."""
        logger.warning("events have gone from the stream before this node has read them")
        common_floor = floors.get("", LOWEST_ID)
        if common_floor > self.last:
            self._hub.restart(common_floor)
            self._hub.set_ready(common_floor)
            self._advance(common_floor)
        else:
            self._hub.lose({channel: gone for channel, gone in floors.items() if gone > self.last})

    def _advance(self, id: EventId) -> None:
        self.last = max(self.last, id)
        self._hub.pass_to(self.last)
        self._progress.set()
        self._progress = asyncio.Event()


async def floors_of(flat: Sequence[str], subscription: Subscription | None = None) -> Mapping[str, EventId]:
    """Floors by channel, from the result of a script: all of them, or those that concern a subscription.

    A hub of short runs has up to 100,000 floors, one for each run that was forgotten. To read them takes 0.3 s, so this
    is done in slices; between two slices, the event loop does other work.
    """
    floors: dict[str, EventId] = {}
    size = _FLOORS if subscription is None else subscription.share_of(_FLOORS)
    async for some in in_slices(flat, 2 * size):
        for channel, floor in zip(some[::2], some[1::2], strict=True):
            if not channel or subscription is None or subscription.covers(channel):
                floors[channel] = EventId.parse(floor)
    return floors


class _State(NamedTuple):
    """The state of the stream at one moment."""

    origin: str
    newest: EventId
    added: int
    """The ordinal of the newest entry."""
    top: EventId
    """The highest floor of all channels."""
    gone: Sequence[str]
    """The floors above the head of this node, if they are wanted, for `floors_of`."""
    last_ephemeral: str


class _Read(NamedTuple):
    """An event that this node has read, as `BEGIN` takes it."""

    id: str
    ordinal: str
    channel: str


def _newest(entries: _Entries) -> _Read | None:
    """The first of these entries that is an event."""
    for id, fields in entries:
        if fields and "x" not in fields and {"n", "c"} <= fields.keys():
            return _Read(id, fields["n"], fields["c"])
    return None


class _Forgotten(NamedTuple):
    """An entry that says that a channel was forgotten."""

    id: EventId
    channel: str
    floor: EventId


def _forgotten(id: str, fields: Mapping[str, str] | None) -> _Forgotten | None:
    if not fields or "x" not in fields:
        return None
    try:
        return _Forgotten(EventId.parse(id), check_channel(fields["c"]), EventId.parse(fields["x"]))
    except (KeyError, ValueError):
        return None
