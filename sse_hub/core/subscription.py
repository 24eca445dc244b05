"""What a subscriber wants, and by which names that is found."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

from .events import Event, literals, matches

__all__ = ["Subscription", "keys", "normal"]

_MOST_PAIRS = 10_000
"""Pairs of a name and a grant that are compared to find a subscription by its grants."""
_MOST_COMPARED = 20
"""Names of which each is compared with each other."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a subscriber wants, and in which form. Subscribers with equal subscriptions share every byte."""

    names: frozenset[str]
    """Channels and patterns."""
    types: frozenset[str] = frozenset()
    """Only these event types; empty for all."""
    envelope: bool = False
    chunked: bool = True
    """Whether the bytes go out in chunks, as HTTP/1.1 needs and HTTP/1.0 does not know."""
    granted: frozenset[str] | None = None
    """Of the channels that the names cover, only those that these patterns match; None for all of them."""
    gzip: bool = False
    """Whether the bytes are a deflate stream (wire.py)."""
    unshared: bool = False
    """Whether that is deflated anew for each flush, as it is until the subscriber joins a stream that is shared."""

    @property
    def exact(self) -> bool:
        """Whether it names channels only, no patterns."""
        return not any("*" in name for name in self.names)

    def covers(self, channel: str) -> bool:
        """Whether the channel is among those subscribed to, and may be read."""
        names = self.names
        if channel not in names and "*" not in names and not any(matches(name, channel) for name in names):
            return False
        return self.granted is None or any(matches(pattern, channel) for pattern in self.granted)

    def wants(self, event: Event) -> bool:
        """Whether an event of a covered channel passes the type filter."""
        return not self.types or event.type in self.types


@functools.lru_cache(4096)
def keys(subscription: Subscription) -> frozenset[str]:
    """Channels and patterns that together match every channel which the subscription covers, as few others as can be.

    Ten thousand tokens that each grant one channel make ten thousand subscriptions of `*`. They are found by what they
    grant: a look at all of them for each channel would take milliseconds.
    """
    names, granted = subscription.names, subscription.granted
    if granted is None or len(names) * len(granted) > _MOST_PAIRS:
        return names
    found: set[str] = set()
    for name in names:
        if any(matches(pattern, name) for pattern in granted):
            found.add(name)  # a granted pattern that matches a pattern as text matches all that this one matches
            continue
        found.update(pattern for pattern in granted if matches(name, pattern))
        if any(not matches(name, pattern) and _may_meet(name, pattern) for pattern in granted):
            found.add(name)
    return frozenset(found)


def normal(subscription: Subscription) -> Subscription:
    """The subscription to the same channels in the form that all such have, so that they share their bytes: without
    names that a pattern of it covers, and without a grant that takes nothing away."""
    found = keys(subscription)
    if subscription.granted is not None and all(_is_granted(subscription, key) for key in found):
        subscription = replace(subscription, names=found, granted=None)
    if 1 < len(subscription.names) <= _MOST_COMPARED and not subscription.exact:
        names = set(subscription.names)
        for name in sorted(names):
            if any(other != name and matches(other, name) for other in names):
                names.remove(name)  # at once, or two equal patterns would remove each other
        subscription = replace(subscription, names=frozenset(names))
    return subscription


def _is_granted(subscription: Subscription, key: str) -> bool:
    """Whether all channels that the key matches are covered."""
    assert subscription.granted is not None
    granted = any(matches(pattern, key) for pattern in subscription.granted)
    return granted and any(matches(name, key) for name in subscription.names)


def _may_meet(one: str, other: str) -> bool:
    """Whether there can be a channel that both match."""
    if "*" not in one or "*" not in other:
        return matches(one, other) or matches(other, one)
    (begin, end), (start, stop) = literals(one), literals(other)
    begins = begin.startswith(start) or start.startswith(begin)
    return begins and (end.endswith(stop) or stop.endswith(end))
