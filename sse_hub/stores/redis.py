"""The Redis store: a stream is the log that any number of nodes share.

A publish is one XADD, within a script that knows the channel's history and an idempotency key; what comes while a
pipeline is under way goes into the next. Events reach the hub only by following the stream with XREAD, those of this
node too: so all nodes deliver in one order. What a node missed while Redis was away it reads when Redis is back, from
the last id that it saw.

Every entry has an ordinal. Where one is missing, entries have gone before this node has read them; whose they were is
known from the floors, and their subscribers are told. A stream that begins anew (FLUSHALL, another Redis, one that lost
its last entries) has a new origin, and everybody is told.

Trouble is that Redis is away, or that it refuses to write. Nothing that was sent is sent again: who gets no answer does
not know whether it was published, unless he had a key.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from ..events import Draft, Event, EventId, Subscription
from ..hub import Hub
from ..ports import Page, StoreUnavailable
from ..replay import PAGE_BYTES, PAGE_EVENTS
from ..tasks import end
from .batches import Append, Batches, clean
from .scripts import APPEND, BEGIN, EXCHANGE, LEASE, LEAVE, PAGE, TRIM

__all__ = ["RedisStore"]

_TIMEOUT = 3.0
"""Seconds without an answer after which Redis is away: a cut network sends nothing, not even an end."""
_BLOCK_MS = 1000
_PERIOD = 0.5
"""Seconds between two trials to reach Redis."""
_TRIM_PERIOD = 1.0
_TRIM_STEP = 1000
_ENTRY_MS = 5000
"""A node's entry and its lease end this long after it was last heard of; it is heard of three times in that."""
_KEY_AGE_MS = 600_000
_TAIL_EVENTS = 10_000
_TAIL_BYTES = 32 << 20
"""The newest events are read into the hub's log when it begins."""
_CATCH_UP = 2.0
"""Seconds to wait for this node to have read what has been written."""
_NEVER = EventId(0, 0)
_BEGUN_ANEW = "The stream in Redis is gone, or another one is in its place."

_Entries = list[tuple[str, dict[str, str]]]

logger = logging.getLogger("sse_hub")


