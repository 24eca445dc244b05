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

from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence
from heapq import heapify, heappop, heappush, merge
from itertools import count, islice
from operator import attrgetter
from typing import Any, NamedTuple

from sortedcontainers import SortedList

from .channel import Channel
from .events import Event, EventId, literals
from .floors import Floors
from .order import Order
from .subscription import Subscription, keys

__all__ = ["EVENT_BYTES", "Channel", "Expired", "Log"]

EVENT_BYTES = 512
"""Approximate cost of an event besides its data: objects, frame, places in lists. It counts for the limit in all, so
that empty that empty events have one, too."""
_BACK_MS = 1000
"""A clock that goes back by more than this was set; by less, it is being slewed."""

_FEW = 1000
"""Channels whose lists are merged for a page. Those of a broader pattern are read from the order of all events."""
_LOOK = 500
"""Events looked at to say which one comes first."""
_STEP = 2000
"""Events that one step of expiring drops or clears away, in about 3 ms."""
_STEP_OF_APPEND = 64
"""The same for one publish. A publish adds one event and drops more than one, so any excess shrinks."""
_LAST = chr(0x10FFFF)

_by_id = attrgetter("id")


class Expired(NamedTuple):
    """The result of a step of expiring."""

    channels: Sequence[str]
    """Channels that were forgotten."""
    more: bool
    """Whether there is more to expire."""


