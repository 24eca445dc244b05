"""The memory store: it keeps nothing except the hub's log."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..core.events import Draft, Event
from ..core.hub import Hub
from .batches import SLICE, Append, Batches, deliver_in_slices

__all__ = ["MemoryStore"]


class MemoryStore:
    """Gives ids and delivers at once. A large batch is delivered in slices, and later publishes wait for its end.

    :param hub: gets the events.
    :param clock: Unix time in milliseconds.
    """

    def __init__(self, hub: Hub, clock: Callable[[], int]) -> None:
        self._hub = hub
        self._head = hub.log.head
        self._clock = clock
        self._batches = Batches[Append, Sequence[Event]](self._write, Append.size_bytes)

    @property
    def trouble(self) -> str | None:
        """None, because memory never fails."""
        return None

    async def open(self) -> None:
        """Do nothing: no events are retained from an earlier process."""

    async def close(self) -> None:
        """Wait for deliveries that are running."""
        await self._batches.close()

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        """Make events of the drafts and deliver them; they are as safe as the process."""
        if len(drafts) > SLICE or not self._batches.idle:
            return await self._batches.put(Append(drafts))
        events = self._accept(drafts)
        self._hub.deliver(events)
        return events

    async def _write(self, appends: Sequence[Append]) -> Sequence[Sequence[Event]]:
        accepted = [self._accept(append.drafts) for append in appends]
        await deliver_in_slices(self._hub, [event for events in accepted for event in events])
        return accepted

    def _accept(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        now_ms = self._clock()
        events = []
        for draft in drafts:
            following = self._head.following(now_ms)
            events.append(draft.accepted(following, now_ms))
            if not draft.ephemeral:
                self._head = following
        return events
