"""Subscribers with equal subscriptions, in groups that share their bytes. Only the hub changes them; see hub.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

from .conflation import NewestEvents, Released
from .ends import End
from .events import END, LOWEST_ID, Event, EventId
from .ports import Connection, Finish
from .subscription import Subscription
from .wire import SharedStream, encode, wrap

__all__ = ["Audience", "Group", "Joiner", "StartPosition", "State", "Subscriber"]


class State(Enum):
    LIVE = "live"
    BEHIND = "behind"
    GONE = "gone"


class StartPosition(NamedTuple):
    """The position in the log at which a subscriber begins."""

    cursor: EventId
    lost: bool = False
    """Whether events after its own cursor are gone."""
    floors: Mapping[str, EventId] = MappingProxyType({})
    """The floors of a store above the cursor, as in `ports.Page`. The subscriber is informed of them at its start."""
    losses: int | None = None
    """The number of the log's last rise at that moment; None if the pages of a store report later losses."""
    first: Sequence[Event] = ()
    """Events that it gets first, in id order; none has an id above the cursor."""
    end: End | None = None
    """How the channel has ended, if the subscriber follows exactly one."""

    @property
    def shown(self) -> EventId:
        """The cursor with which its client may come back before it has got an event."""
        return self.first[0].id.preceding() if self.first and self.first[0].id is not None else self.cursor


class Subscriber:
    """The position of one connection in the log."""

    __slots__ = (
        "_handed_bytes",
        "complete",
        "cursor",
        "finish",
        "first",
        "group",
        "informed",
        "losses",
        "lost",
        "replayed",
        "resumed",
        "state",
        "write",
    )

    def __init__(self, group: Group, connection: Connection, start: StartPosition, losses: int) -> None:
        self.state = State.BEHIND
        self.cursor = start.cursor
        """While BEHIND, the id of the last event that was written to it."""
        self.lost = start.lost
        """Whether events after its first cursor were gone."""
        self.resumed = False
        """Whether it gave a cursor and has lost nothing."""
        self.replayed: int | None = None
        """Events handed to it before it was first LIVE; None if no replay was asked for."""
        self.first = start.first
        """The events that it gets first, as far as it has not got them."""
        self.group = group
        self.write = connection.write
        self.finish: Finish = connection.finish
        self.losses = losses
        """The number of the last rise of a floor of which it has been informed."""
        self.complete: int | None = None
        """The number of a rise. Floors that had risen before are not above the cursor. None while that is unknown."""
        self.informed = start.floors
        """The floors of a store of which it has been informed."""
        self._handed_bytes = 0

    @property
    def subscription(self) -> Subscription:
        return self.group.subscription

    @property
    def handed_bytes(self) -> int:
        """Bytes that the hub has written to its connection."""
        return self._handed_bytes + (self.group.flushed_bytes if self.state is State.LIVE else 0)

    def count(self, size_bytes: int) -> None:
        """Count bytes that were written to this subscriber only."""
        self._handed_bytes += size_bytes


class Group:
    """A part of an audience, and the bytes for it in this turn of the event loop. The hub limits its size."""

    __slots__ = (
        "audience",
        "ending",
        "flushed_bytes",
        "live",
        "members",
        "pending",
        "pending_bytes",
        "pending_events",
    )

    def __init__(self, audience: Audience) -> None:
        self.audience = audience
        self.ending = False
        """Whether the streams of its LIVE subscribers end after the pending bytes."""
        self.live: list[Subscriber] = []
        """A group is small, so a list is searched fast enough. A dict for one subscriber would take 130 bytes more."""
        self.members = 0
        self.pending: list[bytes] = []
        """Frames. In a shared stream, the segments that its flushes have made."""
        self.pending_bytes = 0
        self.pending_events = 0
        self.flushed_bytes = 0

    @property
    def subscription(self) -> Subscription:
        return self.audience.subscription

    def take_pending(self) -> bytes:
        """Return the group's bytes for the transport and leave nothing pending."""
        if self.audience.shared is None:
            data = wrap(self.subscription, self.pending)
        else:
            self.audience.flush_shared()
            data = b"".join(self.pending)
        self.pending = []
        self.pending_bytes = self.pending_events = 0
        return data

    @property
    def is_pending(self) -> bool:
        """Whether a flush has anything to do."""
        return bool(self.pending_bytes or self.ending or self.joining)

    @property
    def joining(self) -> Mapping[Subscriber, Joiner]:
        """See `Gathered.joining`."""
        gathered = self.audience.gathered
        return _NOBODY if gathered is None else gathered.joining.get(self, _NOBODY)


class Joiner(NamedTuple):
    """A subscriber that was fresh at the last release."""

    cursor: EventId
    notices: bytes = b""
    """Bytes that are not an event, for after the release."""


_NOBODY: Mapping[Subscriber, Joiner] = MappingProxyType({})


