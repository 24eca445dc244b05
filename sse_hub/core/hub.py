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

Subscribers with equal subscriptions are an *audience*, in *groups* of limited size, which share their bytes
(delivery.py). A joiner has read the log up to its head. Its group may still hold some of these events; they are flushed
to the others first, so that the joiner does not get them twice.

A stream of exactly one channel ends with it (ends.py): the flush or the page that has the event `end` is the last that
its subscribers get, and then the hub forgets these subscribers. A *plain* stream cannot report a loss, so it breaks
off.

If a cursor is below a floor of its channels, the log lacks events after it. If the store keeps more than the log
(`ports.Archive`), the subscriber gets the store's pages until it reaches the log. It is BEHIND meanwhile, and its owner
calls `feed` in place of `advance`. Events that the store no longer has are lost. Without an archive, all events below
the floor are lost. A subscriber on several channels can lose events in one after the other. It is informed whenever a
floor above its cursor has risen, and of each rise once.

A store can have a gap: another node's events may be gone before this node has read them (`lose`), or all events may be
gone (`restart`). The next flush informs LIVE subscribers. A BEHIND subscriber is informed when it gets there.

There is no I/O here and no clock. `schedule` is the `call_soon` of an event loop.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from operator import attrgetter

from .accepting import Accepting
from .audiences import Audiences
from .delivery import Delivery
from .ends import ABANDONED, REASONS
from .events import LOWEST_ID, EventId, compact_json
from .groups import Audience, Group, StartPosition, State, Subscriber
from .log import Log
from .pages import EncodedPage, LogPages
from .ports import Archive, Catalogue, Connection
from .publishing import Publishing
from .statistics import Statistics
from .subscription import Subscription
from .wire import frame, lost_notice, wrap

__all__ = ["Hub", "State", "Subscriber"]

_JOIN_STEP = 250
"""Subscribers that join shared streams in one step, at 5 to 10 µs each."""


