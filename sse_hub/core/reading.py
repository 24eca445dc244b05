"""Reading the log: the events after a cursor, the beginning of a replay, and the ids that the log has given.

Finding a cursor is a binary search. The events of a few channels are a merge of their lists. Those of a pattern that
covers many channels, or a good part of all, are read from the order of all events, passing over those of others. Names
are sorted, so the channels of a pattern are those of one range. Nothing here looks at every channel, and nothing
changes the log.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence
from itertools import islice

from sortedcontainers import SortedList

from .channel import Channel, newest_first, oldest_first
from .clearing import Clearing
from .ends import End
from .events import Event, EventId, literals
from .floors import Floors
from .given import GivenIds
from .order import Order
from .subscription import LAST, Subscription, keys

__all__ = ["Reading"]

_FEW = 1000
"""Largest number of channels of a pattern that are looked at one by one."""
_MERGED = 500
"""Largest number of channels whose lists are merged for a page, in up to 5 ms. A page of the order of all events takes
2 ms."""
_SOME = 50
"""Number of channels from which on the order is also read if they are more than an eighth of all channels. With fewer,
a merge takes little more time."""
_LOOK = 500
"""Largest number of events that are looked at to find the first one."""


class Reading:
    """The part of a log that is read.

    :param origin: the id at which this hub begins.
    :param max_channels: channels that can have a floor of their own.
    """

    def __init__(self, origin: EventId, max_channels: int) -> None:
        self.head = origin
        """Id of the newest event of all."""
        self.floors = Floors(origin, max_channels)
        self._given = GivenIds(origin)
        self._channels: OrderedDict[str, Channel] = OrderedDict()  # in the order of their last events
        self._names = SortedList[str]()
        self._order = Order()
        self._clearing = Clearing(self._order)

    def __iter__(self) -> Iterator[Channel]:
        return iter(self._channels.values())

    def __len__(self) -> int:
        return len(self._channels)

    def end_of(self, name: str) -> End | None:
        """How the channel has ended, as far as the log knows."""
        channel = self._channels.get(name)
        return None if channel is None else channel.end

    def get(self, name: str) -> Channel | None:
        """The channel of that name, if the log has it."""
        return self._channels.get(name)

    def names(self, after: str, most: int, *, inclusive: bool = False) -> list[str]:
        """Sorted names of channels: at most `most`, from the first after a name, or from the name itself
        (`inclusive`)."""
        return list(islice(self._names.irange(after, inclusive=(inclusive, True)), most))

    def after(self, subscription: Subscription, cursor: EventId) -> Iterator[Event]:
        """Events above the cursor, by id. Events of other channels may be among them. Use the iterator before the log
        changes."""
        channels = self._merged(subscription)
        if channels is None:
            return self._here(self._order.after(cursor))
        return oldest_first(channels, cursor)

    def _here(self, events: Iterator[Event]) -> Iterator[Event]:
        """Those of these events that are not gone."""
        return filter(self._is_here, events) if self._clearing.detached else events

    def _is_here(self, event: Event) -> bool:
        channel = self._channels.get(event.channel)
        return channel is not None and event.id is not None and event.id > channel.floor

    def may_have_given(self, cursor: EventId) -> bool:
        """Whether this log may have given the cursor to a subscriber. Above the highest floor it has every id that it
        ever gave, and it remembers lower ones for a while. A stream may begin at the id immediately before an event."""
        holds = self._order.holds if cursor > self.floors.top else self._given.may_hold
        return cursor == self.head or (cursor < self.head and holds(cursor))

    def following(self, subscription: Subscription, floor: EventId) -> EventId:
        """The id of the subscription's first retained event above a floor, or the lowest id that it can have."""
        for event in islice(self.after(subscription, floor), subscription.share_of(_LOOK)):
            if subscription.covers(event.channel) and event.id is not None:
                return event.id
        return floor.next()

    def start(self, subscription: Subscription) -> EventId:
        """A cursor below every retained event of the subscription."""
        channels = self._few(subscription, subscription.share_of(_FEW))
        oldest = [self._order.oldest] if channels is None else [channel.oldest for channel in channels]
        ids = [event.id for event in oldest if event is not None and event.id is not None]
        return min(ids).preceding() if ids else self.head

    def back(self, subscription: Subscription, count: int, most: int) -> Generator[None, None, EventId | None]:
        """Find the cursor before the last `count` wanted events of the subscription; None if there are fewer.

        It yields after every step of a few milliseconds; the log may change then.

        :param most: the number of events to look at. If few of them are wanted, fewer than `count` are found.
        """
        found = looked_at = 0
        before: EventId | None = None
        most_in_step = subscription.share_of(_LOOK)
        while True:
            step = 0
            for event in islice(self._backwards(subscription, before), most_in_step):
                if found == count or looked_at == most:
                    return event.id
                found += subscription.covers(event.channel) and subscription.wants(event)
                looked_at += 1
                step += 1
                before = event.id
            if step < most_in_step:
                return None
            yield

    def _backwards(self, subscription: Subscription, before: EventId | None) -> Iterator[Event]:
        # As many as possible of the events that are looked at are its own.
        channels = self._few(subscription, subscription.share_of(_FEW))
        return self._here(self._order.backwards(before)) if channels is None else newest_first(channels, before)

    def _few(self, subscription: Subscription, most: int) -> Sequence[Channel] | None:
        """The subscription's channels. None if it is a pattern and there may be more than `most`."""
        if subscription.exact:
            channels = map(self._channels.get, subscription.names)
            granted = subscription.granted
            return [c for c in channels if c is not None and (granted is None or subscription.covers(c.name))]
        names: set[str] = set()
        for key in keys(subscription):
            prefix = literals(key)[0] if "*" in key else ""
            if "*" not in key:
                names.update([key] if key in self._channels else [])
            elif self._names.bisect_right(prefix + LAST) - self._names.bisect_left(prefix) > most - len(names):
                return None
            else:
                names.update(self._names.irange(prefix, prefix + LAST))
        return [self._channels[name] for name in names if subscription.covers(name)]

    def _merged(self, subscription: Subscription) -> Sequence[Channel] | None:
        """The subscription's channels. None if the order of all events takes less time to read than their lists."""
        channels = self._few(subscription, subscription.share_of(_MERGED))
        if channels is None or subscription.exact:
            return channels
        return channels if len(channels) <= max(_SOME, len(self._names) // 8) else None