class Gathered:
    """The part of an audience that only conflation needs. Ten thousand audiences without conflation do without it."""

    __slots__ = ("events", "fresh", "joining", "losses", "reached", "released")

    def __init__(self, subscription: Subscription) -> None:
        self.events = NewestEvents(subscription)
        """The events for the next release."""
        self.released: Released | None = None
        """The last release, while some of its joiners have not got it."""
        self.fresh: dict[Subscriber, EventId] = {}
        """LIVE subscribers that have read some of these events, each up to this id."""
        self.joining: dict[Group, dict[Subscriber, Joiner]] = {}
        """By group, subscribers that get a part of the last release in place of the pending bytes. Each part is made
        when it is written: together, 500 large parts would take a gigabyte."""
        self.reached = LOWEST_ID
        """The head of the log at the last release."""
        self.losses = 0
        """The number of the log's last rise at that moment."""

    @property
    def waiting(self) -> list[Subscriber]:
        """The LIVE subscribers that do not get the bytes of their group yet."""
        return [*(subscriber for some in self.joining.values() for subscriber in some), *self.fresh]

    def discard(self, subscriber: Subscriber) -> None:
        """Note that a subscriber is not LIVE any more."""
        self.fresh.pop(subscriber, None)
        some = self.joining.get(subscriber.group, {})
        some.pop(subscriber, None)
        if not some:
            self.joining.pop(subscriber.group, None)
        if not self.joining:
            self.released = None

    def add_notice(self, data: bytes) -> None:
        """Give bytes that are not an event to the subscribers that wait."""
        for subscriber in self.fresh:
            subscriber.write(data)
        for some in self.joining.values():
            for subscriber, joiner in some.items():
                some[subscriber] = joiner._replace(notices=joiner.notices + data)

    def release(self, subscription: Subscription, head: EventId) -> Released:
        """Return the gathered events, up to the log's head. Fresh subscribers get those that they have not read."""
        released = Released(subscription, self.events.take())
        for subscriber, cursor in self.fresh.items():
            self.joining.setdefault(subscriber.group, {})[subscriber] = Joiner(cursor)
            self.released = released
        self.fresh, self.reached = {}, head
        return released


class Audience:
    """All subscribers of one subscription.

    :param shared: their common deflate stream. None without compression.
    """

    __slots__ = ("gathered", "groups", "has_ended", "is_ending", "members", "shared", "subscription")

    def __init__(self, subscription: Subscription, shared: SharedStream | None = None) -> None:
        self.subscription = subscription
        self.shared = shared
        self.groups: list[Group] = []
        self.members = 0
        self.gathered = Gathered(subscription) if subscription.conflate_ms else None
        """The events for the next release, if the subscription conflates."""
        self.has_ended = False
        """Whether the gathered events hold the channel's end."""
        self.is_ending = False
        """Whether the streams of a group end after its pending bytes."""

    @property
    def interval_ms(self) -> int:
        """Milliseconds between two releases."""
        return self.subscription.conflate_ms

    @property
    def has_gathered(self) -> bool:
        """Whether there is anything for the next release. A plain stream gets no event `end`, but it ends there."""
        return self.gathered is not None and (len(self.gathered.events) > 0 or self.has_ended)

    @property
    def live(self) -> list[Subscriber]:
        """The LIVE subscribers."""
        in_groups = [subscriber for group in self.groups for subscriber in group.live]
        return in_groups if self.gathered is None else [*in_groups, *self.gathered.waiting]

    def add(self, event: Event, *, wanted: bool = False) -> None:
        """Add an event of a channel that the subscription covers.

        :param wanted: whether it is known that the subscription wants it.
        """
        subscription = self.subscription
        if wanted or subscription.wants(event):
            if self.gathered is not None:
                self.gathered.events.add(event)
            else:
                self._add(encode(subscription, event), events=1)
        if event.type == END and subscription.only is not None:
            self.has_ended = True
            if self.gathered is None:
                self._end()

    def add_notice(self, data: bytes) -> None:
        """Add bytes that are not an event."""
        self._add(data, events=0)
        if self.gathered is not None:
            self.gathered.add_notice(wrap(self.subscription, [data]))

    def release(self, head: EventId) -> None:
        """Add the gathered events, up to the log's head."""
        if self.gathered is not None:
            released = self.gathered.release(self.subscription, head)
            if len(released):
                self._add(released.data, events=len(released))
        if self.has_ended:
            self._end()

    def _end(self) -> None:
        """Let the streams of all LIVE subscribers end after the pending bytes."""
        self.has_ended = False
        for group in self.groups:
            group.ending = bool(group.live or group.joining)
            self.is_ending |= group.ending

    def _add(self, data: bytes, events: int) -> None:
        shared = False
        for group in self.groups:
            if group.live:
                if self.shared is None:
                    group.pending.append(data)
                group.pending_bytes += len(data)
                group.pending_events += events
                shared = True
        if shared and self.shared is not None:
            self.shared.add(data)

    def flush_shared(self) -> None:
        """Compress the added frames for all groups. A shared stream has to be flushed for all its readers at once."""
        segment = b"" if self.shared is None else self.shared.flush()
        for group in self.groups if segment else ():
            if group.live:
                group.pending.append(segment)

    def reset_shared(self) -> None:
        """Begin the shared stream again with a key frame, for a reader that has not read it so far."""
        if self.shared is not None:
            self.shared.reset()
