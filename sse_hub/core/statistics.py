"""The figures of a hub: a value that knows no metrics library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Statistics"]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counters since the hub began, and figures of this moment."""

    subscribers: int
    behind: int
    subscriptions: int
    """Different subscriptions. The bytes of an event are made once for each subscription that covers it."""
    unshared: int
    """Subscribers whose bytes are compressed separately until they join the shared stream."""
    channels: int
    retained: int
    """Events in the log."""
    retained_bytes: int
    """Bytes of the events in the log, with their approximate cost in memory."""
    published: int
    delivered: int
    """Events handed to connections."""
    delivered_bytes: int
    conflated: int
    """Events that were not sent because a newer one superseded them."""
    ended: Mapping[str, int]
    """Channels that have ended, by reason."""
    open_runs: int
    """Channels that will end, by their rule, and have not ended."""
    passed_over: int
    """Entries of the store that do not belong to this hub."""
    lost: int
    """How often a subscriber was informed of a loss."""
    evicted: Mapping[str, int]
    """Channels that were forgotten to keep a limit, by limit."""

    def __add__(self, other: Statistics) -> Statistics:
        """The figures of two hubs together."""
        return Statistics(**{name: _sum(getattr(self, name), getattr(other, name)) for name in self.__slots__})


def _sum(one: Any, other: Any) -> Any:
    return one + other if isinstance(one, int) else {name: one.get(name, 0) + count for name, count in other.items()}
