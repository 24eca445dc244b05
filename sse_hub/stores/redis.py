"""The Redis store: a stream is the log of any number of nodes.

A publish is one run of a script, which adds its events by XADD and updates the channel's history and the idempotency
key. Publishes that come during a pipeline go into the next one. All events reach the hub by XREAD from the stream, even
those of this node. So all nodes deliver in one order. When Redis is back after a failure, a node continues after the
last id that it has.

The store is in trouble if Redis is away or refuses to write. No command is sent twice. A publisher that gets no answer
does not know whether its event was published. With an idempotency key, it can try again safely.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.ends import End, Ended
from ..core.events import LOWEST_ID, Draft, Event, EventId
from ..core.hub import Hub
from ..core.pages import PAGE_BYTES, PAGE_EVENTS
from ..core.ports import ChannelState, Exchanged, Page, Retained, StoreUnavailable
from ..core.subscription import Subscription
from ..tasks import Background, end, in_slices
from .append_arguments import arguments_of, events_of, ids_of
from .batches import Append, Batches, clean
from .entries import LATEST_BYTES, event_of_entry, has_valid_names
from .follower import Follower, floors_of
from .node_scripts import EXCHANGE, LEASE, LEAVE, counts_of
from .reading_scripts import BEGINNING, CHANNELS, HEADS, LAST, LATEST, PAGE, STATE, ranges
from .redis_connection import STREAM_REPLACED, RedisConnection, RedisFailed
from .retention_scripts import DUE, FORGET, REVIEW, TRIM, numbers
from .scripts import APPEND

__all__ = ["RedisStore"]

_PERIOD = 0.5
"""Seconds between two attempts to reach Redis."""
_TRIM_PERIOD = 1.0
_TRIM_STEP = 1000
_ENTRY_MS = 5000
"""Milliseconds after which a node's entry and its lease end. A node renews them three times in this time."""
_AT_ONCE = 16
"""Scripts that run at once for clients. A thousand clients that come back together would take more connections than the
client library opens, and Redis would count as away."""
_WORDS = 1000
"""Largest number of words sent to Redis in one step. A subscription and its count are two words."""
_ENTRIES = 20
"""Largest number of changes of other nodes that are read in one step. Each has at most as many words as above."""
_HEADS = 500
_DUE = 100
"""Largest number of channels that are looked at in one step."""
_LOOK = 100
"""Largest number of entries of a channel that are looked at to find one of a wanted type."""
_GONE = 500
"""Channels that have lost events of their beginning, looked at in one turn of the event loop, for one pattern."""

_Result = tuple[Sequence[EventId | None], str]

logger = logging.getLogger("sse_hub")


