"""Conflation: once in an interval, a reader of values gets the newest event of each channel and type.

A conflating audience gathers the events that are published for it. Once in its interval, the newest ones go to all of
its groups, as the same bytes; an event that was superseded meanwhile is never sent. After an interval without events,
the next one goes out at once.

A subscriber that joins while events are gathered has already read those up to the log's head of that moment. It is
*fresh* until the next release, which gives it only the later ones. The release after that waits until all of these
subscribers have got their parts.

A turn of the event loop has no time to encode 30,000 values. So before a release, they are encoded in steps. If too
much waits, the release comes before the end of the interval. If twice as much waits, nothing waits for the steps.

Nothing here reads a clock. `Delivery.release` is called with the time, and says when to call it next: one timer for all
audiences, and none while nothing is published.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from .due import Due
from .events import Event, EventId
from .subscription import Subscription
from .wire import encode, wrap

__all__ = ["ENCODED", "MOST_FRESH", "Conflation", "NewestEvents", "Released"]

MOST_FRESH = 500
"""Largest number of fresh subscribers of an audience. Each needs a write of its own. With one more, the release comes
early."""
ENCODED = 1000
_BYTES = 256
"""Events encoded in one step, which takes about a millisecond; and bytes of data that cost as much as another event."""
_MOST_BYTES = 4 << 20
"""Largest size of the data that are gathered. With more, the release comes early: a reader may give an interval of a
minute, and the log's limits do not count what waits here."""
_LAST = EventId(1 << 64, 0)
"""Above every id."""


class NewestEvents:
    """Events for a subscription, in the order in which they came. If it conflates, the newest of each channel and type.

    A superseded event is never encoded. Encoding is a quarter of the cost of a publish, and with conflation nearly all
    events are superseded (`python -m bench values`).
    """

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._events: dict[object, Event] = {}
        self._size = 0  # of the data, in characters
        self._to_encode: Iterator[Event] | None = None
        self._encoded: dict[Event, bytes] = {}  # the frames of large events; the others keep theirs
        self.superseded = 0
        """Events left out because a newer one supersedes them."""

    def __len__(self) -> int:
        return len(self._events)

    @property
    def are_large(self) -> bool:
        """Whether they should not wait for the end of the interval."""
        return self._size > _MOST_BYTES

    @property
    def are_too_large(self) -> bool:
        """Whether they should not wait at all."""
        return self._size > 2 * _MOST_BYTES

    def add(self, event: Event) -> None:
        """Add an event. If the subscription conflates, those that it supersedes go."""
        key: object = len(self._events)
        if self._subscription.conflate_ms:
            key = event.channel, event.type
            if (former := self._events.pop(key, None)) is not None:
                self.superseded += 1
                self._size -= len(former.data)
        self._events[key] = event
        self._size += len(event.data)

    def take_superseded(self) -> int:
        """The number of events left out since the last call."""
        superseded, self.superseded = self.superseded, 0
        return superseded

    def encode_some(self, most: int) -> int:
        """Encode some of the events that `take` will return; return the cost. It is less than `most` when all are
        encoded, except those that were added since the first step."""
        if self._to_encode is None:
            self._to_encode = iter(list(self._events.values()))
        cost = 0
        for event in self._to_encode:
            if not self._has_frame(event):
                frame = encode(self._subscription, event)
                if not self._has_frame(event):
                    self._encoded[event] = frame
                cost += 1 + len(event.data) // _BYTES
                if cost >= most:
                    break
        return cost

    def _has_frame(self, event: Event) -> bool:
        return (event.envelope if self._subscription.envelope else event.frame) is not None

    def take(self) -> Sequence[tuple[Event, bytes]]:
        """Return all events with their frames and keep none."""
        events, self._events, self._size, self._to_encode = self._events, {}, 0, None
        encoded, self._encoded = self._encoded, {}
        return [(e, encoded.get(e) or encode(self._subscription, e)) for e in events.values()]


class Part(NamedTuple):
    """The end of what was released."""

    events: int
    data: bytes


class Released:
    """Events that were gathered, as the bytes of one release."""

    def __init__(self, subscription: Subscription, events: Sequence[tuple[Event, bytes]]) -> None:
        self._subscription = subscription
        self._events = [event for event, _ in events]
        self._frames = [frame for _, frame in events]
        self._ids: Sequence[EventId] = ()
        self._last_part = _LAST, Part(0, b"")
        self.data = b"".join(self._frames)
        """All frames."""

    def __len__(self) -> int:
        return len(self._events)

    def after(self, cursor: EventId) -> Part:
        """The events after a cursor, as bytes for the transport. Events without an id come with the next one that has
        an id."""
        known, part = self._last_part
        if cursor != known:  # many have joined at the same moment
            self._ids = self._ids or self._find_ids()
            begin = bisect_right(self._ids, cursor)
            part = Part(len(self) - begin, wrap(self._subscription, self._frames[begin:]))
            self._last_part = cursor, part
        return part

    def _find_ids(self) -> Sequence[EventId]:
        ids, following = [], _LAST
        for event in reversed(self._events):
            following = event.id or following
            ids.append(following)
        return ids[::-1]


class Gathering(Hashable, Protocol):
    """An audience that gathers frames."""

    @property
    def has_gathered(self) -> bool: ...

    @property
    def interval_ms(self) -> int: ...


G = TypeVar("G", bound=Gathering)


class Conflation(Generic[G]):
    """When each conflating audience is released next.

    :param wake: called when an audience may be released at once.
    """

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self._due = Due[G]()  # those that were released less than an interval ago
        self._ready: dict[G, None] = {}

    def gather(self, audience: G) -> None:
        """Note that the audience has gathered something."""
        if audience not in self._due and audience not in self._ready:
            self._ready[audience] = None
            self._wake()

    def forget(self, audience: G) -> None:
        """Forget an audience that has no subscribers any more."""
        self._due.discard(audience)
        self._ready.pop(audience, None)

    def pop(self, now_ms: float) -> G | None:
        """An audience that has gathered something and may be released; None if there is none now."""
        while (audience := next(iter(self._ready), None) or self._due.pop(now_ms)) is not None:
            self._ready.pop(audience, None)
            if audience.has_gathered:
                self.note_released(audience, now_ms)
                return audience
        return None

    def note_released(self, audience: G, now_ms: float) -> None:
        """Begin the interval in which the audience is not released."""
        self._ready.pop(audience, None)
        self._due.at(audience, now_ms + audience.interval_ms)

    def next_ms(self, now_ms: float) -> float | None:
        """The time at which the next audience may be released; None if `wake` will be called first."""
        return now_ms if self._ready else self._due.next_ms
