"""Floors: the record of lost events, for every channel and in order.

The *floor* of a channel is the id of its newest event that is gone. A cursor at or above the floor has lost nothing.
Floors are kept in the order in which they rose, and each rise has a number. A subscriber remembers the number of the
last rise that it knows, so it learns of all later losses, on any number of channels, by a look at the later rises only.

A channel that has ended, or was deleted, is forgotten whole and *begins anew* above its floor: nothing of its beginning
is gone until it loses an event again.

Floors outlive their channels. When there are too many, the one that rose longest ago becomes the *common floor*, that
of all channels of which nothing else is known: a loss is then reported too often, and never too seldom.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sortedcontainers import SortedList

from .events import EventId
from .subscription import LAST, Subscription, spans

__all__ = ["Floors"]

_STEP = 2000
"""Channels looked at in a step, for one pattern."""
_MOST_TRIED = 5000
"""The same for all of a search without steps. After that, the subscription counts as concerned: a loss may be reported
too often, and never too seldom."""
_FEW = 100
"""Number of rises that are all looked at. The channels of a pattern are looked up only if there are more."""


class _Rise(NamedTuple):
    floor: EventId
    number: int
    anew: bool
    """Whether the channel begins anew above the floor."""


class Floors:
    """The floors of all channels.

    :param common: the floor of channels without a floor of their own.
    :param most: the number of channels that can have a floor of their own.
    """

    def __init__(self, common: EventId, most: int) -> None:
        self.losses = 0
        """The number of rises so far."""
        self.top = common
        """The highest floor of all channels: a cursor there has lost nothing on any channel."""
        self._common = _Rise(common, 0, True)
        self._most = most
        self._rises: OrderedDict[str, _Rise] = OrderedDict()  # the one that rose last stands last
        self._names = SortedList[str]()  # theirs

    def of(self, name: str) -> EventId:
        """The floor of one channel."""
        return self._rises.get(name, self._common).floor

    def raise_to(self, name: str, floor: EventId, *, anew: bool = False) -> None:
        """Note that the events of a channel up to this id are gone.

        :param anew: whether the channel was forgotten whole and begins anew.
        """
        self.losses += 1
        if floor > self.top:
            self.top = floor
        if name not in self._rises:
            self._names.add(name)
        self._rises[name] = _Rise(floor, self.losses, anew)
        self._rises.move_to_end(name)
        if len(self._rises) > self._most:
            self._limit()

    def _limit(self) -> None:
        while len(self._rises) > self._most:
            forgotten, oldest = self._rises.popitem(last=False)
            self._names.remove(forgotten)
            self._raise_common(oldest.floor, oldest.anew)

    def raise_all(self, floors: Mapping[str, EventId]) -> None:
        """Note that events of these channels are gone. It takes less than half the time of a call for each."""
        self._names.update(name for name in floors if name not in self._rises)
        for name, floor in floors.items():
            self.losses += 1
            self._rises.pop(name, None)
            self._rises[name] = _Rise(floor, self.losses, False)
        self.top = max(self.top, max(floors.values(), default=self.top))
        self._limit()

    def restart(self, origin: EventId) -> None:
        """Note that everything up to this id is gone."""
        self._rises.clear()
        self._names.clear()
        self._raise_common(origin, False)

    def _raise_common(self, floor: EventId, anew: bool) -> None:
        anew = anew and self._common.anew
        if floor > self._common.floor:
            self.losses += 1
            self.top = max(self.top, floor)
            self._common = _Rise(floor, self.losses, anew)
        else:
            self._common = self._common._replace(anew=anew)

    def beginnings(self, subscription: Subscription) -> Iterator[bool]:
        """Find out whether a channel of this subscription has lost events of its beginning, in steps like those of
        `search`."""
        if subscription.exact:
            yield not all(self._rises.get(name, self._common).anew for name in subscription.names)
            return
        yield not self._common.anew
        rises = list(self._rises.items())
        step = subscription.share_of(_STEP)
        for begin in range(0, len(rises), step):
            some = rises[begin : begin + step]
            yield any(not rise.anew and subscription.covers(name) for name, rise in some)

    def search(self, subscription: Subscription, cursor: EventId) -> Iterator[bool]:
        """Find out whether a cursor has lost events of this subscription. Each step takes less than a millisecond and
        yields True if it has found a loss. `risen` finds floors that rise between two steps."""
        if cursor >= self.top:
            return
        if subscription.exact:
            yield any(self.of(name) > cursor for name in subscription.names)
            return
        yield self._common.floor > cursor
        if "*" in subscription.names and subscription.granted is None:
            yield True  # the subscription covers every channel, so also the one with the highest floor
            return
        rises = list(self._rises.items())
        step = subscription.share_of(_STEP)
        for begin in range(0, len(rises), step):
            some = rises[begin : begin + step]
            yield any(rise.floor > cursor and subscription.covers(name) for name, rise in some)

    def risen(self, subscription: Subscription, cursor: EventId, since: int) -> EventId | None:
        """The highest floor of the subscription's channels that is above the cursor and rose after the rise `since`.
        None if there is none."""
        if since == self.losses:
            return None
        if subscription.exact:
            rises = [self._rises.get(name, self._common) for name in subscription.names]
            return max((rise.floor for rise in rises if rise.number > since and rise.floor > cursor), default=None)
        found = None
        if self._common.number > since and self._common.floor > cursor:
            found = self._common.floor
        left = subscription.share_of(_MOST_TRIED)
        for name, floor in self._risen_since(subscription, since):
            if floor > cursor and (found is None or floor > found):
                left -= 1
                if left < 0 and not subscription.plain:  # a plain stream would be broken off
                    return self.top
                if subscription.covers(name):
                    found = floor
                    if found == self.top:
                        break
        return found

    def _risen_since(self, subscription: Subscription, since: int) -> Iterator[tuple[str, EventId]]:
        """The channels whose floors rose after the rise `since`, the last one first; or only those that the pattern may
        cover, if they are fewer by far."""
        since_then = self.losses - since
        if since_then > _FEW:
            ranges = [self._range(name, is_beginning) for name, is_beginning in spans(subscription, "")]
            if sum(end - begin for begin, end in ranges) < since_then // 4:
                for begin, end in ranges:
                    for name in self._names.islice(begin, end):
                        floor, number, _ = self._rises[name]
                        if number > since:
                            yield name, floor
                return
        for name, (floor, number, _) in reversed(self._rises.items()):
            if number <= since:
                return
            yield name, floor

    def _range(self, name: str, is_beginning: bool) -> tuple[int, int]:
        """The positions of the names that are this name, or that begin with it."""
        last = name + LAST if is_beginning else name
        return self._names.bisect_left(name), self._names.bisect_right(last)
