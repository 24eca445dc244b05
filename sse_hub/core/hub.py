"""The hub: the registry of subscribers, and the way of the log's bytes to them. Theory of operation.

A subscriber has no queue. The log is the queue, and the subscriber's cursor is its position in it. A subscriber is in
one of two states, and every change from one to the other happens here:

LIVE
    The subscriber has everything up to the log's head, except the bytes that its group holds for this turn of the event
    loop. Each flush writes the group's bytes to it by a plain call, which returns whether its connection can take more.
BEHIND
    A flush writes nothing to the subscriber. Its owner calls `advance` whenever its connection can take more. `advance`
    writes the next page after the cursor. If nothing is left, it makes the subscriber LIVE *in the same call*, so that
    nothing can be published between the last page and the first flush.

A first connection with a cursor, a connection that wants a replay, a stalled phone and a gap behind another node are
all BEHIND. If the bytes of a flush fill a connection, its subscriber becomes BEHIND. The connection has taken these
bytes, so its cursor is the head of that moment.

Subscribers with equal subscriptions are an *audience*, in *groups* of limited size. An event goes into each group of
each audience that covers its channel. `flush` joins a group's frames and writes the same bytes to all its members. A
turn of the event loop flushes a few groups. The others follow in the next turn, together with newer events. So the more
there is to do, the more events share a write. A subscriber that becomes LIVE has read the log up to its head. Its group
may still hold some of these events, so they are flushed to the other members first. Then no event arrives twice.

A cursor below a floor of its channels cannot be continued from the log. If the store keeps more than the log
(`ports.Archive`), the subscriber gets pages of the store until it reaches the log. This is BEHIND, too, with `feed` in
place of `advance`. Events that the store no longer has are lost. Without an archive, all events below the floor are
lost. A subscriber on several channels can lose events of one after the other. It is informed whenever a floor above its
cursor has risen, and of each rise once.

A store can have a gap: another node's events may be gone before this node has read them (`lose`), or all events may be
gone (`restart`). The next flush informs LIVE subscribers. A BEHIND subscriber is informed when it gets there.

There is no I/O here and no clock. `schedule` is the `call_soon` of an event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from .events import Draft, Event, EventId, check_channel, check_type, compact_json
from .groups import Audience, Audiences, Group, StartPosition, State, Subscriber, lost_notice
from .log import Log
from .pages import PAGE_BYTES, EncodedPage, LogPages
from .ports import Archive, Connection, Store
from .statistics import Statistics
from .subscription import Subscription
from .wire import frame, wrap

__all__ = ["Hub", "State", "Subscriber"]

TURN_WRITES = 64
"""Subscribers in a group, and writes after which a flush goes on in the next turn of the event loop. At 5 µs each,
requests wait 0.3 ms for them; 10,000 in one go, 50 ms."""
_STEP = 500
"""Audiences that are looked at in one step of what concerns all of them."""
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
        self._schedule = schedule
        self._scheduled = False
        self.audiences = Audiences(TURN_WRITES)
        self._pending: dict[Group, None] = {}  # groups with frames for this turn, in order
        self._subscribers: dict[Subscriber, None] = {}
        self._live = 0
        self.ready = log.head > _NEVER
        """Whether it has what the store retains, so that subscribers can begin."""
        self._pages = LogPages(log)
        self._published = self._delivered = self._delivered_bytes = self._lost = self._passed_over = 0
        self._published_before = 0

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

    # For the store

    def deliver(self, events: Sequence[Event]) -> None:
        """Accept events from the store, in the order of their ids. Events enter the hub in no other way."""
        for event in events:
            self.log.append(event)
            for audience in self.audiences.concerned_by(event):
                audience.add(event)
                self._note_pending(audience)
        self._published += len(events)
        self._forget(self.log.make_room())
        self._flush_soon()

    def restart(self, origin: EventId) -> None:
        """Begin at this id with an empty log; all subscribers are informed that events may be lost. The hub is not
        ready until `go_on`: before that, the store delivers its retained events."""
        for audience in self.audiences:
            self._inform_lost(audience, origin)
        self.log.restart(origin)
        self._pages = LogPages(self.log)
        self.ready = False
        self._published_before = self._published

    def go_on(self, head: EventId) -> None:
        """Be ready, with this id as the lowest possible head: it is above all delivered events, because even the newest
        events may be gone."""
        self.log.head = max(self.log.head, head)
        self._published = self._published_before
        self.ready = True

    def lose(self, floors: Mapping[str, EventId]) -> None:
        """Note that the hub will never get events of these channels up to these ids."""
        highest: dict[Audience, EventId] = {}
        for channel, floor in floors.items():
            for audience in self.audiences.concerned(channel):
                highest[audience] = max(floor, highest.get(audience, floor))
        for audience, floor in highest.items():
            self._inform_lost(audience, floor)
        for channel, floor in floors.items():
            self.log.lose(channel, floor)

    def _inform_lost(self, audience: Audience, floor: EventId) -> None:
        if live := sum(len(group.live) for group in audience.groups):
            audience.add_notice(lost_notice(self.log.head, floor.next()))
            self._lost += live
            self._note_pending(audience)
            self._flush_soon()

    def pass_over(self, entries: int) -> None:
        """Count entries of the store that do not belong to this hub."""
        self._passed_over += entries

    # Flushing

    def _note_pending(self, audience: Audience) -> None:
        for group in audience.groups:
            if group.pending_bytes:
                self._pending[group] = None
        for group in audience.groups:  # once all have it: a flush compresses for all groups of an audience
            if group.pending_bytes >= PAGE_BYTES:
                self._flush(group)

    def flush(self) -> None:
        """Write the pending bytes of groups, for as many groups as fit into one turn of the event loop."""
        self._scheduled = False
        writes = 0
        while self._pending and writes < TURN_WRITES:
            group = next(iter(self._pending))
            writes += max(len(group.live), 1)
            self._flush(group)
        self._flush_soon()

    def flush_to(self, subscriber: Subscriber) -> None:
        """Write the pending bytes of a LIVE subscriber's group, so that something else can be written after them."""
        if subscriber.state is State.LIVE:
            self._flush(subscriber.group)

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
        full = [subscriber for subscriber, write in group.live.items() if not write(data)]
        self._count_delivered(count * len(group.live), len(data) * len(group.live))
        for subscriber in full:
            self._leave_live(subscriber)
            subscriber.state = State.BEHIND
            subscriber.cursor = self.log.head  # everything up to the head has been written to it
            subscriber.losses = self.log.floors.losses

    def ping(self, comment: bytes) -> Iterator[None]:
        """Write a comment to all LIVE subscribers, in steps. It is encoded once for each group, and in a shared deflate
        stream it goes to all readers."""
        for number, audience in enumerate(list(self.audiences)):
            audience.add_notice(comment)
            self._note_pending(audience)
            if number % _STEP == _STEP - 1:
                self._flush_soon()
                yield
        self._flush_soon()

    # Subscribing

    def subscribe(
        self,
        subscription: Subscription,
        connection: Connection,
        start: StartPosition,
        *,
        resumes: bool = False,
        replays: bool = False,
    ) -> Subscriber:
        """Register a subscriber. It is BEHIND until `advance` has brought it to the head of the log.

        :param start: its start position; see `start.Start.locate`.
        :param resumes: whether it has a cursor, even a malformed one.
        :param replays: whether it has asked for older events.
        """
        group = self.audiences.enter(subscription)
        floors, lost = self.log.floors, start.lost
        if start.losses is not None and not lost:  # floors may have risen since its position was found
            lost = floors.risen(subscription, start.cursor, start.losses) is not None
        subscriber = Subscriber(group, connection, start, floors.losses)
        subscriber.lost = lost
        self._lost += lost
        subscriber.resumed = resumes and not lost
        subscriber.replayed = 0 if resumes or replays else None
        self._subscribers[subscriber] = None
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Forget a subscriber. Nothing is written to it any more; a second call does nothing."""
        if self._subscribers.pop(subscriber, self) is self:
            return
        if subscriber.state is State.LIVE:
            self._leave_live(subscriber)
        subscriber.state = State.GONE
        subscriber.write = _refuse  # its connection may refer to it, and the two would be a cycle
        self._leave(subscriber.group)

    def join_shared(self) -> None:
        """Let subscribers that are LIVE beside a shared deflate stream join it, all of them at one key frame. This is
        called about once a second, which limits the number of key frames."""
        for audience in self.audiences.unshared():
            for group in list(audience.groups):
                self._flush(group)
                for subscriber in list(group.live):
                    self._leave_live(subscriber)
                    self._leave(group)
                    subscriber.group = self.audiences.enter(replace(audience.subscription, unshared=False))
                    self._join(subscriber)

    # Catching up

    def below_log(self, subscriber: Subscriber) -> EventId | None:
        """The id up to which a BEHIND subscriber needs pages of the store, because the log may not have all events. Its
        owner then reads a page and calls `feed`; `advance` does nothing. None if the log has all events."""
        floors = self.log.floors
        if self.archive is None or subscriber.state is not State.BEHIND or subscriber.cursor >= floors.top:
            return None
        subscription = subscriber.subscription
        if subscription.exact:
            floor = max(map(floors.of, subscription.names))
            return floor if floor > subscriber.cursor else None
        return floors.top  # the store knows the exact id; to find it here could need a look at every channel

    def advance(self, subscriber: Subscriber) -> bool:
        """Write the next page to a BEHIND subscriber; return whether more may be left. In other states, do nothing."""
        if subscriber.state is not State.BEHIND or self.below_log(subscriber) is not None:
            return subscriber.state is State.BEHIND
        notice = self._notice_loss(subscriber)
        page = self._pages.after(subscriber.subscription, subscriber.cursor)
        caught_up = not page.full and page.reached >= self.log.head
        can_take = self._hand(subscriber, notice, page, caught_up=caught_up)
        if caught_up and can_take:
            self._join(subscriber)
        return subscriber.state is State.BEHIND

    def feed(self, subscriber: Subscriber, after: EventId, page: EncodedPage) -> None:
        """Write a page of the store that begins at `after`."""
        if subscriber.state is not State.BEHIND or subscriber.cursor != after:
            return
        informed, subscriber.informed = subscriber.informed, page.floors
        lost = any(floor > informed.get(channel, _NEVER) for channel, floor in page.floors.items())
        notice = self._notice(subscriber, page.following) if lost else b""
        self._hand(subscriber, notice, page, caught_up=False)

    def _hand(self, subscriber: Subscriber, notice: bytes, page: EncodedPage, *, caught_up: bool) -> bool:
        """Write a page and move the cursor to its end; return whether the connection can take more."""
        subscription = subscriber.subscription
        subscriber.cursor = page.reached
        written = [wrap(subscription, [notice])] if notice else []
        if page.data:
            written.append(page.data)
        if subscriber.replayed is not None:
            subscriber.replayed += page.events
            if caught_up:
                live = frame(compact_json({"replayed": subscriber.replayed}), type="live")
                written.append(wrap(subscription, [live]))
                subscriber.replayed = None
        data = b"".join(written) if len(written) != 1 else written[0]  # a page alone goes out in the bytes all share
        subscriber.count(len(data))
        self._count_delivered(page.events, len(data))
        return subscriber.write(data) if data else True

    def _notice_loss(self, subscriber: Subscriber) -> bytes:
        """The notice for a subscriber of events that have gone from the log since the last notice; nothing if it
        lacks none."""
        floors = self.log.floors
        since, subscriber.losses = subscriber.losses, floors.losses
        floor = floors.risen(subscriber.subscription, subscriber.cursor, since)
        if floor is None:
            return b""
        return self._notice(subscriber, self.log.following(subscriber.subscription, floor))

    def _notice(self, subscriber: Subscriber, following: EventId) -> bytes:
        self._lost += 1
        return lost_notice(subscriber.cursor, following)

    def _join(self, subscriber: Subscriber) -> None:
        """Make a subscriber LIVE that has everything up to the head."""
        group = subscriber.group
        self._flush(group)  # what the joiner has read already goes to the others before it is among them
        group.audience.reset_shared()  # what comes refers to nothing that the joiner has not
        group.live[subscriber] = subscriber.write
        self._live += 1
        subscriber.count(-group.flushed_bytes)
        subscriber.informed = {}
        subscriber.state = State.LIVE

    def _leave_live(self, subscriber: Subscriber) -> None:
        del subscriber.group.live[subscriber]
        self._live -= 1
        subscriber.count(subscriber.group.flushed_bytes)

    def _leave(self, group: Group) -> None:
        if self.audiences.leave(group):
            self._pending.pop(group, None)

    # For readers

    def expire(self, now_ms: int) -> bool:
        """Let go some of what has become too old in the log; say whether there is more."""
        expired = self.log.expire(now_ms)
        self._forget(expired.channels)
        return expired.more

    def _forget(self, channels: Sequence[str]) -> None:
        for channel in channels:
            self.audiences.forget(channel)

    def subscribers(self, channel: str) -> int:
        """How many subscribers follow the channel."""
        return sum(audience.members for audience in self.audiences.concerned(channel))

    def channels(self, after: str, most: int) -> list[str]:
        """Names of the channels that have events or subscribers by name, sorted, those that come after a name."""
        some = [*self.log.names(after, most), *self.audiences.channels(after, most)]
        return sorted(set(some))[:most]

    def statistics(self) -> Statistics:
        """Figures of this moment."""
        return Statistics(
            subscribers=len(self._subscribers),
            behind=len(self._subscribers) - self._live,
            subscriptions=len(self.audiences),
            unshared=sum(audience.members for audience in self.audiences.unshared()),
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

    def _count_delivered(self, events: int, size_bytes: int) -> None:
        self._delivered += events
        self._delivered_bytes += size_bytes


def _refuse(data: bytes) -> bool:
    return False
