"""The log: the last events of every channel, where a cursor stands in them, and what is gone.

Each channel keeps its events in id order, bounded by count, age and bytes; all together are bounded, too. A channel's
*floor* is the id of the newest event that it no longer has; at first, the id at which the hub began. A cursor at or
above the floor can be served without loss, one below it has lost events.

Finding a cursor is a binary search. The events of a few channels are a merge of their lists. Those of a pattern that
covers many are read from the order of all events, passing over those of other channels. Names are sorted, so that the
channels of a pattern are those of one range. Nothing here looks at every channel.

Nothing here reads a clock: time is an argument. A clock that goes back has been ahead: events that were accepted until
then count as accepted at that moment, or they would stay until the wrong time comes true.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush, merge
from itertools import count, islice
from operator import attrgetter

from sortedcontainers import SortedList

from .events import Event, EventId, literals
from .floors import Floors
from .order import Order
from .subscription import Subscription, keys

__all__ = ["EVENT_BYTES", "Channel", "Log"]

EVENT_BYTES = 512
"""What an event costs besides its data, about: objects, frame, its place in the list. Counted for the limit in all, so
that empty that empty events have one, too."""
_BACK_MS = 1000
"""A clock that goes back by more than this was set; by less, it is being slewed."""

_FEW = 1000
"""Channels whose lists are merged for a page. Those of a broader pattern are read from the order of all events."""
_LOOK = 1000
"""Events looked at to say which one comes first."""
_LAST = chr(0x10FFFF)

_by_id = attrgetter("id")


class Channel:
    """The retained events of one channel, oldest first."""

    __slots__ = ("_events", "_first", "active_ms", "floor", "last", "name", "retained_bytes")

    def __init__(self, name: str, floor: EventId, active_ms: int = 0) -> None:
        self.name = name
        self.floor = floor
        """Id of the newest event that is gone."""
        self.last = floor
        """Id of the newest event that ever was here."""
        self.active_ms = active_ms
        """Unix time in milliseconds of the last event, ephemeral ones included."""
        self.retained_bytes = 0
        self._events: list[Event | None] = []
        self._first = 0  # events before this index are gone; the list is cut when half of it is

    def __len__(self) -> int:
        return len(self._events) - self._first

    def append(self, event: Event) -> None:
        assert event.id is not None
        assert event.id > self.last
        self._events.append(event)
        self.last = event.id
        self.retained_bytes += len(event.data)

    def drop_oldest(self) -> None:
        """Let the oldest event go; the floor rises to its id."""
        event = self._events[self._first]
        assert event is not None
        assert event.id is not None
        self._events[self._first] = None
        self._first += 1
        self.floor = event.id
        self.retained_bytes -= len(event.data)
        if self._first * 2 > len(self._events):  # a move of n/2 after n/2 drops: constant per event
            del self._events[: self._first]
            self._first = 0

    @property
    def oldest(self) -> Event | None:
        return self._events[self._first] if len(self) else None

    def after(self, cursor: EventId) -> Iterator[Event]:
        """Events with an id above the cursor, oldest first. To be used up before the log changes."""
        if cursor >= self.last:
            return iter(())
        start = bisect_right(self._events, cursor, lo=self._first, key=_by_id)
        return (self._at(index) for index in range(start, len(self._events)))

    def backwards(self) -> Iterator[Event]:
        """Events newest first. To be used up before the log changes."""
        return (self._at(index) for index in range(len(self._events) - 1, self._first - 1, -1))

    def _at(self, index: int) -> Event:
        event = self._events[index]
        assert event is not None
        return event


class Log:
    """The retained events of all channels, in one order of ids.

    :param origin: the id at which this hub begins; nothing before it is known.
    :param history: events retained for each channel.
    :param history_age: seconds for which an event is retained.
    :param history_bytes: characters of data retained for each channel; the newest event stays, whatever its size.
    :param max_channels: channels known at once; the floors of as many that are forgotten are known, too.
    :param max_retained_bytes: characters of data retained in all, `EVENT_BYTES` added for each event.
    """

    def __init__(
        self,
        origin: EventId,
        *,
        history: int = 1000,
        history_age: float = 3600,
        history_bytes: int = 64 << 20,
        max_channels: int = 100_000,
        max_retained_bytes: int = 1 << 30,
    ) -> None:
        self.head = origin
        """Id of the newest event of all."""
        self.floors = Floors(origin, max_channels)
        self._history = history
        self._history_age_ms = history_age * 1000
        self._history_bytes = history_bytes
        self._max_channels = max_channels
        self._max_retained_bytes = max_retained_bytes
        self.retained = 0
        """Events retained, of all channels."""
        self._data_bytes = 0
        self.evicted = {"channels": 0, "retained_bytes": 0}
        """Channels that had to go, by the limit that they were in the way of."""
        self._channels: OrderedDict[str, Channel] = OrderedDict()  # in the order of their last event
        self._names = SortedList[str]()
        self._order = Order()
        # A heap: for every channel once, a time before which nothing in it can expire. The number tells apart channels
        # of one name; those that have been evicted stand here until they are met, or are more than the others.
        self._due: list[tuple[int, int, Channel]] = []
        self._numbers = count()
        self._latest_ms = 0  # the latest time seen
        self._ahead = EventId(0, 0)  # up to this id the clock was ahead; it was set back at the time that follows
        self._set_back_ms = 0

    def __iter__(self) -> Iterator[Channel]:
        return iter(self._channels.values())

    def __len__(self) -> int:
        return len(self._channels)

    def restart(self, origin: EventId) -> None:
        """Forget everything and begin at this id."""
        self.head = origin
        self.floors.restart(origin)
        self._channels.clear()
        self._names.clear()
        self._order.clear()
        self._due.clear()
        self.retained = self._data_bytes = 0

    def lose(self, name: str, floor: EventId) -> None:
        """Forget the events of a channel, of which those up to the floor are gone."""
        channel = self._channels.get(name)
        if channel is None:
            if floor > self.floors.of(name):
                self.floors.raise_to(name, floor)
        elif floor > channel.floor:
            self._drop_all(channel)
            channel.floor = max(channel.floor, floor)
            channel.last = max(channel.last, floor)
            self.floors.raise_to(name, channel.floor)

    def get(self, name: str) -> Channel | None:
        """The channel of that name, if the log has it."""
        return self._channels.get(name)

    def append(self, event: Event) -> Channel:
        """Put an event at the end of its channel, or only note its channel if it is ephemeral.

        What exceeds the channel's bounds goes.
        """
        channel = self._channels.get(event.channel)
        if channel is None:
            channel = self._channels[event.channel] = Channel(event.channel, self.floors.of(event.channel), event.ms)
            self._names.add(event.channel)
            heappush(self._due, (event.ms, next(self._numbers), channel))
        channel.active_ms = event.ms
        if event.ms > self._latest_ms:
            self._latest_ms = event.ms
        if event.id is not None:
            channel.append(event)
            self._order.append(event)
            self.retained += 1
            self._data_bytes += len(event.data)
            self.head = event.id
            self._channels.move_to_end(event.channel)
            self._trim(channel, event.ms)
        return channel

    def expire(self, now_ms: int) -> list[Channel]:
        """Let go what has become too old; return the channels that were looked at.

        A channel that is empty and quiet for as long is forgotten: the log does not grow with the number of channels
        ever used.
        """
        if now_ms < self._latest_ms - _BACK_MS:
            self._set_back(now_ms)
        self._latest_ms = max(self._latest_ms, now_ms)
        horizon_ms = now_ms - self._history_age_ms
        due = []
        while self._due and self._due[0][0] <= horizon_ms:
            _, number, channel = heappop(self._due)
            if self._channels.get(channel.name) is not channel:
                continue  # it has been evicted
            due.append(channel)
            self._trim(channel, now_ms)
            if channel.oldest is None and channel.active_ms <= horizon_ms:
                self._forget(channel)
            else:
                due_ms = channel.active_ms if channel.oldest is None else self._accepted_ms(channel.oldest)
                heappush(self._due, (due_ms, number, channel))
        return due

    def make_room(self) -> list[Channel]:
        """Let channels go while there are too many, or too much is retained in all; return them. The channel that was
        quiet for longest goes first, and the one that is being used last: of that one, only its oldest events."""
        gone = []
        while len(self._channels) > self._max_channels or (self._overfull and len(self._channels) > 1):
            channel = next(iter(self._channels.values()))
            self.evicted["channels" if len(self._channels) > self._max_channels else "retained_bytes"] += 1
            self._drop_all(channel)
            self._forget(channel)
            gone.append(channel)
        last = next(iter(self._channels.values())) if self._overfull and self._channels else None
        while last is not None and self._overfull and len(last) > 1:
            self._drop(last)
        if gone and len(self._due) > 2 * len(self._channels) + 64:
            self._due = [entry for entry in self._due if self._channels.get(entry[2].name) is entry[2]]
            heapify(self._due)
        return gone if last is None else [*gone, last]

    @property
    def retained_bytes(self) -> int:
        """What is retained in all, each event with `EVENT_BYTES`."""
        return self._data_bytes + self.retained * EVENT_BYTES

    @property
    def _overfull(self) -> bool:
        return self.retained_bytes > self._max_retained_bytes

    def _forget(self, channel: Channel) -> None:
        del self._channels[channel.name]
        self._names.remove(channel.name)

    def _drop_all(self, channel: Channel) -> None:
        while channel.oldest is not None:
            self._drop(channel)

    def _drop(self, channel: Channel) -> None:
        before_bytes = channel.retained_bytes
        oldest = channel.oldest
        assert oldest is not None
        self._order.remove(oldest)
        channel.drop_oldest()
        self.retained -= 1
        self._data_bytes -= before_bytes - channel.retained_bytes
        self.floors.raise_to(channel.name, channel.floor)

    def after(self, subscription: Subscription, cursor: EventId) -> Iterator[Event]:
        """Events above the cursor, by id; those of other channels may be among them. To be used up before the log
        changes."""
        channels = self._few(subscription)
        if channels is None:
            return self._order.after(cursor)
        runs = [channel.after(cursor) for channel in channels if channel.last > cursor]
        return runs[0] if len(runs) == 1 else merge(*runs, key=_by_id)

    def following(self, subscription: Subscription, floor: EventId) -> EventId:
        """The id of the subscription's first retained event above a floor, or the lowest that it can have."""
        for event in islice(self.after(subscription, floor), _LOOK):
            if subscription.covers(event.channel) and event.id is not None:
                return event.id
        return floor.next()

    def start(self, subscription: Subscription) -> EventId:
        """A cursor after which every retained event of the subscription comes."""
        channels = self._few(subscription)
        oldest = [self._order.oldest] if channels is None else [channel.oldest for channel in channels]
        ids = [event.id for event in oldest if event is not None and event.id is not None]
        return min(ids).preceding() if ids else self.head

    def back(self, subscription: Subscription, count: int, most: int) -> EventId | None:
        """The cursor after which the last `count` wanted events of the subscription come; None if there are fewer.

        :param most: how many events are looked at; if few are wanted, fewer than `count` may then be found.
        """
        channels = self._few(subscription)
        events = self._order.backwards() if channels is None else _newest_first(channels)
        found = 0
        for looked_at, event in enumerate(events):
            if found == count or looked_at == most:
                assert event.id is not None
                return event.id
            found += subscription.covers(event.channel) and subscription.wants(event)
        return None

    def _few(self, subscription: Subscription) -> Sequence[Channel] | None:
        """The subscription's channels; None if there may be so many that it is better not to look at each."""
        if subscription.exact:
            channels = map(self._channels.get, subscription.names)
            granted = subscription.granted
            return [c for c in channels if c is not None and (granted is None or subscription.covers(c.name))]
        names: set[str] = set()
        for key in keys(subscription):
            prefix = literals(key)[0] if "*" in key else ""
            if "*" not in key:
                names.update([key] if key in self._channels else [])
            elif self._names.bisect_right(prefix + _LAST) - self._names.bisect_left(prefix) > _FEW - len(names):
                return None
            else:
                names.update(self._names.irange(prefix, prefix + _LAST))
        return [self._channels[name] for name in names if subscription.covers(name)]

    def _trim(self, channel: Channel, now_ms: int) -> None:
        horizon = now_ms - self._history_age_ms
        while (oldest := channel.oldest) is not None and (
            len(channel) > self._history
            or self._accepted_ms(oldest) <= horizon
            or (channel.retained_bytes > self._history_bytes and len(channel) > 1)
        ):
            self._drop(channel)

    def _accepted_ms(self, event: Event) -> int:
        """When the event was accepted, by a clock that was right."""
        if event.ms <= self._set_back_ms or event.id is None or event.id > self._ahead:
            return event.ms
        return self._set_back_ms

    def _set_back(self, now_ms: int) -> None:
        self._ahead, self._set_back_ms, self._latest_ms = self.head, now_ms, now_ms
        for channel in self._channels.values():
            channel.active_ms = min(channel.active_ms, now_ms)
        self._due = [(min(due_ms, now_ms), number, channel) for due_ms, number, channel in self._due]
        heapify(self._due)


def _newest_first(channels: Sequence[Channel]) -> Iterator[Event]:
    """The events of these channels, newest first. To be used up before the log changes."""
    runs = [channel.backwards() for channel in channels if len(channel)]
    return merge(*runs, key=_by_id, reverse=True)