class Log:
    """The retained events of all channels, in one order of ids.

    :param origin: the id at which this hub begins. Nothing before it is known.
    :param history: events retained for each channel.
    :param history_age: seconds for which an event is retained.
    :param history_bytes: characters of data retained for each channel. The newest event always stays.
    :param max_channels: channels known at once. The floors of the same number of forgotten channels are known, too.
    :param max_retained_bytes: characters of data retained in all channels together, plus `EVENT_BYTES` for each event.
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
        """The number of evicted channels, by the limit for which they were evicted."""
        self._channels: OrderedDict[str, Channel] = OrderedDict()  # in the order of their last event
        self._names = SortedList[str]()
        self._order = Order()
        self._detached: list[list[Event | None]] = []  # dropped events that are still in the order
        self._discarded: list[list[Any]] = []  # lists of an earlier log, to be emptied in steps
        # A heap with one entry for every channel: a time before which nothing in it can expire. The number
        # distinguishes channels of one name. Entries of evicted channels stay until they are met or are the majority.
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
        self._discarded += [*self._order.detach(), *(channel.detach() for channel in self._channels.values())]
        self._detached.clear()
        self._channels.clear()
        self._names.clear()
        self._due.clear()
        self.retained = self._data_bytes = 0

    def lose(self, name: str, floor: EventId) -> None:
        """Note that the events of a channel up to the floor are gone; forget its older events."""
        channel = self._channels.get(name)
        if channel is None:
            if floor > self.floors.of(name):
                self.floors.raise_to(name, floor)
        elif floor > channel.floor:
            self._detach(channel)
            channel.floor = max(channel.floor, floor)
            channel.last = max(channel.last, floor)
            self.floors.raise_to(name, channel.floor)

    def get(self, name: str) -> Channel | None:
        """The channel of that name, if the log has it."""
        return self._channels.get(name)

    def names(self, after: str, most: int) -> list[str]:
        """Names of channels, sorted, beginning after a name."""
        return list(islice(self._names.irange(after, inclusive=(False, True)), most))

    def append(self, event: Event) -> Channel:
        """Add an event to its channel and drop events that exceed the channel's limits. Of an ephemeral event, only the
        channel is noted."""
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
            self._trim(channel, event.ms, _STEP_OF_APPEND)
            if self._detached or self._discarded:
                self._clear_away(_STEP_OF_APPEND)
        return channel

    def expire(self, now_ms: int) -> Expired:
        """Drop some of the events that are too old.

        A channel that is empty and has been quiet for that time is forgotten, so that the log does not grow with the
        number of channels ever used.
        """
        if now_ms < self._latest_ms - _BACK_MS:
            self._set_back(now_ms)
        self._latest_ms = max(self._latest_ms, now_ms)
        left = _STEP - self._clear_away(_STEP)
        horizon_ms = now_ms - self._history_age_ms
        forgotten = []
        while left > 0 and self._due and self._due[0][0] <= horizon_ms:
            _, number, channel = heappop(self._due)
            if self._channels.get(channel.name) is not channel:
                continue  # it has been evicted
            left -= 1 + self._trim(channel, now_ms, left)
            if channel.oldest is None and channel.active_ms <= horizon_ms:
                self._forget(channel)
                forgotten.append(channel.name)
            else:
                due_ms = channel.active_ms if channel.oldest is None else self._accepted_ms(channel.oldest)
                heappush(self._due, (due_ms, number, channel))
        return Expired(forgotten, left <= 0)

    def make_room(self) -> Sequence[str]:
        """Evict channels while there are too many channels or bytes; return their names. The channel that was quiet for
        longest goes first. The last channel stays and loses only its oldest events."""
        gone = []
        while len(self._channels) > self._max_channels or (self._overfull and len(self._channels) > 1):
            channel = next(iter(self._channels.values()))
            self.evicted["channels" if len(self._channels) > self._max_channels else "retained_bytes"] += 1
            self._detach(channel)
            self._forget(channel)
            gone.append(channel.name)
        last = next(iter(self._channels.values())) if self._overfull and self._channels else None
        while last is not None and self._overfull and len(last) > 1:
            self._drop(last)
        if gone and len(self._due) > 2 * len(self._channels) + 64:
            self._due = [entry for entry in self._due if self._channels.get(entry[2].name) is entry[2]]
            heapify(self._due)
        return gone

    @property
    def retained_bytes(self) -> int:
        """The bytes of all retained events, each with `EVENT_BYTES`."""
        return self._data_bytes + self.retained * EVENT_BYTES

    @property
    def _overfull(self) -> bool:
        return self.retained_bytes > self._max_retained_bytes

    def _forget(self, channel: Channel) -> None:
        del self._channels[channel.name]
        self._names.remove(channel.name)

    def _detach(self, channel: Channel) -> None:
        """Drop all events of a channel at once. `_clear_away` removes them from the order, a few at a time."""
        if not len(channel):
            return
        self.retained -= len(channel)
        self._data_bytes -= channel.retained_bytes
        self._detached.append(channel.detach())
        self.floors.raise_to(channel.name, channel.floor)

    def _clear_away(self, most: int) -> int:
        """Clear away some of the dropped events; return their number."""
        cleared = 0
        while self._detached and cleared < most:
            events = self._detached[-1]
            while events and cleared < most:
                event = events.pop()
                if event is not None:
                    self._order.remove(event)
                    cleared += 1
            if not events:
                self._detached.pop()
        while self._discarded and cleared < most:
            some = self._discarded[-1]
            size = min(len(some), most - cleared)
            del some[len(some) - size :]
            cleared += max(size, 1)
            if not some:
                self._discarded.pop()
        return cleared

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
        """Events above the cursor, by id. Events of other channels may be among them. Use the iterator before the log
        changes."""
        channels = self._few(subscription)
        if channels is None:
            return self._here(self._order.after(cursor))
        runs = [channel.after(cursor) for channel in channels if channel.last > cursor]
        return runs[0] if len(runs) == 1 else merge(*runs, key=_by_id)

    def _here(self, events: Iterator[Event]) -> Iterator[Event]:
        """Those of these events that are not dropped."""
        return filter(self._is_here, events) if self._detached else events

    def _is_here(self, event: Event) -> bool:
        channel = self._channels.get(event.channel)
        return channel is not None and event.id is not None and event.id > channel.floor

    def may_have_given(self, cursor: EventId) -> bool:
        """Whether this log has given the cursor to a subscriber, as far as it can know.

        Above the highest floor it has every id that it ever gave: another one is of an earlier log, whose clock was
        ahead. A cursor that a stream has begun with may also be the one immediately before an event.
        """
        return cursor <= self.head and (cursor <= self.floors.top or cursor == self.head or self._order.holds(cursor))

    def following(self, subscription: Subscription, floor: EventId) -> EventId:
        """The id of the subscription's first retained event above a floor, or the lowest id that it can have."""
        for event in islice(self.after(subscription, floor), subscription.share_of(_LOOK)):
            if subscription.covers(event.channel) and event.id is not None:
                return event.id
        return floor.next()

    def start(self, subscription: Subscription) -> EventId:
        """A cursor below every retained event of the subscription."""
        channels = self._few(subscription)
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
        channels = self._few(subscription)
        return self._here(self._order.backwards(before)) if channels is None else _newest_first(channels, before)

    def _few(self, subscription: Subscription) -> Sequence[Channel] | None:
        """The subscription's channels. None if there may be too many to look at each."""
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

    def _trim(self, channel: Channel, now_ms: int, most: int) -> int:
        """Drop at most `most` events that exceed the channel's limits; return their number."""
        horizon = now_ms - self._history_age_ms
        dropped = 0
        while (
            dropped < most
            and (oldest := channel.oldest) is not None
            and (
                len(channel) > self._history
                or self._accepted_ms(oldest) <= horizon
                or (channel.retained_bytes > self._history_bytes and len(channel) > 1)
            )
        ):
            self._drop(channel)
            dropped += 1
        return dropped

    def _accepted_ms(self, event: Event) -> int:
        """The time at which the event was accepted, corrected if the clock was ahead."""
        if event.ms <= self._set_back_ms or event.id is None or event.id > self._ahead:
            return event.ms
        return self._set_back_ms

    def _set_back(self, now_ms: int) -> None:
        self._ahead, self._set_back_ms, self._latest_ms = self.head, now_ms, now_ms
        for channel in self._channels.values():
            channel.active_ms = min(channel.active_ms, now_ms)
        self._due = [(min(due_ms, now_ms), number, channel) for due_ms, number, channel in self._due]
        heapify(self._due)


def _newest_first(channels: Sequence[Channel], before: EventId | None) -> Iterator[Event]:
    """The events of these channels, newest first. Use the iterator before the log changes."""
    runs = [channel.backwards(before) for channel in channels if len(channel)]
    return merge(*runs, key=_by_id, reverse=True)
