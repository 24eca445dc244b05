"""What a hub says about itself: a value, which knows no metrics library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Statistics"]


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the hub has done since it began, and how it stands."""

    subscribers: int
    behind: int
    channels: int
    retained: int
    """Events in the log."""
    retained_bytes: int
    """Their data, and what they cost besides."""
    published: int
    delivered: int
    """Events handed to connections."""
    delivered_bytes: int
    passed_over: int
    """Entries of the store that are none of this hub's."""
    lost: int
    """Times that a subscriber was told of a loss."""
    evicted: Mapping[str, int]
    """Channels that had to go, by the limit that they were in the way of."""
