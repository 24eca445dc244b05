"""Labels: finds the update that a publisher has given an id (docs/protocol.md, "Publishing an update").

The index is filled when a label is looked up: it then reads the updates that have come since the last look-up, first
those that only the store still has. So requests without a label never wait for it. It holds as many updates as the hub
retains. It may hold updates that are gone: `start.Start` then reports a loss.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from .events import LOWEST_ID, Event, EventId
from .hub import Hub
from .updates import CHANNEL, subscription_of_all, update_of

__all__ = ["Labels"]

_STEP = 250
"""Updates that are read in one turn of the event loop."""


class Labels:
    """The labels of a hub's retained updates.

    :param hub: has the updates.
    :param most: updates that the hub retains.
    """

    def __init__(self, hub: Hub, most: int) -> None:
        self._hub = hub
        self._most = most
        self._ids: dict[str, deque[EventId]] = {}
        self._order: deque[tuple[str, EventId]] = deque()
        self._reached = LOWEST_ID

    async def find(self, label: str, pause: Callable[[], Awaitable[None]]) -> Sequence[EventId]:
        """The ids of the updates with this label, oldest first.

        :param pause: lets the event loop do other work.
        :raises StoreUnavailable: if the store has to be read and cannot be read.
        """
        log, everything = self._hub.log, subscription_of_all()
        while self._reached < log.head:
            if self._hub.archive is not None and self._reached < log.floors.of(CHANNEL):
                # Up to the head: while updates come, the floor rises during the read.
                page = await self._hub.archive.page(everything, self._reached, log.head)
                self._add(page.events, page.reached)
            else:
                events = list(islice(log.after(everything, self._reached), _STEP))
                self._add(events, log.head if len(events) < _STEP else LOWEST_ID)
            await pause()
        return list(self._ids.get(label, ()))

    def _add(self, events: Sequence[Event], reached: EventId) -> None:
        """Add events, in order; another look-up may have added some of them meanwhile."""
        for event in events:
            if event.id is None or event.id <= self._reached:
                continue
            self._reached = event.id
            label = update_of(event).label
            if label is not None:
                self._ids.setdefault(label, deque()).append(event.id)
                self._order.append((label, event.id))
        self._reached = max(self._reached, reached)
        while len(self._order) > self._most:
            label, _ = self._order.popleft()
            self._ids[label].popleft()
            if not self._ids[label]:
                del self._ids[label]
