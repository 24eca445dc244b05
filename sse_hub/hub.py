"""The hub: who is subscribed, and how the log's bytes reach them. Theory of operation.

A subscriber has no queue. The log is the queue, and the subscriber's cursor is its place in it. It is in one of two
states:

LIVE
    It has everything up to the log's head but what its group holds for this turn. Each flush hands it its group's bytes
    by a plain call, which says whether its connection can take more.
BEHIND
    A flush hands it nothing. Its owner calls `advance` whenever its connection can take more: that writes the next page
    after its cursor and, when nothing is left, makes it LIVE *in the same call*, so that nothing can be published
    between the last page and the first flush.

A first connection with a cursor, one that wants a replay, a stalled telephone and a gap behind another node are all
BEHIND. A flush whose bytes fill a connection makes its subscriber BEHIND; the bytes were taken, so its cursor is the
head of that moment.

Subscribers with equal subscriptions form *groups* of limited size. What is published goes into each group concerned;
`flush` joins a group's frames and hands the same bytes to all of it. A turn of the event loop flushes a few groups, the
others follow in the next with what was published meanwhile: the more there is to do, the more events share a write. A
joiner has read the log up to its head; what its group still holds of that is flushed to the others first, so that it
does not get it twice.

A cursor below the group's floor has lost events. The loss is told once: `Subscriber._told` is the floor up to which it
has been.

There is no I/O here and no clock; `schedule` is what the event loop calls `call_soon`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Protocol

from .events import Draft, Event, EventId, Subscription, check_channel, check_type, compact_json, frame
from .log import Log
from .statistics import Statistics

__all__ = ["Connection", "Hub", "State", "Store", "Subscriber"]

PAGE_BYTES = 64 << 10
"""A group flushes early and a page ends at this size: with asyncio's high-water mark of the same size, a slow
connection holds two at most, and one event."""
TURN_WRITES = 64
"""Subscribers in a group, and writes after which a flush goes on in the next turn of the event loop. At 5 µs each,
requests wait 0.3 ms for them; 10,000 in one go, 50 ms."""
PAGE_EVENTS = 1000
"""Events looked at for one page. A type filter that wants one in a million must not hold up the loop: 1,000 take less
than a millisecond."""


class Connection(Protocol):
    """What a subscriber's bytes are written to."""

    def take(self, data: bytes) -> bool:
        """Send the bytes without waiting; say whether it can take more at once. After False it calls `advance` when it
        can."""


class Store(Protocol):
    """What makes events durable and gives them their ids."""

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        """Make events of the drafts, all or none, and hand them to `Hub.deliver`; return them once they are safe."""


class State(Enum):
    LIVE = "live"
    BEHIND = "behind"
    GONE = "gone"


class Group:
    """The subscribers of one subscription, and the frames that they get in this turn."""

    def __init__(self, subscription: Subscription, floor: EventId) -> None:
        self.subscription = subscription
        self.floor = floor
        self.live: dict[Subscriber, Callable[[bytes], bool]] = {}
        self.members = 0
        self.pending: list[bytes] = []
        self.pending_bytes = 0
        self.flushed_bytes = 0

    def add(self, event: Event) -> None:
        if self.live and self.subscription.wants(event):
            data = self.subscription.encode(event)
            self.pending.append(data)
            self.pending_bytes += len(data)


