"""Subscriptions: channels, patterns and filters of a subscriber, and the names by which it is found."""

from __future__ import annotations

import functools
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .events import END, Event, literals, matches
from .matcher import matches_any

__all__ = ["ANY", "LAST", "Subscription", "keys", "normal", "spans"]

ANY: frozenset[str] = frozenset()
"""No filter. All subscriptions share this object: each call of `frozenset` makes a new one, of 216 bytes."""

LAST = chr(0x10FFFF)
"""The last character: a name and `LAST` come after all names that begin with that name."""

_MOST_PAIRS = 2500
"""Largest number of pairs of a name and a grant that are compared to find a subscription by its grants. A pair takes up
to 2 µs."""
_MOST_COMPARED = 20
"""Largest number of names that are all compared with each other."""
_STARS = re.compile(r"\*{2,}")
"""Several stars stand for the same as one."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """The events that a subscriber wants, and their form. Subscribers with equal subscriptions share every byte."""

    names: frozenset[str]
    """Channels and patterns."""
    types: frozenset[str] = ANY
    """Only these event types; empty for all."""
    envelope: bool = False
    chunked: bool = True
    """Whether the bytes are in chunks. HTTP/1.1 needs them, HTTP/1.0 does not know them."""
    granted: frozenset[str] | None = None
    """Only channels that one of these patterns matches; None for all channels that the names cover."""
    gzip: bool = False
    """Whether the bytes are a deflate stream (wire.py)."""
    unshared: bool = False
    """Whether each flush is deflated separately, as it is until the subscriber joins a shared stream."""
    plain: bool = False
    """Whether it wants only published events, and none of the hub's own."""
    conflate_ms: int = 0
    """Milliseconds in which it wants at most one event of each channel and type, the newest; 0 for all events."""

    @property
    def only(self) -> str | None:
        """The channel, if it is exactly one: its stream ends with it."""
        (name, *others) = self.names
        return None if others or "*" in name else name

    @property
    def exact(self) -> bool:
        """Whether it has only channels and no patterns."""
        return not any("*" in name for name in self.names)

    def covers(self, channel: str) -> bool:
        """Whether the channel is subscribed to and may be read."""
        names = self.names
        if channel not in names and "*" not in names and not matches_any(names, channel):
            return False
        return self.granted is None or matches_any(self.granted, channel)

    def share_of(self, events: int) -> int:
        """The number of events that this subscription can look at in the time in which one pattern looks at `events`.
        Each pattern takes up to 2 µs for an event."""
        patterns = len(self.names) + len(self.granted or ())
        return max(events * 8 // (7 + patterns), 20)

    def wants(self, event: Event) -> bool:
        """Whether an event of a covered channel is for the subscriber. An event `end` that ends the stream passes every
        type filter: a client that does not get it would reconnect for ever."""
        if event.type == END:
            return not self.plain and (not self.types or END in self.types or self.only is not None)
        return not self.types or event.type in self.types


@functools.lru_cache(4096)
def keys(subscription: Subscription) -> frozenset[str]:
    """Channels and patterns that together match every channel of the subscription, and as few others as possible.

    Ten thousand tokens that each grant one channel make ten thousand subscriptions of `*`. They are found by their
    grants, because a look at all of them for each channel would take milliseconds.
    """
    names, granted = subscription.names, subscription.granted
    if granted is None or len(names) * len(granted) > _MOST_PAIRS:
        return names
    found: set[str] = set()
    for name in names:
        if matches_any(granted, name):
            found.add(name)  # a granted pattern that matches a pattern as text also matches its channels
            continue
        covered = {pattern for pattern in granted if matches(name, pattern)}
        found |= covered
        if any(_may_meet(name, pattern) for pattern in granted - covered):
            found.add(name)
    return frozenset(found)


def spans(subscription: Subscription, after: str) -> Iterator[tuple[str, bool]]:
    """The spans of names that hold every channel of the subscription that comes after a name: sorted channels and
    literal beginnings of patterns, each with whether it is a beginning. They do not overlap, so that a search looks at
    no name twice, even if a hundred patterns begin alike."""
    found = _spans(subscription)
    for name, is_beginning in found[max(bisect_right(found, (after, True)) - 1, 0) :]:
        if name > after or (is_beginning and after.startswith(name)):
            yield name, is_beginning


@functools.lru_cache(1024)
def _spans(subscription: Subscription) -> Sequence[tuple[str, bool]]:
    every = {(literals(key)[0], True) if "*" in key else (key, False) for key in keys(subscription)}
    found: list[tuple[str, bool]] = []
    for name, is_beginning in sorted(every, key=lambda each: (each[0], not each[1])):
        if not (found and found[-1][1] and name.startswith(found[-1][0])):
            found.append((name, is_beginning))
    return found


def normal(subscription: Subscription) -> Subscription:
    """The normal form of a subscription: without names that its patterns cover, and without a grant that excludes
    nothing. Subscriptions to the same channels then mostly become equal, so they share their bytes."""
    granted, found = subscription.granted, keys(subscription)
    if granted is not None and found and all(_is_covered(subscription.names, granted, key) for key in found):
        narrower = replace(subscription, names=found, granted=None)
        # A stream of patterns does not end with a channel, even if that is the only one that may be read.
        subscription = narrower if narrower.only == subscription.only else subscription
    if any("**" in name for name in subscription.names):
        subscription = replace(subscription, names=frozenset(_STARS.sub("*", name) for name in subscription.names))
    names = subscription.names
    if 1 < len(names) <= _MOST_COMPARED and not subscription.exact:
        needed = (name for name in names if not any(other != name and matches(other, name) for other in names))
        subscription = replace(subscription, names=frozenset(needed))
    return subscription


def _is_covered(names: frozenset[str], granted: frozenset[str], key: str) -> bool:
    """Whether all channels that the key matches are subscribed to and may be read."""
    return matches_any(granted, key) and matches_any(names, key)


def _may_meet(one: str, other: str) -> bool:
    """Whether both can match the same channel."""
    if "*" not in one or "*" not in other:
        return matches(one, other) or matches(other, one)
    (begin, end), (start, stop) = literals(one), literals(other)
    begins = begin.startswith(start) or start.startswith(begin)
    return begins and (end.endswith(stop) or stop.endswith(end))
