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
    subscriptions: int
    """Different ones. The bytes of an event are made once for each that it concerns."""
    unshared: int
    """Subscribers whose bytes are compressed apart, until they join the stream that the others share."""
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
    """Times that a subscriber was informed of a loss."""
    evicted: Mapping[str, int]
    """Channels that were forgotten to keep a limit, by limit."""
