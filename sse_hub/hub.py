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

A cursor below the group's floor cannot be continued from the log. Where the store keeps more than the log
(`ports.Archive`), the subscriber is fed the store's pages until it reaches the log: BEHIND, too, with `feed` in place
of `advance`. Events that the store no longer has either are lost; without an archive, those below the floor are. A
subscriber on several channels can lose events in one after the other. It is informed whenever a floor above its cursor
has risen, and of each rise once.

A store can break off: another node's events may be gone before this one has read them (`lose`), or everything
(`restart`). The next flush informs subscribers that are LIVE; those that are BEHIND learn it when they get there.

There is no I/O here and no clock; `schedule` is what the event loop calls `call_soon`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from .deflate import Compressors
from .events import Draft, Event, EventId, Subscription, check_channel, check_type
from .log import Channel, Log
from .ports import Archive, Connection, Store
from .replay import PAGE_BYTES, Pages, Stretch
from .statistics import Statistics
from .subscriber import Group, Place, State, Subscriber, lost_notice

__all__ = ["Connection", "Hub", "Place", "State", "Store", "Subscriber"]

TURN_WRITES = 64
"""Subscribers in a group, and writes after which a flush goes on in the next turn of the event loop. At 5 µs each,
requests wait 0.3 ms for them; 10,000 in one go, 50 ms."""
_NEVER = EventId(0, 0)


