"""The memory store: nothing is kept but the hub's log."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..events import Draft, Event, EventId

__all__ = ["MemoryStore"]


class MemoryStore:
    """Gives ids and delivers at once.

    :param head: the newest id that is in use already.
    :param deliver: takes the events; `Hub.deliver`.
    :param clock: Unix time in milliseconds.
    """

    def __init__(self, head: EventId, deliver: Callable[[Sequence[Event]], None], clock: Callable[[], int]) -> None:
        self._head = head
        self._deliver = deliver
        self._clock = clock

    @property
    def trouble(self) -> str | None:
        """None: memory is always there."""
        return None

    async def open(self) -> None:
        """Nothing is retained from an earlier process."""

    async def close(self) -> None:
        """Nothing is under way: `append` does not wait."""

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        """Make events of the drafts and deliver them; they are as safe as the process."""
        now_ms = self._clock()
        events = []
        for draft in drafts:
            following = self._head.following(now_ms)
            events.append(draft.accepted(following))
            if not draft.ephemeral:
                self._head = following
        self._deliver(events)
        return events