class RedisStore:
    """Keeps events in a Redis stream.

    :param url: the address, in the form that `RedisConnection` takes.
    :param hub: gets the events.
    :param background: watches the store's tasks.
    :param node: a name that no other process has.
    :param keys: the beginning of all keys, with a hash tag in braces. Nodes with the same beginning share a hub.
    :param most: largest number of entries in the stream; it holds before the rules.
    :param grace: seconds for which an event is never removed, for nodes that are slow to read it.
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
        most: int,
        grace: float,
    ) -> None:
        self._connection = RedisConnection(url, keys)
        self._hub = hub
        self._background = background
        self._node = node
        self._follower = Follower(self._connection, hub, keys)
        self._rules = hub.log.rules
        self._rules_version = -1  # another node with other rules may have made these entries
        self._most = most
        self._grace_ms = round(grace * 1000)
        self._batches = Batches[Append, _Result](self._write, Append.size_bytes)
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._away: str | None = "Redis has not been reached yet."
        self._refused: str | None = None
        self._untrimmed: str | None = None
        self._last_change = ""
        self._leases = set[str]()  # the names of those that this node has asked for
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
            self._background.start("redis trimmer", self._maintain),
        ]

    async def close(self) -> None:
        """Wait for the last answers, give the leases back, and close the connections."""
        await self._batches.close()
        for task in self._tasks:
            await end(task)
        with contextlib.suppress(StoreUnavailable):
            await self._connection.run(LEAVE, self._node, *self._leases)
        await self._connection.close()

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        """Add the events to the stream, in one pipeline with other publishes of this time."""
        ids, _ = await self.append_once("", drafts, "")
        return await events_of(drafts, ids, self._hub.log.head)

    async def append_once(self, key: str, drafts: Sequence[Draft], memo: str) -> _Result:
        """See `ports.IdempotentStore`. One script adds the events and sets the key, so either both exist or neither."""
        if self._away is not None:
            raise StoreUnavailable(self._away)
        digest = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest() if key else ""
        ids, memo = await self._batches.put(Append(clean(drafts), digest, memo))
        await self._follower.until_read(next((id for id in reversed(ids) if id is not None), LOWEST_ID))
        return ids, memo

    async def forget(self, channel: str) -> None:
        """Remove the channel's entries, some at a time, and let all nodes forget the channel."""
        if self._away is not None:
            raise StoreUnavailable(self._away)
        going_on = "0"
        async with self._places:
            while await self._run(FORGET, channel, _TRIM_STEP, going_on):
                going_on = "1"
        await self._follower.until_read(EventId.parse(await self._read(LAST)))

    async def page(self, subscription: Subscription, after: EventId, upto: EventId) -> Page:
        """Read a page of the stream."""
        names = sorted(subscription.names) if subscription.exact else []
        reached, flat, found = await self._read(PAGE, str(after), str(upto), PAGE_EVENTS, PAGE_BYTES, *names)
        events = [event_of_entry(id, dict(zip(fields[::2], fields[1::2], strict=True))) for id, fields in found]
        return Page(
            [event for event in events if event is not None and subscription.covers(event.channel)],
            EventId.parse(reached),
            await floors_of(flat, subscription),
        )

    async def back(self, subscription: Subscription, count: int, most: int) -> tuple[EventId, Mapping[str, EventId]]:
        """Read the stream backwards and look for wanted events."""
        names = sorted(subscription.names) if subscription.exact else []
        start, upto, looked_at = self._hub.log.head, "+", 0
        while count and upto and looked_at < most:
            upto, heads = await self._read(HEADS, upto, min(_HEADS, most - looked_at), *names)
            for id, channel, type in heads:
                if count and subscription.covers(channel) and (not subscription.types or type in subscription.types):
                    count -= has_valid_names(channel, type)
                    start = EventId.parse(id).preceding()
            looked_at += len(heads)
        return start, (await self.page(subscription, start, start)).floors

    async def reach(self, id: EventId) -> bool:
        """Read the stream's last id, and wait until this node has read up to the given id."""
        if id <= self._follower.last:
            return True
        if EventId.parse(await self._read(LAST)) < id:
            return False
        await self._follower.until_read(id)
        if id > self._follower.last:
            raise StoreUnavailable("This node has not yet read the client's last event from Redis.")
        return True

    async def channels(self, after: str, count: int) -> Sequence[Retained]:
        """Look up the channels' lists."""
        found = await self._read(CHANNELS, after, count)
        return [Retained(name, int(n), EventId.parse(first), EventId.parse(last)) for name, n, first, last in found]

    async def beginning(self, subscription: Subscription) -> tuple[EventId, bool, Mapping[str, EventId]]:
        """Look at the floors of the subscription's channels."""
        names = sorted(subscription.names) if subscription.exact else []
        head = self._hub.log.head  # what is delivered during the read comes after it
        first, lost, gone, flat = await self._read(BEGINNING, *names)
        start = EventId.parse(first).preceding() if first else head
        async for some in in_slices(gone, subscription.share_of(_GONE)):
            lost = lost or any(map(subscription.covers, some))
        return start, bool(lost), await floors_of(flat, subscription)

    async def latest(self, subscription: Subscription, after: str, count: int) -> tuple[Sequence[Event], str | None]:
        """Look up the channels' lists, and the last entries in them."""
        types = json.dumps(sorted(subscription.types), ensure_ascii=False)
        limits = (count, LATEST_BYTES, _LOOK)
        found, entries, more = await self._read(LATEST, *limits, types, *ranges(subscription, after))
        names = set(found)
        events = [event_of_entry(id, dict(zip(fields[::2], fields[1::2], strict=True))) for id, fields in entries]
        wanted = [event for event in events if event is not None and event.channel in names]
        going_on = found[-1] if more else None  # the ranges are sorted
        return [event for event in wanted if subscription.covers(event.channel)], going_on

    async def state(self, channel: str) -> ChannelState:
        """Look up the channel's list and its end."""
        exists, end = await self._read(STATE, channel)
        id, _, reason = end.partition(" ")
        return ChannelState(bool(exists), End(EventId.parse(id), reason) if end else None)

    async def lease(self, name: str) -> bool:
        """Take or renew a lease."""
        self._leases.add(name)
        return bool(await self._run(LEASE, self._node, name, _ENTRY_MS))

    async def exchange(self, changes: Mapping[str, int], *, all: bool) -> Exchanged:
        """Write the changes of this node, in parts, and read those of the other nodes. The write also shows whether
        Redis accepts writes, before the next publish."""
        if all:  # what was read last may not have been noted
            self._last_change = ""
        pairs = [str(word) for pair in changes.items() for word in pair]
        read: list[tuple[str, Mapping[str, int], bool]] = []
        begin, more, forgotten, nodes = 0, True, False, frozenset[str]()
        try:
            while more or begin < len(pairs):
                me = (self._node, _ENTRY_MS, "1" if all and begin == 0 else "0", self._last_change, _ENTRIES)
                answer = await self._run(EXCHANGE, *me, *pairs[begin : begin + _WORDS])
                gone, self._last_change, others, found, more = answer
                begin += _WORDS
                forgotten, nodes = forgotten or bool(gone), frozenset(others)
                read += [(node, counts_of(flat), whole == "1") for node, whole, flat in found]
        except RedisFailed as failed:
            self._note(failed)
            raise
        self._note_accepted()
        return Exchanged(nodes - {self._node}, read, forgotten)

    async def _write(self, appends: Sequence[Append]) -> Sequence[_Result | Exception]:
        origin, most, grace_ms = self._follower.origin, self._most, self._grace_ms
        calls = [
            await arguments_of(append, self._rules, origin=origin, most=most, grace_ms=grace_ms) for append in appends
        ]
        try:
            results = await self._connection.run_all(APPEND, calls)
        except RedisFailed as failed:
            self._note(failed)
            raise StoreUnavailable(f"{failed.reason} Whether the event was published is not known.") from failed
        return [await self._result(result) for result in results]

    async def _result(self, result: Any) -> _Result | Exception:
        if isinstance(result, RedisFailed):
            self._note(result)
            return result
        self._note_accepted()
        if result[0] == "ENDED":
            return Ended(*result[1:])
        ids, memo = result
        return await ids_of(ids), memo

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
                        self._connection.note_late()
                    self._note(failed, away=True)
                    await asyncio.sleep(_PERIOD)
        except Exception:
            self._follower.origin = ""  # the last read event is unknown, so begin with the newest events
            self._away = "The stream in Redis is being read again."
            raise

    async def _begin(self) -> None:
        """Connect to Redis and read the events that this node lacks."""
        await self._connection.connect_anew()
        await self._connection.inspect()
        await self._follower.begin()
        if self._away is not None and self._tasks:
            logger.info("Redis can be used again")
        self._away = None

    async def _maintain(self) -> None:
        """Remove events that are too old or too many, and notice a stream that has begun again."""
        while True:
            await asyncio.sleep(_TRIM_PERIOD)
            more = self._away is None
            while more:
                try:
                    origin, more = await self._trim()
                except RedisFailed as failed:
                    self._note_untrimmed(failed)
                    break
                self._untrimmed = None
                if origin != self._follower.origin:
                    self._note(RedisFailed(STREAM_REPLACED))

    async def _trim(self) -> tuple[str, bool]:
        """Apply the rules to the channels that are due; return the origin of the stream, and whether there is more to
        do."""
        rules = self._rules
        if self._rules_version != (version := rules.version):
            await self._review()
            self._rules_version = version
        longest_ms = max(round(rules.longest_ms), self._grace_ms)
        origin, due = await self._run(DUE, longest_ms, _DUE)
        if not due:
            return origin, False
        words = json.dumps({channel: numbers(rules.of(channel)) for channel in due}, ensure_ascii=False)
        full = await self._run(TRIM, self._grace_ms, _TRIM_STEP, words)
        return origin, bool(full) or len(due) >= _DUE

    async def _review(self) -> None:
        """After the rules were replaced, let every channel be due, some at a time."""
        after, more = "", True
        while more:
            names = [retained.channel for retained in await self.channels(after, _DUE)]
            more = len(names) == _DUE
            if names:
                after = names[-1]
                await self._run(REVIEW, *names)

    async def _read(self, script: str, *values: str | int) -> Any:
        """Run a script that reads the stream that this node knows, when there is a place for it.

        :raises RedisFailed: also if another stream is in its place.
        """
        must_wait = self._places.locked()
        async with self._places:
            if must_wait and self._away is not None:
                raise RedisFailed(self._away)
            return await self._run(script, *values, self._follower.position)

    async def _run(self, script: str, *values: str | int) -> Any:
        """Run a script.

        :raises RedisFailed: if that fails.
        """
        try:
            return await self._connection.run(script, *values)
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