class Hub:
    """The registry of subscribers, and the way of every event to them.

    :param log: the log that subscribers are fed from.
    :param schedule: calls a function soon, but not at once: `call_soon` of the event loop.
    :param max_replay: events that a replay may begin back, and events that are looked at to find its beginning.
    """

    store: Store
    archive: Archive | None = None
    """The store, if it keeps more than the log."""

    def __init__(self, log: Log, schedule: Callable[[Callable[[], None]], object], max_replay: int = 10_000) -> None:
        self.log = log
        self.max_replay = max_replay
        self._common_floor = log.floors.common
        self._schedule = schedule
        self._scheduled = False
        self._groups: dict[Subscription, list[Group]] = {}
        self._routes: dict[str, list[Group]] = {}  # the groups that a channel concerns, for channels of the log
        self._pending: dict[Group, None] = {}  # groups with frames for this turn, in order
        self._subscribers: dict[Subscriber, None] = {}
        self._pages = Pages()
        self._compressors = Compressors()
        self._published = self._delivered = self._delivered_bytes = self._lost = self._passed_over = 0

    @property
    def ready(self) -> bool:
        """Whether the store has told where the log begins."""
        return self.log.head > _NEVER

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
                if group.pending_bytes:
                    self._pending[group] = None
            for group in groups:  # once all have it: a flush cuts the stream that groups have in common for all of them
                if group.pending_bytes >= PAGE_BYTES:
                    self._flush(group)
        self._published += len(events)
        self._note_gone(self.log.make_room())
        self._flush_soon()

    def restart(self, origin: EventId, events: Sequence[Event] = (), head: EventId = _NEVER) -> None:
        """Begin at this id with these events, which come after it, and at `head` if even the last ones are gone. What
        the log had is gone, too; whoever follows it already is told that something may be lost."""
        for groups in self._groups.values():
            for group in groups:
                self._tell_lost(group, origin)
        self.log.restart(origin)
        self._routes.clear()
        self._pages = Pages()
        self.deliver(events)
        self._published -= len(events)
        self.log.head = max(self.log.head, head)

    def lose(self, floors: Mapping[str, EventId]) -> None:
        """Note that events of these channels, up to these ids, are gone before the hub got them."""
        for subscription, groups in self._groups.items():
            lost = [floor for channel, floor in floors.items() if subscription.covers(channel)]
            for group in groups if lost else ():
                self._tell_lost(group, max(lost))
        for channel, floor in floors.items():
            self.log.lose(channel, floor)
        self._pages = Pages()

    def _tell_lost(self, group: Group, floor: EventId) -> None:
        group.floor = max(group.floor, floor)
        if group.live:
            group.add_notice(lost_notice(self.log.head, floor.next()))
            self._lost += len(group.live)
            self._pending[group] = None
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
        count = group.pending_events
        data = group.take_pending()
        if not data:
            return
        group.flushed_bytes += len(data)
        head = self.log.head
        full = [subscriber for subscriber, write in group.live.items() if not write(data)]
        self.count_delivered(count * len(group.live), len(data) * len(group.live))
        for subscriber in full:
            self._leave_live(subscriber, State.BEHIND)
            subscriber.fall_behind(head)

    def subscribe(
        self,
        subscription: Subscription,
        connection: Connection,
        *,
        cursor: EventId | None = None,
        replay: int | None = None,
        resume: bool = False,
        place: Place | None = None,
    ) -> Subscriber:
        """Register a subscriber. It is BEHIND until `advance` has been called as often as that asks for.

        :param cursor: the id of the last event that it has; it starts after it.
        :param replay: without a cursor, it starts this many events back.
        :param resume: it has a cursor, though perhaps (None) none that can be read.
        :param place: what `locating.locate` has found for these.
        """
        group = self._group_with_room(subscription)
        group.members += 1
        resume = resume or cursor is not None
        place = place or self._place(group, cursor, replay, resume)
        self._lost += place.lost
        subscriber = Subscriber(self, group, connection, place)
        subscriber.lost = place.lost
        subscriber.resumed = resume and not place.lost
        subscriber.replayed = 0 if resume or replay is not None else None
        self._subscribers[subscriber] = None
        return subscriber

    def _place(self, group: Group, cursor: EventId | None, replay: int | None, resume: bool) -> Place:
        """Where the log lets a subscriber begin."""
        if cursor is not None and cursor <= self.log.head:
            return Place(cursor, lost=cursor < group.floor and self.archive is None)
        if resume:
            return Place(self.log.start(group.subscription, group.floor), lost=True)
        if replay:
            return Place(self.log.back(group.subscription, group.floor, replay, self.max_replay))
        return Place(self.log.head)

    def floor(self, subscription: Subscription) -> EventId:
        """The id below which the log has lost events of this subscription."""
        groups = self._groups.get(subscription)
        return max(group.floor for group in groups) if groups else self.log.floors.highest(subscription)

    def stretch(self, subscription: Subscription, after: EventId) -> Stretch:
        """The log's next page after this cursor."""
        if after >= self.log.head:  # a newcomer that wants no replay, or one that has caught up
            return Stretch(after, 0, b"")
        shared = after >= self.floor(subscription)  # a page of what has gone since must not come back
        if shared and (known := self._pages.get(subscription, after)) is not None:
            return known
        end = self._pages.end(subscription, after, self.log.head) if shared else self.log.head
        stretch = Stretch.of(subscription, self.log.after(subscription, after), after, end)
        if shared and stretch.full:
            self._pages.add(subscription, after, stretch)
        return stretch

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Forget a subscriber. Nothing is written to it any more; a second call does nothing."""
        if self._subscribers.pop(subscriber, self) is self:
            return
        if subscriber.state is State.LIVE:
            self._leave_live(subscriber, State.GONE)
        subscriber.part()
        self._leave_group(subscriber._group)

    def join(self, subscriber: Subscriber) -> None:
        """Make a subscriber LIVE that has everything up to the head."""
        group = subscriber._group
        self._flush(group)  # what the joiner has read already goes to the others before it is among them
        if group.shared is not None:
            group.shared.begin_anew()  # what comes refers to nothing that the joiner has not
        group.live[subscriber] = subscriber._write
        subscriber._handed_bytes -= group.flushed_bytes
        subscriber.state = State.LIVE

    def expire(self, now_ms: int) -> None:
        """Let go what has become too old in the log, whether or not anything is published."""
        self._note_gone(self.log.expire(now_ms))

    def _note_gone(self, channels: Sequence[Channel]) -> None:
        for channel in channels:
            for group in self._routes.get(channel.name, ()):
                group.floor = max(group.floor, channel.floor)
            if self.log.get(channel.name) is None:
                self._routes.pop(channel.name, None)
        if self._common_floor < self.log.floors.common:  # so many floors were known that one became everybody's
            self._common_floor = self.log.floors.common
            for groups in self._groups.values():
                for group in groups:
                    group.floor = max(group.floor, self.log.floors.highest(group.subscription))

    def ping(self, comment: bytes) -> None:
        """Give a comment to whoever is LIVE: made once for a group, and all who share a deflate stream get the same."""
        for groups in self._groups.values():
            for group in groups:
                if group.live:
                    group.add_notice(comment)
                    self._pending[group] = None
        self._flush_soon()

    def share(self) -> None:
        """Let those join the shared deflate streams who are LIVE beside them, all at one key frame of each. Called once
        a second or so, it bounds how often there is one."""
        for subscription, groups in list(self._groups.items()):
            for group in list(groups) if subscription.apart else ():
                self._flush(group)
                for subscriber in list(group.live):
                    self._leave_live(subscriber, State.BEHIND)
                    self._leave_group(group)
                    subscriber._group = self._group_with_room(replace(subscription, apart=False))
                    subscriber._group.members += 1
                    self.join(subscriber)

    def settle(self, subscriber: Subscriber) -> None:
        """Hand a LIVE subscriber what its group holds for this turn, so that something else can be written after it."""
        if subscriber.state is State.LIVE:
            self._flush(subscriber._group)

    def subscribers(self, channel: str) -> int:
        """How many subscribers follow the channel."""
        groups = self._routes.get(channel)
        return sum(group.members for group in (self._concerned(channel) if groups is None else groups))

    def subscriptions(self) -> Iterator[tuple[Subscription, int]]:
        """What is subscribed to, and by how many."""
        for subscription, groups in self._groups.items():
            yield subscription, sum(group.members for group in groups)

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
            retained=self.log.retained,
            retained_bytes=self.log.retained_bytes,
            published=self._published,
            delivered=self._delivered,
            delivered_bytes=self._delivered_bytes,
            passed_over=self._passed_over,
            lost=self._lost,
            evicted=dict(self.log.evicted),
        )

    def count_delivered(self, events: int, size_bytes: int) -> None:
        self._delivered += events
        self._delivered_bytes += size_bytes

    def pass_over(self, entries: int) -> None:
        """Count entries of the store that are none of this hub's."""
        self._passed_over += entries

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
        shared = self._compressors.shared(subscription, groups)
        group = Group(subscription, groups[0].floor if groups else self.log.floors.highest(subscription), shared)
        groups.append(group)
        for route in self._routes_of(group):
            route.append(group)
        return group

    def _leave_group(self, group: Group) -> None:
        group.members -= 1
        if group.members:
            return
        groups = self._groups[group.subscription]
        groups.remove(group)
        if not groups:
            del self._groups[group.subscription]
            if group.shared is not None:
                group.shared.begin_anew()
        self._pending.pop(group, None)
        for route in self._routes_of(group):
            route.remove(group)

    def _routes_of(self, group: Group) -> Iterator[list[Group]]:
        subscription = group.subscription
        if subscription.exact:
            yield from (self._routes[name] for name in subscription.names if name in self._routes)
        else:
            yield from (route for name, route in self._routes.items() if subscription.covers(name))
