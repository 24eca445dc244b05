"""Delivery to LIVE subscribers: the frames of this turn of the event loop, by group, and the flush that writes them.

A published event goes into each group that it concerns. `flush` joins the frames of a group and writes the same bytes
to each of its subscribers. A turn of the event loop flushes a few groups; the others follow in the next turn, with the
events that were published meanwhile. The more there is to do, the more events share a write.

A group that holds a page of bytes is flushed early, so that a connection holds at most two pages and one event. A turn
has time for a few of these writes. The other groups are *large* until their flush, and no event comes meanwhile.
Nor does any when the events of a turn have cost as much as it has time for (accepting.py).

The hub decides which state a subscriber is in (hub.py). This module calls it when a connection is full, and when a
stream ends because its channel has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import inf

from .audiences import Audiences
from .conflation import ENCODED, MOST_FRESH, Conflation
from .events import Event, EventId
from .groups import Audience, Group, Joiner, Subscriber
from .log import Log
from .pages import PAGE_BYTES

__all__ = ["Delivery"]

TURN_WRITES = 64
"""Subscribers in a group, and writes after which a flush goes on in the next turn of the event loop. At 5 µs each,
requests wait 0.3 ms for them; 10,000 in one go, 50 ms."""
TURN_COST = 5000
"""The cost of the events that a turn has time for, about 3 ms. It is counted in audiences that get an event, at 0.6 µs
each."""
_LARGE = 4 << 10
_WRITE_BYTES = 16 << 10
_DEFLATE_BYTES = 512
"""Bytes to write to a connection, and to deflate, that cost as much as a write of a few bytes. Fewer than `_LARGE` are
not counted."""
_JOINING_BYTES = 1 << 20
"""Bytes for joiners of a group in a turn. Each gets a part of its own of the last release, which may be megabytes."""
_LITTLE = 1000
"""Cost of events that nobody gets, for which no flush is needed. One for each would take a tenth of their time."""
_STEP = 500
"""Audiences that get a ping in one step."""
_RELEASE = 10
"""The cost of a release besides its events, in events that are encoded. 100 of them are a step."""
_ENCODED_BEFORE = 8
"""Events that are already encoded, which cost as much in a release as to encode one."""


class Delivery:
    """The groups for which something is pending.

    :param log: a release reaches up to its head.
    :param schedule: calls a function soon, but not at once: `call_soon` of the event loop.
    :param full: called with a subscriber whose connection can take no more, and its cursor.
    :param ended: called with a subscriber whose stream ends with what it was handed.
    :param audiences: by default, those that are found by an event's channel.
    """

    def __init__(
        self,
        log: Log,
        schedule: Callable[[Callable[[], None]], object],
        full: Callable[[Subscriber, EventId], None],
        ended: Callable[[Subscriber], None],
        audiences: Audiences | None = None,
    ) -> None:
        self.audiences = Audiences(TURN_WRITES) if audiences is None else audiences
        self.wake: Callable[[], object] = lambda: None
        """Called when `release` should be called soon."""
        self.delivered = self.delivered_bytes = self.conflated = 0
        self._log = log
        self._schedule = schedule
        self._full = full
        self._ended = ended
        self._scheduled = False
        self._pending: dict[Group, None] = {}  # in order
        self._early = 0  # writes before the flush of this turn
        self.large: dict[Group, None] = {}
        """Pending groups that hold a page or more. No event may be added before they are flushed."""
        self.spent = 0
        """The cost of the events that came since the last flush."""
        self._conflation = Conflation[Audience](lambda: self.wake())
        self._releasing: dict[Audience, None] = {}  # those of which some gathered events are encoded, or will be next
        self._held: dict[Audience, None] = {}  # those whose release waits until the joiners have got the last one

    @property
    def is_full(self) -> bool:
        """Whether another event has to wait for the next turn of the event loop."""
        return self.spent >= TURN_COST or bool(self.large)

    def add(self, event: Event) -> int:
        """Hand an event to the groups that it concerns, in the next flush; return the number of audiences."""
        concerned, wanted = self.audiences.concerned_by(event), self.audiences.are_decided
        for audience in concerned:
            if audience.has_ended or audience.is_ending:
                self.finish(audience)  # this event is of the channel's next life
            audience.add(event, wanted=wanted)
            if audience.interval_ms:
                self._gather(audience)
            else:
                self._note_pending(audience)
        return len(concerned)

    def _gather(self, audience: Audience) -> None:
        self._conflation.gather(audience)
        if audience.gathered is not None and audience.gathered.events.are_large:
            self._release_early(audience, at_once=audience.gathered.events.are_too_large)

    def finish(self, audience: Audience) -> None:
        """If the channel of an audience has ended, flush the groups that still wait for the event `end`. Nothing comes
        after it."""
        if audience.has_ended:
            self.release_now(audience)
        for group in [group for group in audience.groups if group.ending]:
            self.flush_group(group)
        audience.is_ending = False

    def are_ending(self, audiences: Iterable[Audience]) -> bool:
        """Whether the channel of these audiences has ended, and more of their streams still wait for the event `end`
        than a turn of the event loop has time for. Then a flush follows soon."""
        waiting = 0
        for audience in audiences:
            if audience.has_ended:
                self.release_now(audience)
            if audience.is_ending:
                waiting += sum(len(group.live) + len(group.joining) for group in audience.groups if group.ending)
        self.flush_soon()
        return waiting > TURN_WRITES

    def add_notice(self, audience: Audience, notice: bytes) -> None:
        """Hand bytes that are not an event to an audience, in the next flush."""
        audience.add_notice(notice)
        self._note_pending(audience)
        self.flush_soon()

    def _note_pending(self, audience: Audience) -> None:
        for group in audience.groups:
            if group.is_pending:
                self._pending[group] = None
        for group in audience.groups:  # when all are marked: one flush may compress for all groups
            if group.pending_bytes < PAGE_BYTES:
                continue
            if self._early < TURN_WRITES:
                self._early += _cost(group)
                self.flush_group(group, most_joining_bytes=_JOINING_BYTES)
            else:
                self.large[group] = None

    def flush(self) -> None:
        """Hand groups what was published for them, as many as one turn of the event loop has time for."""
        self._scheduled = False
        writes = self._early = self.spent = 0
        while self._pending and writes < TURN_WRITES:
            group = next(iter(self._pending))
            is_small = group.pending_bytes < _LARGE and group.audience.gathered is None
            writes += (len(group.live) or 1) if is_small else _cost(group)
            self.flush_group(group, most_joining_bytes=_JOINING_BYTES)
            if not is_small and group.joining:
                break
        self.flush_soon()

    def flush_soon(self) -> None:
        """Call `flush` soon, if there is anything to hand over, or if the next turn has to allow early writes or events
        again."""
        if (self._pending or self._early or self.spent > _LITTLE) and not self._scheduled:
            self._scheduled = True
            self._schedule(self.flush)

    def flush_group(self, group: Group, *, most_joining_bytes: float = inf) -> None:
        """Hand a group what is pending for it.

        :param most_joining_bytes: if joiners have got more, the other ones join with the next flush.
        """
        self._forget_pending(group)
        if not group.is_pending:
            self._resume(group.audience)
            return
        count, audience = group.pending_events, group.audience
        data = group.take_pending()
        full: list[Subscriber] = []
        if data:
            group.flushed_bytes += len(data)
            full = [subscriber for subscriber in group.live if not subscriber.write(data)]
            self.count(count * len(group.live), len(data) * len(group.live))
        reached = self._log.head
        if audience.gathered is not None:
            reached = audience.gathered.reached
            for joiner in group.joining:
                joiner.count(-len(data))  # it is LIVE, but does not get these
            full += self._join(group, most_joining_bytes)
        for subscriber in full:
            self._full(subscriber, reached)
        if group.ending:
            group.ending = bool(group.joining)  # those get the end later; a full connection has it now and is BEHIND
            for subscriber in [*group.live, *(each for each in full if each.group is group)]:
                self._ended(subscriber)
        if audience.gathered is not None:
            if group.joining:
                self._pending[group] = None
            else:
                self._resume(audience)

    def _resume(self, audience: Audience) -> None:
        """Let an audience be released whose release has waited for joiners, if there are none any more."""
        if audience in self._held and audience.gathered is not None and not audience.gathered.joining:
            del self._held[audience]
            self._release_early(audience, at_once=False)

    def flush_subscriber(self, subscriber: Subscriber) -> None:
        """Hand a LIVE subscriber what is pending for it, and its group what it would get at the same time."""
        group = subscriber.group
        joiner = group.joining.get(subscriber)
        self.flush_group(group, most_joining_bytes=0)
        if joiner is not None:
            self._join_one(subscriber, joiner)

    def _join(self, group: Group, most_bytes: float) -> list[Subscriber]:
        """Write to joiners the events that they have not read. Return the subscribers whose connection is full."""
        full: list[Subscriber] = []
        while most_bytes > 0 and group.joining:
            subscriber, joiner = next(iter(group.joining.items()))
            size_bytes, can_take = self._join_one(subscriber, joiner)
            most_bytes -= size_bytes
            if not can_take:
                full.append(subscriber)
        return full

    def _join_one(self, subscriber: Subscriber, joiner: Joiner) -> tuple[int, bool]:
        """Write to a joiner the events that it has not read; from now on it gets the same bytes as its group. Return
        the number of bytes, and whether its connection can take more."""
        gathered = subscriber.group.audience.gathered
        assert gathered is not None
        assert gathered.released is not None
        part = gathered.released.after(joiner.cursor)
        own = part.data + joiner.notices if joiner.notices else part.data
        gathered.discard(subscriber)
        subscriber.group.live.append(subscriber)
        subscriber.count(len(own))
        self.count(part.events, len(own))
        return len(own), subscriber.write(own) if own else True

    def forget_group(self, group: Group) -> None:
        """Forget a group that has no members any more."""
        self._forget_pending(group)
        if not group.audience.groups:
            self._conflation.forget(group.audience)
            self._releasing.pop(group.audience, None)
            self._held.pop(group.audience, None)
        else:
            self._resume(group.audience)

    def _forget_pending(self, group: Group) -> None:
        self._pending.pop(group, None)
        self.large.pop(group, None)

    def ping(self, comment: bytes) -> Iterator[None]:
        """Write a comment to all LIVE subscribers, in steps. Its bytes are made once for a group; readers of a shared
        deflate stream get the same bytes."""
        for number, audience in enumerate(list(self.audiences)):
            audience.add_notice(comment)
            self._note_pending(audience)
            if number % _STEP == _STEP - 1:
                self.flush_soon()
                yield
        self.flush_soon()

    # Conflation

    def release(self, now_ms: float) -> float | None:
        """Release the gathered events of conflating audiences whose interval is over, as many as one turn of the event
        loop has time for, and flush them soon. Return the time for the next call; None if `wake` will be called
        first."""
        left = ENCODED
        while left > 0 and not self.large:  # a release can be large, too
            audience = next(iter(self._releasing), None) or self._conflation.pop(now_ms)
            if audience is None:
                break
            assert audience.gathered is not None
            if audience.gathered.joining:
                self._releasing.pop(audience, None)
                self._held[audience] = None
                continue
            events = audience.gathered.events
            left -= events.encode_some(left)
            if left > 0:  # all are encoded
                left -= _RELEASE + len(events) // _ENCODED_BEFORE
                self.release_now(audience)
            else:
                self._releasing[audience] = None
        self.flush_soon()
        return now_ms if self._releasing else self._conflation.next_ms(now_ms)

    def _release_early(self, audience: Audience, *, at_once: bool) -> None:
        """Release the gathered events of an audience before its interval is over."""
        if at_once:
            self.release_now(audience)
            self.flush_soon()
        elif audience not in self._releasing:
            self._releasing[audience] = None
            self.wake()

    def release_now(self, audience: Audience) -> None:
        """Make the gathered events of an audience pending, for the next flush."""
        self._releasing.pop(audience, None)
        self._held.pop(audience, None)
        for group in [group for group in audience.groups if group.joining]:
            self.flush_group(group)  # those that join get the frames of this release with the others
        if audience.gathered is not None:
            self.conflated += audience.gathered.events.take_superseded() * len(audience.live)
            audience.gathered.losses = self._log.floors.losses
        audience.release(self._log.head)
        self._note_pending(audience)

    def make_fresh(self, subscriber: Subscriber) -> bool:
        """Let a subscriber that has read up to the head wait for the next release, if it may have read some of the
        gathered events; return whether it waits."""
        audience = subscriber.group.audience
        gathered = audience.gathered
        if gathered is None or not len(gathered.events):
            return False
        if len(gathered.fresh) >= MOST_FRESH:
            self._release_early(audience, at_once=len(gathered.fresh) >= 2 * MOST_FRESH)
        gathered.fresh[subscriber] = self._log.head
        return True

    def count(self, events: int, size_bytes: int) -> None:
        """Count what was handed to connections."""
        self.delivered += events
        self.delivered_bytes += size_bytes


def _cost(group: Group) -> int:
    """The cost of a group's flush, in writes of a few bytes."""
    writes, size = len(group.live), group.pending_bytes
    if group.audience.gathered is not None:
        writes += len(group.joining)
    if size < _LARGE:
        return writes or 1
    return max(writes, 1) * (1 + size // _WRITE_BYTES) + (size // _DEFLATE_BYTES if group.subscription.gzip else 0)
