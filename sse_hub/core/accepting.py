"""How events enter a hub: in steps, so that the event loop does other work between them.

Events cost different amounts of time. One that concerns ten thousand different subscriptions is handed to each of them,
which takes 6 ms; another takes 10 µs. So a turn is limited by their cost and not by their number, whoever publishes
them: a batch and a hundred publishers share it.

A group that holds a page of bytes must get no more before its flush, and a turn of the event loop flushes a few groups
only (delivery.py). So after a large event for ten thousand subscribers, the next event waits for their writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from .delivery import Delivery
from .ends import reason_of
from .events import END, Event, EventId
from .log import Log

__all__ = ["Accepting"]

_EVENT = 20
"""The cost of an event besides its audiences: the store makes it, and the log takes it."""
_BYTES = 256
"""Data of this size cost as much as an audience, because they are encoded."""


class Accepting:
    """The part of a hub that accepts events."""

    log: Log
    delivery: Delivery
    _published: int
    _passed_over: int
    _ended: Counter[str]

    def deliver(self, events: Sequence[Event]) -> Iterator[None]:
        """Accept events from the store in steps, in the order of their ids. Events enter the hub in no other way.

        Nothing happens before the result is iterated. Between two steps, the event loop has to have a turn, and no
        other event with an id may be delivered.
        """
        delivery = self.delivery
        for event in events:
            while delivery.is_full:
                self._make_room()
                yield
            self.log.append(event)
            delivery.spent += _EVENT + delivery.add(event) + len(event.data) // _BYTES
            if event.type == END and (reason := reason_of(event)) is not None:
                self._ended[reason] += 1
            self._published += 1
            self._note_accepted(event)
        self._make_room()

    def pass_to(self, id: EventId) -> None:
        """Note that no event up to this id is to come any more."""
        self.log.head = max(self.log.head, id)

    def pass_over(self, entries: int) -> None:
        """Count entries of the store that do not belong to this hub."""
        self._passed_over += entries

    def _note_accepted(self, event: Event) -> None:
        """Note an event in the turn in which it enters the log."""

    def _make_room(self) -> None:
        self._forget_routes(self.log.make_room())
        self.delivery.flush_soon()

    def _forget_routes(self, channels: Sequence[str]) -> None:
        for channel in channels:
            self.delivery.audiences.forget(channel)
