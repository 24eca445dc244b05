"""The Redis store: a stream is the log of any number of nodes.

A publish is one XADD, in a script that also handles the channel's history and the idempotency key. Publishes that come
during a pipeline go into the next one. All events reach the hub by XREAD from the stream, even those of this node. So
all nodes deliver in one order. When Redis is back after a failure, a node reads on after the last id that it has.

The store is in trouble if Redis is away or refuses to write. No command is sent twice. A publisher without an answer
does not know whether its event was published, unless it gave an idempotency key.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.events import Draft, Event, EventId
from ..core.hub import Hub
from ..core.pages import PAGE_BYTES, PAGE_EVENTS
from ..core.ports import Exchanged, Page, Retained, StoreUnavailable
from ..core.subscription import Subscription
from ..tasks import Background, end
from .batches import Append, Batches, clean
from .entries import named, of_stream
from .follower import BEGUN_ANEW, Follower, floors_of
from .line import Line, RedisFailed
from .node_scripts import EXCHANGE, LEASE, LEAVE
from .scripts import APPEND, CHANNELS, HEADS, LAST, PAGE, TRIM

__all__ = ["RedisStore"]

_PERIOD = 0.5
"""Seconds between two trials to reach Redis."""
_TRIM_PERIOD = 1.0
_TRIM_STEP = 1000
_ENTRY_MS = 5000
"""A node's entry and its lease end this long after its last renewal. It renews them three times in this time."""
_WORDS = 1000
"""Words that are sent to Redis in one step. A subscription and its count are two."""
_ENTRIES = 20
"""Changes of other nodes that are read in one step, each of this number of words."""
_KEY_AGE_MS = 600_000
_HEADS = 500
_NEVER = EventId(0, 0)
_LEAST_VERSION = 7

_Result = tuple[list[EventId | None], str]

logger = logging.getLogger("sse_hub")


