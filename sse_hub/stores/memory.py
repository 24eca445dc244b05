"""The memory store: it keeps nothing except the hub's log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from ..core.ends import ABANDONED, Ended, Idle, end_draft
from ..core.events import END, Draft, Event
from ..core.hub import Hub
from ..tasks import Background, end, in_slices
from .batches import SLICE, Append, Batches, deliver_in_slices, forget_in_steps

__all__ = ["MemoryStore"]

_PERIOD = 1.0
"""Seconds between two searches for silent channels."""


class MemoryStore:
    """Gives ids and delivers at once. A large batch is delivered in slices, and later publishes wait for its end.

    :param hub: gets the events.
    :param clock: Unix time in milliseconds.
    :param background: watches the store's task; if it is None, the caller has to call `abandon`.
    """

    def __init__(self, hub: Hub, clock: Callable[[], int], background: Background | None = None) -> None:
        self._hub = hub
        self._head = hub.log.head
        self._clock = clock
        self._background = background
        self._rules = hub.log.rules
        self._version = self._rules.version
        self._idle = Idle(self._rules)
        self._batches = Batches[Append, Sequence[Event]](self._write, Append.size_bytes)
        self._maintenance: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> str | None:
        """None, because memory never fails."""
        return None

    async def open(self) -> None:
        """Begin to end silent channels. There are no events of an earlier process."""
        if self._background is not None:
            self._maintenance = self._background.start("abandoned", self._maintain)

    async def close(self) -> None:
        """Wait until all accepted events are delivered."""
        if self._maintenance is not None:
            await end(self._maintenance)
        await self._batches.close()

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        """Make events of the drafts and deliver them. They last as long as the process."""
        return await self._put(Append(drafts))

    async def forget(self, channel: str) -> None:
        """Forget the channel, after the earlier events are delivered."""
        await self._put(Append((), forget=channel))

    async def abandon(self) -> None:
        """End the channels that have been silent for their `idle_end`."""
        if self._version != (version := self._rules.version):
            await self._review()
            self._version = version
        more = True
        while more:
            silent, more = self._idle.find(self._clock())
            for channel in silent:
                with contextlib.suppress(Ended):  # another publish has ended it meanwhile
                    await self._put(Append([end_draft(channel, ABANDONED)], if_idle=True))
            if more:  # a publish of this store does not wait
                await asyncio.sleep(0)

    async def _review(self) -> None:
        """After the rules were replaced, note the new ones for the channels that there are."""
        log = self._hub.log
        async for some in in_slices(list(log), SLICE):
            for channel in some:
                if log.get(channel.name) is channel and channel.end is None:
                    self._idle.review(channel.name, channel.active_ms, self._clock())

    async def _maintain(self) -> None:
        while True:
            await asyncio.sleep(_PERIOD)
            await self.abandon()

    async def _put(self, append: Append) -> Sequence[Event]:
        has_to_wait = bool(append.forget) and self._hub.delivery.is_full
        if len(append.drafts) > SLICE or has_to_wait or not self._batches.idle:
            return await self._batches.put(append)
        events = self._make(self._check(append), self._clock())
        steps = self._hub.forget(append.forget, self._head) if append.forget else self._hub.deliver(events)
        for _ in steps:  # this turn has no time for all of it: later publishes wait for its end
            await self._batches.put(Append((), rest=steps))
        return events

    async def _write(self, appends: Sequence[Append]) -> Sequence[Sequence[Event] | Exception]:
        results: list[Sequence[Event] | Exception] = []
        for append in appends:  # each is delivered before the next, whose channel it may have ended
            for _ in append.rest or ():
                await asyncio.sleep(0)
            try:
                drafts, now_ms = self._check(append), self._clock()
            except Ended as ended:
                results.append(ended)
                continue
            if append.forget:
                await forget_in_steps(self._hub, append.forget, self._head)
            events: list[Event] = []
            async for some in in_slices(drafts, SLICE):
                made = self._make(some, now_ms)
                await deliver_in_slices(self._hub, made)
                events += made
            results.append(events)
        return results

    def _check(self, append: Append) -> Sequence[Draft]:
        """The drafts that are to be delivered.

        :raises Ended: if a channel takes no more events.
        """
        if append.forget:
            self._idle.discard(append.forget)
        drafts = append.drafts
        if append.if_idle and not (
            self._idle.is_silent(drafts[0].channel) and self._hub.log.get(drafts[0].channel) is not None
        ):
            return ()
        for channel in {draft.channel for draft in drafts}:
            if (ended := self._hub.log.end_of(channel)) is not None:
                raise Ended(channel, ended.reason)
        return drafts

    def _make(self, drafts: Sequence[Draft], now_ms: int) -> Sequence[Event]:
        """Make events of drafts that may be delivered. They have to be delivered next."""
        events = []
        for draft in drafts:
            following = self._head.following(now_ms)
            events.append(draft.accepted(following, now_ms))
            if not draft.ephemeral:
                self._head = following
            self._note(draft, now_ms)
        return events

    def _note(self, draft: Draft, now_ms: int) -> None:
        if draft.type == END:
            self._idle.discard(draft.channel)
        else:
            self._idle.note(draft.channel, now_ms)
