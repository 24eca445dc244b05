"""The log: the last events of every channel, the position of a cursor in them, and the lost events.

Each channel keeps its events in id order, bounded by count, age and bytes as its rule says; all together are bounded,
too. A channel that has ended is kept whole for a while, and then forgotten whole. A cursor at or above a channel's
floor (floors.py) can be served without loss, one below it has lost events.

This module adds events and drops them; reading.py, a part of the log, reads them. Nothing here looks at every channel,
and nothing reads a clock: time is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from .channel import Channel, Expired
from .due import Due
from .ends import End, reason_of
from .events import END, Event, EventId
from .reading import Reading
from .rules import Rules
from .times import Times

__all__ = ["EVENT_BYTES", "Channel", "Expired", "Log"]

EVENT_BYTES = 512
"""Approximate bytes of an event besides its data, so that the limit of all bytes also limits empty events."""

_STEP = 2000
"""Events that one step of expiring drops or clears away, in about 3 ms."""
_STEP_OF_APPEND = 16
"""The same for one publish. It adds one event and may drop more than one, so any excess shrinks. A batch publishes
hundreds of events in one turn of the event loop."""


class Log(Reading):
    """The retained events of all channels, in one order of ids.

    :param origin: the id at which this hub begins; nothing before it is known.
    :param rules: what is retained of each channel.
    :param most_events: events of each channel that this log keeps, if the store keeps the others; None for all.
    :param max_channels: channels known at once; the floors of as many that are forgotten are known, too.
    :param max_retained_bytes: characters of data retained in all, `EVENT_BYTES` added for each event.
    """

    def __init__(
        self,
        origin: EventId,
        rules: Rules | None = None,
        *,
        most_events: int | None = None,
        max_channels: int = 100_000,
        max_retained_bytes: int = 1 << 30,
    ) -> None:
        super().__init__(origin, max_channels)
        self.rules = Rules() if rules is None else rules
        self._most_events = most_events
        self._version = self.rules.version
        self._unreviewed: list[Channel] = []  # channels whose rule may have changed
        self._max_channels = max_channels
        self._max_retained_bytes = max_retained_bytes
        self.retained = 0
        """Events retained, of all channels."""
        self._data_bytes = 0
        self.evicted = {"channels": 0, "retained_bytes": 0}
        """The number of evicted channels, by the limit for which they were evicted."""
        self._due = Due[Channel]()  # a time before which nothing in the channel expires; no entry if nothing ever does
        self._runs: set[Channel] = set()  # channels that will end, by their rule, and have not ended
        self._times = Times()

    def restart(self, origin: EventId) -> None:
        """Forget everything and begin at this id."""
        self.head = origin
        self.floors.restart(origin)
        self._clearing.replace([*self._order.detach(), *(channel.detach() for channel in self._channels.values())])
        self._channels.clear()
        self._names.clear()
        self._due.clear()
        self._runs.clear()
        self.retained = self._data_bytes = 0

    def lose(self, floors: Mapping[str, EventId]) -> None:
        """Note that the events of these channels up to the floors are gone; forget their older events."""
        unknown = {}
        for name, floor in floors.items():
            channel = self._channels.get(name)
            if channel is None:
                if floor > self.floors.of(name):
                    unknown[name] = floor
            elif floor > channel.floor:
                self._detach(channel)
                channel.floor = max(channel.floor, floor)
                channel.last = max(channel.last, floor)
                self.floors.raise_to(name, channel.floor)
        self.floors.raise_all(unknown)

    def forget(self, name: str, floor: EventId) -> None:
        """Forget a channel, its end included. Events above the floor are a new beginning."""
        channel = self._channels.get(name)
        if channel is not None:
            self._reset(channel)
            self._forget(channel)
        self.floors.raise_to(name, max(floor, self.floors.of(name)), anew=True)

    @property
    def open_runs(self) -> int:
        """The number of channels that have a rule about ends, have events and have not ended."""
        return len(self._runs)

    def append(self, event: Event) -> Channel:
        """Add an event to its channel and drop events that exceed the channel's limits. Of an ephemeral event, only the
        channel is noted."""
        channel = self._channels.get(event.channel)
        if channel is None:
            name = event.channel
            channel = self._channels[name] = Channel(name, self.floors.of(name), self.rules.of(name), event.ms)
            self._names.add(name)
        times, ms = self._times, event.ms
        channel.active_ms = ms if ms <= times.limit_ms else times.limit_ms
        if ms > times.latest_ms:
            times.latest_ms = ms
        if event.id is not None:
            if channel.end is not None:  # the store has forgotten the channel a moment before this log
                self._reset(channel)
            channel.append(event)
            self._order.append(event)
            self.retained += 1
            self._data_bytes += len(event.data)
            self.head = event.id
            self._given.note(event.id)
            self._channels.move_to_end(event.channel)
            self._note_run(channel, event)
            self._trim(channel, event.ms, _STEP_OF_APPEND)
            if self._clearing:
                self._clearing.clear(_STEP_OF_APPEND)
        if channel not in self._due or channel.end is not None:
            self._set_due(channel)
        return channel

    def _note_run(self, channel: Channel, event: Event) -> None:
        if event.type == END and (reason := reason_of(event)) is not None:
            assert event.id is not None
            channel.end = End(event.id, reason)
            self._runs.discard(channel)
        elif channel.rule.is_for_runs:
            self._runs.add(channel)

    def expire(self, now_ms: int) -> Expired:
        """Drop some of the events that are too old.

        A channel that has been empty and quiet for as long is forgotten, so the log does not grow with the number of
        channels ever used. A channel whose end is old enough is forgotten, too.
        """
        if self._times.note_own(now_ms, self.head):
            for each in self._channels.values():
                each.active_ms = min(each.active_ms, now_ms)
            self._due.bring_forward(now_ms)
        left = _STEP - self._clearing.clear(_STEP)
        left -= self._review(left)
        forgotten = []
        while left > 0 and (channel := self._due.pop(now_ms)) is not None:
            left -= 1
            if channel.end is not None and self._due_ms(channel) <= now_ms:
                self._reset(channel)
            else:
                left -= self._trim(channel, now_ms, left)
                if channel.oldest is not None or self._due_ms(channel) > now_ms:
                    self._set_due(channel)
                    continue
            self._forget(channel)
            forgotten.append(channel.name)
        return Expired(forgotten, left <= 0)

    def _review(self, most: int) -> int:
        """After the rules were replaced, give some channels their new rule, and let them be due; return the cost."""
        if self._version != self.rules.version:
            self._version, self._unreviewed = self.rules.version, list(self._channels.values())
        begin = max(len(self._unreviewed) - max(most // self.rules.cost, 1), 0)
        some, self._unreviewed = self._unreviewed[begin:], self._unreviewed[:begin]
        for channel in some:
            if self._channels.get(channel.name) is channel:
                channel.rule = self.rules.of(channel.name)
                self._due.at(channel, 0)
        return len(some) * self.rules.cost

    def _set_due(self, channel: Channel) -> None:
        """Let the channel be due when something in it may expire: never, while its last event is kept for ever."""
        due_ms = self._due_ms(channel)
        if due_ms != inf:
            self._due.by(channel, due_ms)

    def _due_ms(self, channel: Channel) -> float:
        """A time before which nothing in the channel expires. It is not that of an event whose clock is ahead of ours:
        nothing would bring it forward when that clock is right again."""
        oldest, newest = channel.oldest, channel.newest
        if oldest is None or newest is None:
            return channel.active_ms + channel.rule.history_age_ms
        if channel.end is not None:
            return min(self._accepted_ms(newest), self._times.limit_ms) + channel.rule.end_age_ms
        if len(channel) <= channel.rule.least:
            return inf
        return min(self._accepted_ms(oldest), self._times.limit_ms) + channel.rule.history_age_ms

    def make_room(self) -> Sequence[str]:
        """Evict channels while there are too many channels or bytes; return their names. The channel that was quiet for
        longest goes first. The last channel stays and loses only its oldest events."""
        if len(self._channels) <= self._max_channels and not self._overfull:
            return ()
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
        self._due.discard(channel)
        self._runs.discard(channel)

    def _reset(self, channel: Channel) -> None:
        """Drop all events of a channel, which begins anew."""
        self._detach(channel)
        channel.end = None
        self.floors.raise_to(channel.name, channel.floor, anew=True)

    def _detach(self, channel: Channel) -> None:
        """Drop all events of a channel at once. `Clearing.clear` removes them from the order, a few at a time."""
        if not len(channel):
            return
        self.retained -= len(channel)
        self._data_bytes -= channel.retained_bytes
        self._runs.discard(channel)
        self._clearing.add(channel.detach())
        self.floors.raise_to(channel.name, channel.floor)

    def _drop(self, channel: Channel) -> None:
        before_bytes = channel.retained_bytes
        oldest = channel.oldest
        assert oldest is not None
        self._order.remove(oldest)
        channel.drop_oldest()
        self.retained -= 1
        self._data_bytes -= before_bytes - channel.retained_bytes
        self.floors.raise_to(channel.name, channel.floor)

    def _trim(self, channel: Channel, now_ms: int, most: int) -> int:
        """Drop at most `most` events that exceed the channel's bounds; return how many. An end stays, and while it
        stays, no event expires by age."""
        rule, ended = channel.rule, channel.end is not None
        least = 1 if ended else rule.least
        history = max(rule.history if self._most_events is None else min(rule.history, self._most_events), least)
        horizon = -inf if ended else now_ms - rule.history_age_ms
        dropped = 0
        while (
            dropped < most
            and (oldest := channel.oldest) is not None
            and (
                len(channel) > history
                or (self._accepted_ms(oldest) <= horizon and len(channel) > least)
                or (channel.retained_bytes > rule.history_bytes and len(channel) > 1)
            )
        ):
            self._drop(channel)
            dropped += 1
        return dropped

    def _accepted_ms(self, event: Event) -> int:
        return self._times.accepted_ms(event.id, event.ms)