class Subscriber:
    """One connection's place in the log. Made by `Hub.subscribe`."""

    __slots__ = ("_group", "_handed_bytes", "_hub", "_told", "_write", "cursor", "lost", "replayed", "resumed", "state")

    def __init__(self, hub: Hub, group: Group, connection: Connection, cursor: EventId, told: EventId) -> None:
        self.state = State.BEHIND
        self.cursor = cursor
        """Id of the last event it was handed, while it is BEHIND."""
        self.lost = False
        """Whether its first cursor had lost events."""
        self.resumed = False
        """Whether it began at a cursor of its own, without loss."""
        self.replayed: int | None = None
        """Events handed to it before it was first LIVE; None where no replay was asked for."""
        self._hub = hub
        self._group = group
        self._write = connection.take
        self._told = told
        self._handed_bytes = 0

    @property
    def subscription(self) -> Subscription:
        return self._group.subscription

    @property
    def handed_bytes(self) -> int:
        """Bytes that the hub has written to its connection."""
        return self._handed_bytes + (self._group.flushed_bytes if self.state is State.LIVE else 0)

    def advance(self) -> bool:
        """While BEHIND, write the next page; say whether more may be left. Nothing happens in another state."""
        if self.state is not State.BEHIND:
            return False
        frames, count, caught_up = self._page()
        if self.replayed is not None:
            self.replayed += count
            if caught_up:
                frames.append(frame(compact_json({"replayed": self.replayed}), type="live"))
                self.replayed = None
        data = self._group.subscription.wrap(frames)
        self._handed_bytes += len(data)
        self._hub.count_delivered(count, len(data))
        can_take = self._write(data) if data else True
        if caught_up and can_take:
            self._hub.join(self)
        return self.state is State.BEHIND

    def _page(self) -> tuple[list[bytes], int, bool]:
        """Move the cursor on by a page: its frames, how many of them are events, and whether the head is reached."""
        log, subscription = self._hub.log, self._group.subscription
        frames = self._notice_loss()
        notices = len(frames)
        size = looked_at = 0
        for event in log.after(subscription, self.cursor):
            if size >= PAGE_BYTES or looked_at == PAGE_EVENTS:
                return frames, len(frames) - notices, False
            assert event.id is not None
            self.cursor = event.id
            looked_at += 1
            if subscription.wants(event):
                frames.append(subscription.encode(event))
                size += len(frames[-1])
        self.cursor = max(self.cursor, log.head)
        return frames, len(frames) - notices, True

    def _notice_loss(self) -> list[bytes]:
        floor = self._group.floor
        if floor <= self.cursor or floor <= self._told:
            return []
        following = next(self._hub.log.after(self._group.subscription, self.cursor), None)
        resumes = floor if following is None else following.id
        self._told = floor
        self._hub.count_lost()
        # No id: a client that is cut off here still has the old cursor, and is told of the loss again.
        return [frame(compact_json({"after": str(self.cursor), "next": str(resumes)}), type="lost")]


