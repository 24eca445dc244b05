"""Subscribers with equal subscriptions, in groups that share their bytes. Only the hub changes them; see hub.py."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

from .conflation import Frames
from .ends import End
from .events import END, LOWEST_ID, Event, EventId
from .ports import Connection, Finish
from .routing import Router
from .subscription import Subscription
from .wire import Compressors, SharedStream, encode, wrap

__all__ = ["Audience", "Audiences", "Group", "StartPosition", "State", "Subscriber"]


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
    def joining(self) -> Mapping[Subscriber, bytes]:
        """See `Gathered.joining`."""
        gathered = self.audience.gathered
        return _NOBODY if gathered is None else gathered.joining.get(self, _NOBODY)


_NOBODY: Mapping[Subscriber, bytes] = MappingProxyType({})


class Gathered:
    """The part of an audience that only conflation needs. Ten thousand audiences without conflation do without it."""

    __slots__ = ("frames", "fresh", "joining", "losses", "reached")

    def __init__(self, subscription: Subscription) -> None:
        self.frames = Frames(subscription)
        """The events for the next release."""
        self.fresh: dict[Subscriber, EventId] = {}
        """LIVE subscribers that have read some of these events, each up to this id."""
        self.joining: dict[Group, dict[Subscriber, bytes]] = {}
        """By group, subscribers that were fresh at the last release, and the bytes that each gets in place of the
        pending ones."""
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

    def add_notice(self, data: bytes) -> None:
        """Give bytes that are not an event to the subscribers that wait."""
        for subscriber in self.fresh:
            subscriber.write(data)
        for some in self.joining.values():
            for subscriber in some:
                some[subscriber] += data

    def release(self, subscription: Subscription, head: EventId) -> Sequence[bytes]:
        """Return the frames of the gathered events, up to the log's head. Fresh subscribers get those that they have
        not read."""
        frames = self.frames.take()
        own: dict[EventId, bytes] = {}  # many have joined in the same moment
        for subscriber, cursor in self.fresh.items():
            if cursor not in own:
                own[cursor] = wrap(subscription, [data for id, data in frames if id is None or id > cursor])
            self.joining.setdefault(subscriber.group, {})[subscriber] = own[cursor]
        self.fresh, self.reached = {}, head
        return [data for _, data in frames]


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
        return self.gathered is not None and (len(self.gathered.frames) > 0 or self.has_ended)

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
                self.gathered.frames.add(event)
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
        for data in () if self.gathered is None else self.gathered.release(self.subscription, head):
            self._add(data, events=1)
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


class Audiences:
    """All audiences, and the way from a channel to its audiences.

    :param most: subscribers in a group.
    :param router: finds the audiences of an event; by default, by its channel.
    """

    def __init__(self, most: int, router: Router[Audience] | None = None) -> None:
        self._most = most
        self._audiences: dict[Subscription, Audience] = {}
        self._unshared: dict[Audience, None] = {}
        self._router = Router[Audience]() if router is None else router
        self._compressors = Compressors()
        self.changed: dict[Subscription, None] | None = None
        """The subscriptions whose audiences have changed. A reader empties it; without a reader it is None."""

    def __iter__(self) -> Iterator[Audience]:
        return iter(self._audiences.values())

    def __len__(self) -> int:
        return len(self._audiences)

    def concerned(self, channel: str) -> Sequence[Audience]:
        """The audiences whose subscription covers the channel."""
        return self._router.route(channel)

    @property
    def are_decided(self) -> bool:
        """Whether `concerned_by` finds only audiences that want the event."""
        return self._router.decides

    def concerned_by(self, event: Event) -> Collection[Audience]:
        """The audiences that may want the event."""
        return self._router.route_event(event)

    def forget(self, channel: str) -> None:
        """Forget the route of a channel that is no longer used."""
        self._router.forget(channel)

    def channels(self, after: str, most: int) -> list[str]:
        """Names of channels that are subscribed to by name, sorted, beginning after a name."""
        return self._router.names(after, most)

    def unshared(self) -> list[Audience]:
        """The audiences that wait to join a shared stream."""
        return list(self._unshared)

    def enter(self, subscription: Subscription) -> Group:
        """Add a member to a group of this subscription's audience; return the group."""
        audience = self._audiences.get(subscription)
        if audience is None:
            is_shared = subscription.gzip and not subscription.unshared
            stream = SharedStream(self._compressors, subscription) if is_shared else None
            audience = self._audiences[subscription] = Audience(subscription, stream)
            self._router.add(audience)
            if subscription.unshared:
                self._unshared[audience] = None
        group = next((group for group in reversed(audience.groups) if group.members < self._most), None)
        if group is None:
            group = Group(audience)
            audience.groups.append(group)
        group.members += 1
        audience.members += 1
        self._note_changed(subscription)
        return group

    def leave(self, group: Group) -> bool:
        """Remove a member from a group; return whether the group is gone because it was the last one."""
        audience = group.audience
        group.members -= 1
        audience.members -= 1
        self._note_changed(audience.subscription)
        if group.members:
            return False
        audience.groups.remove(group)
        if not audience.groups:
            del self._audiences[audience.subscription]
            self._unshared.pop(audience, None)
            self._router.remove(audience)
            audience.reset_shared()
        return True

    def members(self, subscription: Subscription) -> int:
        """The number of subscribers with this subscription."""
        audience = self._audiences.get(subscription)
        return 0 if audience is None else audience.members

    def _note_changed(self, subscription: Subscription) -> None:
        if self.changed is not None:
            self.changed[subscription] = None