class RedisStore:
    """Keeps events in a Redis stream.

    :param url: as `redis.asyncio.Redis.from_url` takes it.
    :param hub: gets the events.
    :param node: a name that no other process has.
    :param prefix: what the keys begin with; nodes with the same prefix share a hub.
    :param history: events retained for each channel.
    :param history_age: seconds for which an event is retained.
    :param most: entries of the stream, whatever the history says.
    :param grace: seconds for which an event stays in any case, for nodes that are slow to read it.
    """

    def __init__(
        self,
        url: str,
        hub: Hub,
        *,
        node: str,
        prefix: str,
        history: int,
        history_age: float,
        most: int,
        grace: float,
    ) -> None:
        options: dict[str, Any] = {
            "decode_responses": True,
            "protocol": 2,
            "socket_timeout": _TIMEOUT,
            "socket_connect_timeout": _TIMEOUT,
            "retry": Retry(NoBackoff(), 0),  # a second XADD of the same event is a second event
        }
        self._redis = Redis.from_url(url, **options)
        self._follower = Redis.from_url(url, single_connection_client=True, **options)
        self._hub = hub
        self._node = node
        self._key = f"{{{prefix}}}"
        self._limits = (history, most, round(history_age * 1000) + 3_600_000)
        self._trimming = (history, round(history_age * 1000), round(grace * 1000), _TRIM_STEP)
        self._batches = Batches[Append, tuple[list[EventId | None], str]](self._write)
        self._origin = ""
        self._last = _NEVER  # of what the hub has
        self._ordinal = 0
        self._last_ephemeral = "0-0"
        self._progress = asyncio.Event()
        self._away: str | None = "Redis has not been reached yet."
        self._refused: str | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def trouble(self) -> str | None:
        """Why nothing can be published."""
        return self._away or self._refused

    async def open(self) -> None:
        """Read the newest events and follow the stream."""
        try:
            await self._begin()
        except (RedisError, OSError) as error:
            self._note_away(error)
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._keep())]
        for task in self._tasks:
            task.add_done_callback(self._note_end)

    async def close(self) -> None:
        """Wait for the last answers, give up the lease, and end the connections."""
        await self._batches.close()
        for task in self._tasks:
            await end(task)
        with contextlib.suppress(StoreUnavailable):
            await self._ask(LEAVE, self._node, "demo")
        await self._follower.aclose()
        await self._redis.aclose()

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        """Add the events to the stream, in one pipeline with what others publish meanwhile."""
        ids, _ = await self.append_once("", drafts, "")
        now = EventId(self._hub.log.head.ms, 0)
        return [draft.accepted(now if id is None else id) for draft, id in zip(drafts, ids, strict=True)]

    async def append_once(self, key: str, drafts: Sequence[Draft], memo: str) -> tuple[Sequence[EventId | None], str]:
        """The key is set in the script that adds the events: whatever breaks, both are there or neither."""
        if self._away is not None:
            raise StoreUnavailable(self._away)
        digest = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest() if key else ""
        ids, memo = await self._batches.put(Append(clean(drafts), digest, memo))
        await self._reached(max((id for id in ids if id is not None), default=_NEVER))
        return ids, memo

    async def page(self, subscription: Subscription, after: EventId, upto: EventId) -> Page:
        """Read a page of the stream."""
        names = sorted(subscription.names) if subscription.exact else []
        reached, common, floors, found = await self._ask(PAGE, str(after), str(upto), PAGE_EVENTS, PAGE_BYTES, *names)
        events = [_event(id, channel, type, data) for id, channel, type, data in found]
        gone = [floor for channel, floor in _floors(floors).items() if subscription.covers(channel)]
        return Page(
            [event for event in events if subscription.covers(event.channel)],
            EventId.parse(reached),
            max(gone, default=_NEVER) if gone and max(gone) > EventId.parse(common) else EventId.parse(common),
        )

    async def back(self, subscription: Subscription, count: int) -> tuple[EventId, EventId]:
        """Walk the stream backwards."""
        page = await self.page(subscription, self._hub.log.head, self._hub.log.head)
        oldest, before = None, "+"
        while count:
            entries = await self._command(self._redis, "XREVRANGE", f"{self._key}:events", before, "-", "COUNT", 500)
            for id, fields in entries:
                event = _event(id, fields["c"], fields["t"], fields["d"])
                if count and subscription.covers(event.channel) and subscription.wants(event):
                    count -= 1
                    oldest = event.id
                before = f"({id}"
            if len(entries) < 500:
                break
        return (max(self._hub.log.head, page.floor) if oldest is None else oldest.preceding()), page.floor

    async def reach(self, id: EventId) -> bool:
        """Ask for the stream's last id, and wait until this node has read up to the one that is asked for."""
        if id > self._last:
            newest = await self._command(self._redis, "XREVRANGE", f"{self._key}:events", "+", str(id), "COUNT", 1)
            if not newest:
                return False
            await self._reached(id)
        return id <= self._last

    async def lease(self, name: str) -> bool:
        """Take or renew a lease."""
        return bool(await self._ask(LEASE, self._node, name, _ENTRY_MS))

    async def exchange(self, entry: str) -> Sequence[str]:
        """Leave an entry and read those of the others."""
        entries: list[str] = await self._ask(EXCHANGE, self._node, entry, _ENTRY_MS)
        self._refused = None  # it was a write
        return entries

    async def _write(self, appends: Sequence[Append]) -> Sequence[tuple[list[EventId | None], str] | Exception]:
        try:
            results = await self._pipeline(appends)
        except (RedisError, OSError) as error:
            reason = self._note_away(error)
            raise StoreUnavailable(f"{reason} Whether the event was published is not known.") from error
        return [self._result(result) for result in results]

    async def _pipeline(self, appends: Sequence[Append]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for drafts, key, memo in appends:
            values = [value for d in drafts for value in (d.channel, d.type, d.data, "01"[d.ephemeral])]
            history, most, quiet_ms = self._limits
            pipeline.execute_command(
                *("EVALSHA", _digest(APPEND), 1, self._key),
                *(self._origin, history, most, quiet_ms, key, _KEY_AGE_MS, memo, *values),
            )
        results: list[Any] = await pipeline.execute(raise_on_error=False)
        if not any(isinstance(result, NoScriptError) for result in results):
            return results
        await self._command(self._redis, "SCRIPT", "LOAD", APPEND)  # what failed so has done nothing
        missed = [i for i, result in enumerate(results) if isinstance(result, NoScriptError)]
        for i, result in zip(missed, await self._pipeline([appends[i] for i in missed]), strict=True):
            results[i] = result
        return results

    def _result(self, result: Any) -> tuple[list[EventId | None], str] | Exception:
        if isinstance(result, RedisError | OSError):
            if str(result).startswith("STALE"):
                self._away = _BEGUN_ANEW
            self._refused = f"Redis refuses to write: {result}."
            return StoreUnavailable(self._refused)
        self._refused = None
        ids, memo = result
        return [None if id == "-" else EventId.parse(id) for id in ids.split(" ")], memo

    async def _follow(self) -> None:
        """Hand the stream's events to the hub, whatever happens to Redis."""
        while True:
            try:
                if self._away is not None:
                    await self._begin()
                await self._read()
            except (RedisError, OSError) as error:
                self._note_away(error)
                await asyncio.sleep(_PERIOD)

    async def _begin(self) -> None:
        """Find out where the stream stands, and whether it is the one that this node knows."""
        await self._command(self._redis, "SCRIPT", "LOAD", APPEND)
        origin, newest, added, floor, floors, ephemeral = await self._run(
            self._follower, BEGIN, str(self._last), self._origin
        )
        self._last_ephemeral = ephemeral
        if origin != self._origin:
            await self._load(EventId.parse(newest), max([EventId.parse(floor), *_floors(floors).values()]))
            self._origin, self._ordinal = origin, int(added)
        elif int(added) != self._ordinal and not await self._next(block_ms=None):
            self._lose(EventId.parse(floor), _floors(floors))
            self._ordinal = int(added)
        if self._away is not None and self._tasks:
            logger.info("Redis can be used again")
        self._away = None

    async def _load(self, newest: EventId, floor: EventId) -> None:
        """Give the hub the stream's newest events."""
        events: list[Event] = []
        size, before, origin = 0, str(newest), floor
        while len(events) < _TAIL_EVENTS and size < _TAIL_BYTES:
            entries = await self._command(
                self._follower, "XREVRANGE", f"{self._key}:events", before, f"({floor}", "COUNT", 500
            )
            for id, fields in entries:
                events.append(_event(id, fields["c"], fields["t"], fields["d"]))
                size += len(fields["d"])
                before = f"({id}"
            if len(entries) < 500:
                break
        else:
            oldest = events.pop().id
            assert oldest is not None
            origin = oldest
        self._hub.restart(origin, events[::-1], newest)
        self._advance(newest)

    async def _next(self, block_ms: int | None) -> list[tuple[str, _Entries]]:
        """What stands in the two streams after what this node has read; empty if nothing comes within the time."""
        block = () if block_ms is None else ("BLOCK", block_ms)
        streams = (f"{self._key}:events", f"{self._key}:ephemeral", str(self._last), self._last_ephemeral)
        answer = await self._command(self._follower, "XREAD", "COUNT", 500, *block, "STREAMS", *streams)
        return list(answer.items()) if isinstance(answer, dict) else answer or []

    async def _read(self) -> None:
        for stream, entries in await self._next(_BLOCK_MS):
            events = [_event(id, fields["c"], fields["t"], fields["d"]) for id, fields in entries]
            if stream.endswith(":ephemeral"):
                self._last_ephemeral = entries[-1][0]
                self._hub.deliver([Event(None, e.channel, e.type, e.data, e.ms) for e in events])
                continue
            ordinals = [int(fields["n"]) for _, fields in entries]
            if ordinals != list(range(self._ordinal + 1, self._ordinal + 1 + len(ordinals))):
                await self._note_gap()
            self._ordinal = ordinals[-1]
            self._hub.deliver([event for event in events if event.id is not None and event.id > self._last])
            self._advance(EventId.parse(entries[-1][0]))

    async def _note_gap(self) -> None:
        _, _, _, floor, floors, _ = await self._run(self._follower, BEGIN, str(self._last), self._origin)
        self._lose(EventId.parse(floor), _floors(floors))

    def _lose(self, floor: EventId, floors: Mapping[str, EventId]) -> None:
        """Entries after the last one read are gone: tell whose they were, or everybody."""
        logger.warning("events have gone from the stream before this node has read them")
        if floor > self._last:
            self._hub.restart(floor)
            self._advance(floor)
        else:
            self._hub.lose({channel: gone for channel, gone in floors.items() if gone > self._last})

    def _advance(self, id: EventId) -> None:
        self._last = max(self._last, id)
        self._progress.set()
        self._progress = asyncio.Event()

    async def _reached(self, id: EventId) -> None:
        """Wait until this node has read up to this id, so that whoever publishes here finds his event here. No longer
        than a moment: it is safe in any case."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP):
                while self._last < id:
                    await self._progress.wait()

    async def _keep(self) -> None:
        """Take out what is too old or too much, and notice a stream that has begun anew."""
        while True:
            await asyncio.sleep(_TRIM_PERIOD)
            more = self._away is None
            while more:
                try:
                    origin, more = await self._ask(TRIM, *self._trimming)
                except StoreUnavailable:
                    break
                if origin != self._origin:
                    self._away = _BEGUN_ANEW
                    logger.error("%s", self._away)

    async def _ask(self, script: str, *values: str | int) -> Any:
        """Run a script.

        :raises StoreUnavailable: if that fails.
        """
        try:
            return await self._run(self._redis, script, *values)
        except (RedisError, OSError) as error:
            raise StoreUnavailable(_reason(error)) from error

    async def _run(self, redis: Redis, script: str, *values: str | int) -> Any:
        try:
            return await self._command(redis, "EVALSHA", _digest(script), 1, self._key, *values)
        except NoScriptError:
            return await self._command(redis, "EVAL", script, 1, self._key, *values)

    async def _command(self, redis: Redis, *words: str | int) -> Any:
        return await redis.execute_command(*words)  # type: ignore[no-untyped-call]

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._away = "The stream in Redis holds what this node cannot read."
            logger.critical("%s", self._away, exc_info=error)

    def _note_away(self, error: Exception) -> str:
        reason = _reason(error)
        if reason != self._away:
            logger.error("%s", reason)
        self._away = reason
        return reason


def _reason(error: Exception) -> str:
    said = str(error) or type(error).__name__
    return f"Redis cannot be used: {said.rstrip('.')}."


def _digest(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


def _event(id: str, channel: str, type: str, data: str) -> Event:
    parsed = EventId.parse(id)
    return Event(parsed, channel, type, data, parsed.ms)


def _floors(flat: Sequence[str]) -> dict[str, EventId]:
    return {channel: EventId.parse(floor) for channel, floor in zip(flat[::2], flat[1::2], strict=True)}