class Hub:
    """The registry of subscribers, and the way of every event to them.

    :param log: the log that subscribers are fed from.
    :param schedule: calls a function soon, but not at once: `call_soon` of the event loop.
    """

    store: Store

    def __init__(self, log: Log, schedule: Callable[[Callable[[], None]], object]) -> None:
        self.log = log
        self._schedule = schedule
        self._scheduled = False
        self._groups: dict[Subscription, list[Group]] = {}
        self._routes: dict[str, list[Group]] = {}  # the groups that a channel concerns, for channels of the log
        self._pending: dict[Group, None] = {}  # groups with frames for this turn, in order
        self._subscribers: dict[Subscriber, None] = {}
        self._published = self._delivered = self._delivered_bytes = self._lost = 0

    async def publish(
        self, data: str, *, channel: str = "main", event: str = "message", ephemeral: bool = False
    ) -> EventId | None:
        """Publish an event; return its id once the store has it, None if it is ephemeral.

        :raises ValueError: if the channel or the event type may not be used.
        """
        (published,) = await self.publish_all([Draft(channel, event, data, ephemeral)])
        return published.id

    async def publish_all(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        """Publish events in this order, all of them or none; return them once the store has them.

        :raises ValueError: if a channel or an event type may not be used.
        """
        for channel, type in {(draft.channel, draft.type) for draft in drafts}:
            check_channel(channel)
            check_type(type)
        return await self.store.append(drafts)

    def deliver(self, events: Sequence[Event]) -> None:
        """Take events from the store, in id order: the only way in."""
        for event in events:
            channel = self.log.append(event)
            groups = self._routes.get(event.channel)
            if groups is None:
                groups = self._routes[event.channel] = self._concerned(event.channel)
            for group in groups:
                group.floor = max(group.floor, channel.floor)
                group.add(event)
                if group.pending:
                    self._pending[group] = None
                    if group.pending_bytes >= PAGE_BYTES:
                        self._flush(group)
        self._published += len(events)
        self._flush_soon()

    def flush(self) -> None:
        """Hand groups what was published for them, as many as one turn of the event loop has time for."""
        self._scheduled = False
        writes = 0
        while self._pending and writes < TURN_WRITES:
            group = next(iter(self._pending))
            writes += len(group.live)
            self._flush(group)
        self._flush_soon()

    def _flush_soon(self) -> None:
        if self._pending and not self._scheduled:
            self._scheduled = True
            self._schedule(self.flush)

    def _flush(self, group: Group) -> None:
        self._pending.pop(group, None)
        if not group.pending:
            return
        count = len(group.pending)
        data = group.subscription.wrap(group.pending)
        group.pending = []
        group.pending_bytes = 0
        group.flushed_bytes += len(data)
        head = self.log.head
        full = [subscriber for subscriber, write in group.live.items() if not write(data)]
        self.count_delivered(count * len(group.live), len(data) * len(group.live))
        for subscriber in full:
            self._leave_live(subscriber, State.BEHIND)
            subscriber.cursor = head

    def subscribe(
        self,
        subscription: Subscription,
        connection: Connection,
        *,
        cursor: EventId | None = None,
        replay: int | None = None,
        resume: bool = False,
    ) -> Subscriber:
        """Register a subscriber. It is BEHIND until `advance` has been called as often as that asks for.

        :param cursor: the id of the last event that it has; it starts after it.
        :param replay: without a cursor, it starts this many events back.
        :param resume: it has a cursor, though perhaps (None) none that can be read.
        """
        group = self._group_with_room(subscription)
        group.members += 1
        resume = resume or cursor is not None
        lost = resume and (cursor is None or cursor < group.floor or cursor > self.log.head)
        if lost:
            start = self.log.start(subscription, group.floor)
            self._lost += 1
        elif cursor is not None:
            start = cursor
        elif replay:
            start = self.log.back(subscription, group.floor, replay)
        else:
            start = self.log.head
        subscriber = Subscriber(self, group, connection, start, group.floor)
        subscriber.lost = lost
        subscriber.resumed = resume and not lost
        subscriber.replayed = 0 if resume or replay is not None else None
        self._subscribers[subscriber] = None
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Forget a subscriber. Nothing is written to it any more; a second call does nothing."""
        if self._subscribers.pop(subscriber, self) is self:
            return
        if subscriber.state is State.LIVE:
            self._leave_live(subscriber, State.GONE)
        subscriber.state = State.GONE
        group = subscriber._group
        group.members -= 1
        if not group.members:
            self._remove_group(group)

    def join(self, subscriber: Subscriber) -> None:
        """Make a subscriber LIVE that has everything up to the head."""
        group = subscriber._group
        self._flush(group)  # what the joiner has read already goes to the others before it is among them
        group.live[subscriber] = subscriber._write
        subscriber._handed_bytes -= group.flushed_bytes
        subscriber.state = State.LIVE

    def expire(self, now_ms: int) -> None:
        """Let go what has become too old in the log, whether or not anything is published."""
        for channel in self.log.expire(now_ms):
            for group in self._routes.get(channel.name, ()):
                group.floor = max(group.floor, channel.floor)
            if self.log.get(channel.name) is None:
                self._routes.pop(channel.name, None)

    def settle(self, subscriber: Subscriber) -> None:
        """Hand a LIVE subscriber what its group holds for this turn, so that something else can be written after it."""
        if subscriber.state is State.LIVE:
            self._flush(subscriber._group)

    def subscribers(self, channel: str) -> int:
        """How many subscribers follow the channel."""
        groups = self._routes.get(channel)
        return sum(group.members for group in (self._concerned(channel) if groups is None else groups))

    def channels(self) -> Iterator[str]:
        """Names of the channels that have events or subscribers by name."""
        yield from (channel.name for channel in self.log)
        named = {name for subscription in self._groups for name in subscription.names if "*" not in name}
        yield from sorted(name for name in named if self.log.get(name) is None)

    def statistics(self) -> Statistics:
        """Figures of this moment."""
        return Statistics(
            subscribers=len(self._subscribers),
            behind=len(self._subscribers) - sum(len(g.live) for groups in self._groups.values() for g in groups),
            channels=len(self.log),
            retained=sum(map(len, self.log)),
            published=self._published,
            delivered=self._delivered,
            delivered_bytes=self._delivered_bytes,
            lost=self._lost,
        )

    def count_delivered(self, events: int, size_bytes: int) -> None:
        self._delivered += events
        self._delivered_bytes += size_bytes

    def count_lost(self) -> None:
        self._lost += 1

    def _leave_live(self, subscriber: Subscriber, state: State) -> None:
        group = subscriber._group
        del group.live[subscriber]
        subscriber._handed_bytes += group.flushed_bytes
        subscriber.state = state

    def _concerned(self, channel: str) -> list[Group]:
        return [group for names, groups in self._groups.items() if names.covers(channel) for group in groups]

    def _group_with_room(self, subscription: Subscription) -> Group:
        groups = self._groups.setdefault(subscription, [])
        for group in groups:
            if group.members < TURN_WRITES:
                return group
        group = Group(subscription, groups[0].floor if groups else self.log.floor(subscription))
        groups.append(group)
        for route in self._routes_of(group):
            route.append(group)
        return group

    def _remove_group(self, group: Group) -> None:
        groups = self._groups[group.subscription]
        groups.remove(group)
        if not groups:
            del self._groups[group.subscription]
        self._pending.pop(group, None)
        for route in self._routes_of(group):
            route.remove(group)

    def _routes_of(self, group: Group) -> Iterator[list[Group]]:
        subscription = group.subscription
        if subscription.exact:
            yield from (self._routes[name] for name in subscription.names if name in self._routes)
        else:
            yield from (route for name, route in self._routes.items() if subscription.covers(name))