class RedisStore:
    """Keeps events in a Redis stream.

    :param url: as `Line` takes it.
    :param hub: gets the events.
    :param background: watches the store's tasks.
    :param node: a name that no other process has.
    :param keys: what the keys begin with, with a hash tag in braces; nodes with the same beginning share a hub.
    :param history: events retained for each channel.
    :param history_age: seconds for which an event is retained.
    :param most: entries of the stream, whatever the history says.
    :param grace: seconds for which an event stays in any case, for nodes that are slow to read it.
    :raises ValueError: if the URL is impossible.
    """

    def __init__(
        self,
        url: str,
        hub: Hub,
        background: Background,
        *,
        node: str,
        keys: str,
        history: int,
        history_age: float,
        most: int,
        grace: float,
    ) -> None:
        self._line = Line(url, keys)
        self._hub = hub
        self._background = background
        self._node = node
        self._follower = Follower(self._line, hub, keys)
        self._limits = (history, most, round(history_age * 1000) + 3_600_000)
        self._trimming = (history, round(history_age * 1000), round(grace * 1000), _TRIM_STEP)
        self._batches = Batches[Append, _Result](self._write, Append.size_bytes)
        self._away: str | None = "Redis has not been reached yet."
        self._refused: str | None = None
        self._untrimmed: str | None = None
        self._inspected = False
        self._last_change = ""
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def trouble(self) -> str | None:
        """See `ports.Store`."""
        return self._away or self._refused

    async def open(self) -> None:
        """Read the newest events and follow the stream."""
        try:
            await self._begin()
        except RedisFailed as failed:
            self._note(failed, away=True)
        self._tasks = [
            self._background.start("redis follower", self._follow),
            self._background.start("redis trimmer", self._keep),
        ]

    async def close(self) -> None:
        """Wait for the last answers, give up the lease, and end the connections."""
        await self._batches.close()
        for task in self._tasks:
            await end(task)
        with contextlib.suppress(StoreUnavailable):
            await self._line.run(LEAVE, self._node, "demo")
        await self._line.close()

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        """Add the events to the stream, in one pipeline with what others publish meanwhile."""
        ids, _ = await self.append_once("", drafts, "")
        now = EventId(self._hub.log.head.ms, 0)
        accepted = [now if id is None else id for id in ids]
        return [draft.accepted(id, id.ms) for draft, id in zip(drafts, accepted, strict=True)]

    async def append_once(self, key: str, drafts: Sequence[Draft], memo: str) -> _Result:
        """See `ports.IdempotentStore`. One script adds the events and sets the key, so either both exist or neither."""
        if self._away is not None:
            raise StoreUnavailable(self._away)
        digest = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest() if key else ""
        ids, memo = await self._batches.put(Append(clean(drafts), digest, memo))
        await self._follower.reached(max((id for id in ids if id is not None), default=_NEVER))
        return ids, memo

    async def page(self, subscription: Subscription, after: EventId, upto: EventId) -> Page:
        """Read a page of the stream."""
        names = sorted(subscription.names) if subscription.exact else []
        reached, flat, found = await self._ask(PAGE, str(after), str(upto), PAGE_EVENTS, PAGE_BYTES, *names)
        events = [of_stream(id, dict(zip(fields[::2], fields[1::2], strict=True))) for id, fields in found]
        return Page(
            [event for event in events if event is not None and subscription.covers(event.channel)],
            EventId.parse(reached),
            {name: floor for name, floor in floors_of(flat).items() if not name or subscription.covers(name)},
        )

    async def back(self, subscription: Subscription, count: int, most: int) -> tuple[EventId, Mapping[str, EventId]]:
        """Read the stream backwards and look for wanted events."""
        start, before, looked_at = self._hub.log.head, "+", 0
        while count and looked_at < most:
            heads = await self._ask(HEADS, before, min(_HEADS, most - looked_at))
            for id, channel, type in heads:
                if count and subscription.covers(channel) and (not subscription.types or type in subscription.types):
                    count -= named(channel, type)
                    start = EventId.parse(id).preceding()
                before = f"({id}"
            looked_at += len(heads)
            if len(heads) < _HEADS:
                break
        return start, (await self.page(subscription, start, start)).floors

    async def reach(self, id: EventId) -> bool:
        """Read the stream's last id, and wait until this node has read up to the given id."""
        if id <= self._follower.last:
            return True
        if EventId.parse(await self._ask(LAST)) < id:
            return False
        await self._follower.reached(id)
        if id > self._follower.last:
            raise StoreUnavailable("This node has not read from Redis yet what the client has.")
        return True

    async def channels(self, after: str, count: int) -> Sequence[Retained]:
        """Look up the channels' lists."""
        found = await self._ask(CHANNELS, after, count)
        return [Retained(name, int(n), EventId.parse(first), EventId.parse(last)) for name, n, first, last in found]

    async def lease(self, name: str) -> bool:
        """Take or renew a lease."""
        return bool(await self._ask(LEASE, self._node, name, _ENTRY_MS))

    async def exchange(self, changes: Mapping[str, int], *, all: bool) -> Exchanged:
        """Write the changes of this node, in parts, and read those of the other nodes. This write also shows whether
        Redis accepts writes, before there is a publish."""
        pairs = [str(word) for pair in changes.items() for word in pair]
        heard: list[tuple[str, Mapping[str, int], bool]] = []
        begin, more, forgotten, nodes = 0, True, False, frozenset[str]()
        try:
            while more or begin < len(pairs):
                me = (self._node, _ENTRY_MS, "1" if all and begin == 0 else "0", self._last_change, _ENTRIES)
                answer = await self._ask(EXCHANGE, *me, *pairs[begin : begin + _WORDS])
                gone, self._last_change, others, found, more = answer
                begin += _WORDS
                forgotten, nodes = forgotten or bool(gone), frozenset(others)
                heard += [(node, _counts(flat), whole == "1") for node, whole, flat in found]
        except RedisFailed as failed:
            self._note(failed)
            raise
        self._note_accepted()
        return Exchanged(nodes - {self._node}, heard, forgotten)

    async def _write(self, appends: Sequence[Append]) -> Sequence[_Result | Exception]:
        calls: list[Sequence[str | int]] = []
        for drafts, key, memo in appends:
            values = [value for d in drafts for value in (d.channel, d.type, d.data, "01"[d.ephemeral])]
            history, most, quiet_ms = self._limits
            events = json.dumps(values, ensure_ascii=False)
            calls.append((self._follower.origin, history, most, quiet_ms, key, _KEY_AGE_MS, memo, events))
        try:
            results = await self._line.run_all(APPEND, calls)
        except RedisFailed as failed:
            self._note(failed)
            raise StoreUnavailable(f"{failed.reason} Whether the event was published is not known.") from failed
        return [self._result(result) for result in results]

    def _result(self, result: Any) -> _Result | Exception:
        if isinstance(result, RedisFailed):
            failed = RedisFailed(BEGUN_ANEW) if "STALE" in result.reason else result
            self._note(failed)
            return failed
        self._note_accepted()
        ids, memo = result
        return [None if id == "-" else EventId.parse(id) for id in ids.split(" ")], memo

    async def _follow(self) -> None:
        """Deliver the stream's events to the hub, through all failures of Redis."""
        try:
            while True:
                try:
                    if self._away is not None:
                        await self._begin()
                    await self._follower.read()
                except RedisFailed as failed:
                    if failed.late:
                        self._line.note_late()
                    self._note(failed, away=True)
                    await asyncio.sleep(_PERIOD)
        except Exception:
            self._follower.origin = ""  # it is unknown what was read, so begin with the newest events
            self._away = "The stream in Redis is being read again."
            raise

    async def _begin(self) -> None:
        """Connect to Redis and read the events that this node lacks."""
        await self._line.connect_anew()
        await self._inspect()
        await self._follower.begin()
        if self._away is not None and self._tasks:
            logger.info("Redis can be used again")
        self._away = None

    async def _inspect(self) -> None:
        """Check once that this Redis is new enough and does not evict keys."""
        if self._inspected:
            return
        try:
            server = await self._line.ask("INFO", "server")
            memory = await self._line.ask("INFO", "memory")
        except RedisFailed as failed:
            if failed.away:
                raise
            return  # this user may not ask
        version = str(server.get("redis_version", _LEAST_VERSION))
        if int(version.partition(".")[0]) < _LEAST_VERSION:
            raise RedisFailed(f"Redis {_LEAST_VERSION} or Valkey is needed; this is Redis {version}.")
        policy = memory.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            logger.warning(
                "Redis may forget the hub's keys when its memory is full: maxmemory-policy is %s; set it to noeviction",
                policy,
            )
        self._inspected = True

    async def _keep(self) -> None:
        """Remove events that are too old or too many, and notice a stream that has begun again."""
        while True:
            await asyncio.sleep(_TRIM_PERIOD)
            more = self._away is None
            while more:
                try:
                    origin, more = await self._ask(TRIM, *self._trimming)
                except RedisFailed as failed:
                    self._note_untrimmed(failed)
                    break
                self._untrimmed = None
                if origin != self._follower.origin:
                    self._note(RedisFailed(BEGUN_ANEW))

    async def _ask(self, script: str, *values: str | int) -> Any:
        """Run a script.

        :raises RedisFailed: if that fails.
        """
        try:
            return await self._line.run(script, *values)
        except RedisFailed as failed:
            if failed.away:
                self._note(failed)
            raise

    def _note(self, failed: RedisFailed, *, away: bool = False) -> None:
        if failed.reason not in (self._away, self._refused):
            logger.error("%s", failed.reason)
        if failed.away or away:
            self._away = failed.reason
        else:
            self._refused = failed.reason

    def _note_untrimmed(self, failed: RedisFailed) -> None:
        if not failed.away and failed.reason != self._untrimmed:
            logger.error("the stream in Redis cannot be trimmed: %s", failed.reason)
        self._untrimmed = failed.reason

    def _note_accepted(self) -> None:
        if self._refused is not None:
            logger.info("Redis accepts writes again")
        self._refused = None


def _counts(flat: Sequence[str]) -> dict[str, int]:
    """The counts by subscription in the result of a script."""
    return {key: int(count) for key, count in zip(flat[::2], flat[1::2], strict=True) if key and count.isdecimal()}
