"""A gap: events of some channels that a hub will never get.

A node that stood still for a minute may have lost events of ten thousand channels, and ten thousand audiences may
follow them. To look for the audiences of each channel would hold the event loop for seconds. So each audience looks for
its names in the gap.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from functools import partial

from .events import LOWEST_ID, EventId, literals, matches
from .subscription import LAST, Subscription, keys

__all__ = ["Gap"]

_MOST_LOOKS = 20_000
"""Lost channels that are compared with patterns, about 10 ms. After that, a pattern counts as concerned: a loss may be
reported too often, and never too seldom."""


class Gap:
    """The ids up to which events are gone.

    :param floors: these ids by channel.
    """

    def __init__(self, floors: Mapping[str, EventId]) -> None:
        self._floors = floors
        self._names = sorted(floors)
        self._top = max(floors.values(), default=LOWEST_ID)
        self._of_patterns = {"*": self._top}
        self._looks = 0

    def floor_of(self, subscription: Subscription) -> EventId:
        """The highest floor of the subscription's channels; the lowest possible id if it has lost nothing."""
        found = LOWEST_ID
        for name in subscription.names if subscription.granted is None else keys(subscription):
            if "*" not in name:
                floor = self._floors.get(name, LOWEST_ID)
                if floor > found and subscription.covers(name):
                    found = floor
            elif subscription.plain:  # it would be broken off: it is not enough that it may be concerned
                found = max(found, self._search(name, subscription.covers, 0))
            elif subscription.granted is None:
                found = max(found, self._of_pattern(name))
            else:
                found = max(found, self._search(name, subscription.covers, 1 + len(subscription.granted) // 4))
        return found

    def _of_pattern(self, pattern: str) -> EventId:
        """The highest floor of the channels that a pattern matches. Many subscriptions may have it."""
        floor = self._of_patterns.get(pattern)
        if floor is None:
            floor = self._of_patterns[pattern] = self._search(pattern, partial(matches, pattern))
        return floor

    def _search(self, pattern: str, covers: Callable[[str], bool], patterns: int = 1) -> EventId:
        beginning, _ = literals(pattern)
        begin, end = bisect_left(self._names, beginning), bisect_right(self._names, beginning + LAST)
        self._looks += (end - begin) * patterns
        if patterns and self._looks > _MOST_LOOKS:
            return self._top if begin < end else LOWEST_ID
        return max((self._floors[name] for name in self._names[begin:end] if covers(name)), default=LOWEST_ID)
