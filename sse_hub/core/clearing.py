"""Clearing away in steps, because removing a large channel or a whole log at once would hold up others."""

from __future__ import annotations

from typing import Any

from .events import Event
from .order import Order

__all__ = ["Clearing"]


class Clearing:
    """Events that are gone.

    :param order: still has the events of removed channels, until they are cleared away here.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._detached: list[list[Event | None]] = []
        self._discarded: list[list[Any]] = []

    @property
    def detached(self) -> bool:
        """Whether the order has events that are gone."""
        return bool(self._detached)

    def __bool__(self) -> bool:
        return bool(self._detached or self._discarded)

    def add(self, events: list[Event | None]) -> None:
        """Clear away the events of a channel, which the order has."""
        self._detached.append(events)

    def replace(self, lists: list[list[Any]]) -> None:
        """Clear away these lists, and nothing from the order any more: it is empty."""
        self._detached.clear()
        self._discarded += lists

    def clear(self, most: int) -> int:
        """Clear away at most `most` places; return how many."""
        cleared = 0
        while self._detached and cleared < most:
            events = self._detached[-1]
            while events and cleared < most:
                event = events.pop()
                cleared += 1
                if event is not None:  # the places of dropped events are empty; up to half of them are
                    self._order.remove(event)
            if not events:
                self._detached.pop()
        while self._discarded and cleared < most:
            some = self._discarded[-1]
            size = min(len(some), most - cleared)
            del some[len(some) - size :]
            cleared += max(size, 1)
            if not some:
                self._discarded.pop()
        return cleared