class Hub(Publishing, Accepting):
    """The registry of subscribers, and the way of every event to them.

    :param log: the log that subscribers are fed from.
    :param schedule: calls a function soon, but not at once: `call_soon` of the event loop.
    :param max_replay: events that a replay may begin back, and events that are looked at to find its beginning.
    :param audiences: by default, those that are found by an event's channel.
    """

    archive: Archive | None = None
    """The store, if it keeps more events than the log."""
    catalogue: Catalogue | None = None
    """The same store, asked about whole channels."""

    def __init__(
        self,
        log: Log,
        schedule: Callable[[Callable[[], None]], object],
        max_replay: int = 10_000,
        audiences: Audiences | None = None,
    ) -> None:
        self.log = log
        self.max_replay = max_replay
        self.delivery = Delivery(log, schedule, self._fall_behind, self._finish, audiences)
        self.audiences = self.delivery.audiences
        self._subscribers: dict[Subscriber, None] = {}
        self._live = 0
        self.ready = log.head > LOWEST_ID
        """Whether the hub has the store's retained events, so that subscribers can begin."""
        self.pages = LogPages(log)
        """The pages of the log for subscribers that are BEHIND."""
        self._published = self._lost = self._passed_over = 0
        self._ended = Counter[str](dict.fromkeys((*REASONS, ABANDONED), 0))
        self._before = 0, Counter(self._ended)  # `published` and `ended` before the store was read

    # For the store

    def restart(self, origin: EventId) -> None:
        """Begin at this id with an empty log; all subscribers are informed that events may be lost. The hub is not
        ready until `set_ready`: before that, the store delivers its retained events."""
        for audience in list(self.audiences):  # plain ones leave
            self._inform_lost(audience, origin)
        self.log.restart(origin)
        self.pages = LogPages(self.log)
        self.ready = False
        self._before = self._published, Counter(self._ended)

    def set_ready(self, head: EventId) -> None:
        """Become ready. The head is at least this id, which may be above all delivered events, because the newest ones
        may be gone."""
        self.log.head = max(self.log.head, head)
        self._published, self._ended = self._before[0], Counter(self._before[1])
        self.ready = True

    def lose(self, floors: Mapping[str, EventId]) -> None:
        """Note that the hub will never get events of these channels up to these ids."""
        for audience, floor in self.audiences.that_lost(floors).items():  # plain ones leave
            self._inform_lost(audience, floor)
        self.log.lose(floors)

    def forget(self, channel: str, floor: EventId) -> Iterator[None]:
        """Forget what is retained of a channel, its end included, up to this id; it begins anew. This is done in steps,
        like `deliver`: if many streams still have to end with the channel, they end first."""
        known = self.log.get(channel)
        if self.catalogue is not None or (known is not None and known.newest is not None):
            while self.delivery.are_ending(concerned := self.audiences.concerned(channel)):
                yield
            for audience in concerned:
                self.delivery.finish(audience)
                self._inform_lost(audience, floor)
            self.delivery.spent += 2 * len(concerned)  # each costs as much as two events
            self.delivery.flush_soon()
        self.log.forget(channel, floor)
        self._forget_routes([channel])

    def _inform_lost(self, audience: Audience, floor: EventId) -> None:
        live = audience.live
        self._lost += len(live)
        if audience.subscription.plain:
            for subscriber in live:
                self._finish(subscriber, complete=False)
        elif live:
            self.delivery.add_notice(audience, lost_notice(self.log.head, floor.next()))

    # What delivery asks

    def _fall_behind(self, subscriber: Subscriber, cursor: EventId) -> None:
        """Note that its connection is full. It has every event up to this id."""
        self._leave_live(subscriber)
        subscriber.state = State.BEHIND
        subscriber.cursor = max(subscriber.cursor, cursor)  # a conflating audience may not have been released since
        gathered, losses = subscriber.group.audience.gathered, self.log.floors.losses
        known = losses if gathered is None else max(subscriber.losses, gathered.losses)
        subscriber.losses = subscriber.complete = known

    def _finish(self, subscriber: Subscriber, *, complete: bool = True) -> None:
        """End its stream. It is complete if its channel has ended and it has every event. It breaks off if it has lost
        events and cannot be informed."""
        finish = subscriber.finish
        self.unsubscribe(subscriber)
        finish(complete=complete)

    def flush_to(self, subscriber: Subscriber) -> None:
        """Write the pending bytes of a LIVE subscriber's group, so that something else can be written after them."""
        if subscriber.state is State.LIVE:
            self.delivery.flush_subscriber(subscriber)

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
        floors, losses, lost = self.log.floors, self.log.floors.losses, start.lost
        if start.losses is not None and not lost:  # floors may have risen since its position was found
            if subscription.plain:
                losses = start.losses  # then `advance` breaks it off
            else:
                lost = floors.risen(subscription, start.cursor, start.losses) is not None
        subscriber = Subscriber(group, connection, start, losses)
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
        subscriber.write, subscriber.finish = _refuse, _ignore  # the connection may hold it: a cycle
        self._leave(subscriber.group)

    def join_shared(self) -> Iterator[None]:
        """Let subscribers that are LIVE beside a shared deflate stream join it, in steps, those of a step at one key
        frame. This is done about once a second, which limits the number of key frames."""
        joined = 0
        for audience in self.audiences.unshared():
            for group in list(audience.groups):
                if joined >= _JOIN_STEP:
                    joined = 0
                    yield
                joined += max(len(group.live), 1)
                self.delivery.flush_group(group)
                for subscriber in list(group.live):
                    self._leave_live(subscriber)
                    self._leave(group)
                    subscriber.group = self.audiences.enter(replace(audience.subscription, unshared=False))
                    self._join(subscriber)

    # Catching up

    def below_log(self, subscriber: Subscriber) -> EventId | None:
        """The id up to which a BEHIND subscriber needs pages of the store, because the log may not have all events. Its
        owner then reads such a page and calls `feed`. None if the log has all events."""
        floors, cursor, subscription = self.log.floors, subscriber.cursor, subscriber.subscription
        if self.archive is None or subscriber.state is not State.BEHIND or subscriber.first or cursor >= floors.top:
            return None
        if subscriber.complete is not None:
            if floors.risen(subscription, cursor, subscriber.complete) is None:
                subscriber.complete = floors.losses
                return None
            return max(self.log.head, floors.top)  # up to the floor only, it would follow the floor for ever
        # For a pattern, the store knows the floor; to find it here may take a look at every channel.
        floor = max(map(floors.of, subscription.names)) if subscription.exact else floors.top
        return floor if floor > cursor else None

    def advance(self, subscriber: Subscriber) -> bool:
        """Write the next page to a BEHIND subscriber; return whether more may be left. In other states, do nothing."""
        if subscriber.state is not State.BEHIND or self.below_log(subscriber) is not None:
            return subscriber.state is State.BEHIND
        if subscriber.first:
            self._hand_first(subscriber)
            return True
        if subscriber.cursor > self.log.head:  # a page of the store was ahead: it would get the next events twice
            return True
        notice = self._notice_loss(subscriber)
        if notice and subscriber.subscription.plain:
            self._finish(subscriber, complete=False)
            return False
        page = self.pages.after(subscriber.subscription, subscriber.cursor)
        caught_up = not page.full and page.reached >= self.log.head
        can_take = self._hand(subscriber, notice, page, caught_up=caught_up)
        if caught_up and can_take and not page.ended:
            self._join(subscriber)
        return subscriber.state is State.BEHIND

    def feed(self, subscriber: Subscriber, after: EventId, page: EncodedPage) -> None:
        """Write a page of the store that begins at `after`."""
        if subscriber.state is not State.BEHIND or subscriber.cursor != after:
            return
        informed, subscriber.informed = subscriber.informed, page.floors
        lost = any(floor > informed.get(channel, LOWEST_ID) for channel, floor in page.floors.items())
        if lost and subscriber.subscription.plain:
            self._lost += 1
            self._finish(subscriber, complete=False)
            return
        notice = self._notice(subscriber, page.following) if lost else b""
        self._hand(subscriber, notice, page, caught_up=False)

    def _hand_first(self, subscriber: Subscriber) -> None:
        """Write a page of the events that the subscriber gets first."""
        first, cursor = subscriber.first, subscriber.cursor
        page = self.pages.first(subscriber.subscription, first)
        subscriber.first = first[bisect_right(first, page.reached, key=attrgetter("id")) :]
        self._hand(subscriber, b"", page._replace(reached=cursor, ended=False), caught_up=False)

    def _hand(self, subscriber: Subscriber, notice: bytes, page: EncodedPage, *, caught_up: bool) -> bool:
        """Write a page and move the cursor to its end; return whether the connection can take more."""
        subscription = subscriber.subscription
        subscriber.cursor = page.reached
        written = [wrap(subscription, [notice])] if notice else []
        if page.data:
            written.append(page.data)
        if subscriber.replayed is not None:
            subscriber.replayed += page.events
            if caught_up and not page.ended and not subscription.plain:
                live = frame(compact_json({"replayed": subscriber.replayed}), type="live")
                written.append(wrap(subscription, [live]))
                subscriber.replayed = None
        data = b"".join(written) if len(written) != 1 else written[0]  # without a copy: all share the bytes of a page
        subscriber.count(len(data))
        self.delivery.count(page.events, len(data))
        self.delivery.conflated += page.conflated
        can_take = subscriber.write(data) if data else True
        if page.ended:
            self._finish(subscriber)
        return can_take

    def _notice_loss(self, subscriber: Subscriber) -> bytes:
        """The notice of events that have gone from the log since the last notice; empty if it has lost none."""
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
        if not self.delivery.make_fresh(subscriber):
            group.audience.flush_shared()  # the others get these bytes before it joins: it has read them
            self.delivery.flush_group(group, most_joining_bytes=0)
            group.audience.reset_shared()  # later bytes refer only to bytes that the joiner has
            group.live.append(subscriber)
        self._live += 1
        subscriber.count(-group.flushed_bytes)
        subscriber.informed = {}
        subscriber.state = State.LIVE

    def _leave_live(self, subscriber: Subscriber) -> None:
        group = subscriber.group
        if subscriber in group.live:
            group.live.remove(subscriber)
        else:  # it waits for the frames of its conflating audience
            assert group.audience.gathered is not None
            group.audience.gathered.discard(subscriber)
        self._live -= 1
        subscriber.count(group.flushed_bytes)

    def _leave(self, group: Group) -> None:
        if self.audiences.leave(group):
            self.delivery.forget_group(group)

    # For readers

    def expire(self, now_ms: int) -> bool:
        """Drop some of the events that are too old; return whether there are more."""
        expired = self.log.expire(now_ms)
        self._forget_routes(expired.channels)
        return expired.more

    def subscribers(self, channel: str) -> int:
        """How many subscribers follow the channel."""
        return sum(audience.members for audience in self.audiences.concerned(channel))

    def channels(self, after: str, most: int) -> list[str]:
        """Sorted names of the channels that have events or are subscribed to by name: `most`, after this one."""
        return sorted({*self.log.names(after, most), *self.audiences.channels(after, most)})[:most]

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
            delivered=self.delivery.delivered,
            delivered_bytes=self.delivery.delivered_bytes,
            conflated=self.delivery.conflated,
            ended=dict(self._ended),
            open_runs=self.log.open_runs,
            passed_over=self._passed_over,
            lost=self._lost,
            evicted=dict(self.log.evicted),
        )


def _refuse(data: bytes) -> bool:
    return False


def _ignore(*, complete: bool) -> None:
    pass
