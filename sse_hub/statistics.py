"""What a hub says about itself: a value, which knows no metrics library."""

from __future__ import annotations

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
    published: int
    delivered: int
    """Events handed to connections."""
    delivered_bytes: int
    lost: int
    """Times that a subscriber was told of a loss."""
