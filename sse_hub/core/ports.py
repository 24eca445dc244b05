"""The hub's requirements of other layers, as Protocols.

Connection      takes the bytes of a subscriber
Store           makes events durable and gives them their ids; every store can do this

Some stores can do more. Each ability is a Protocol of its own:

Archive         it keeps more than the hub's log, and events are read from it in pages
Catalogue       the same, and it knows the state of whole channels
IdempotentStore it knows an `Idempotency-Key` again, after a restart and on another node
Cluster         several nodes share it: they count each other's subscribers and agree who does what

StoreUnavailable is the error of a store. It passes: trying again later is right. `ends.Ended` is that of a channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from .ends import End
from .events import Draft, Event, EventId
from .subscription import Subscription

__all__ = [
    "KEY_AGE_MS",
    "Archive",
    "Catalogue",
    "ChannelState",
    "Cluster",
    "Connection",
    "Exchanged",
    "Finish",
    "IdempotentStore",
    "Page",
    "Retained",
    "Store",
    "StoreUnavailable",
]


class StoreUnavailable(Exception):
    """The store cannot do this now.

    :param reason: a sentence that says what is wrong.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Finish(Protocol):
    """See `Connection.finish`."""

    def __call__(self, *, complete: bool) -> None: ...


class Connection(Protocol):
    """Takes the bytes of a subscriber."""

    def write(self, data: bytes) -> bool:
        """Send the bytes without waiting; return whether the connection can take more now. After False, its owner calls
        `Hub.advance` as soon as it can."""

    def finish(self, *, complete: bool) -> None:
        """End the stream after the written bytes. If it is not complete, events are missing, and the client cannot be
        informed of it. The hub has already forgotten the subscriber."""


class Store(Protocol):
    """Makes events durable and gives them their ids."""

    @property
    def trouble(self) -> str | None:
        """A sentence that says why nothing can be published now. None if the store works."""

    async def open(self) -> None:
        """Give the hub the retained events, by `Hub.restart`. If this is impossible now, `trouble` says why, and the
        store tries again until `close`."""

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        """Make events of the drafts, all or none, and give them to `Hub.deliver`; return them once they are safe.

        :raises StoreUnavailable: if that cannot be done, or if the outcome is unknown.
        :raises Ended: if a channel takes no more events.
        """

    async def forget(self, channel: str) -> None:
        """Forget what is retained of the channel, its end included, by `Hub.forget`.

        :raises StoreUnavailable: as `append` does.
        """

    async def close(self) -> None:
        """Close the store after all accepted events are safe."""


class Retained(NamedTuple):
    """The number and the ids of a channel's retained events."""

    channel: str
    events: int
    first: EventId
    last: EventId


class Page(NamedTuple):
    """Some of an archive's events."""

    events: Sequence[Event]
    """Events of the subscription's channels, of all types, in id order."""
    reached: EventId
    """The page is complete up to this id."""
    floors: Mapping[str, EventId]
    """By channel, the id of the newest event that the archive no longer has, if it is above `after`. A cursor below it
    has lost events. The empty name stands for all channels without a floor of their own."""


@runtime_checkable
class Archive(Protocol):
    """A store that keeps more than the hub's log. Each method raises StoreUnavailable if the store cannot be read."""

    async def page(self, subscription: Subscription, after: EventId, upto: EventId) -> Page:
        """The first page of events above `after`, up to `upto`."""

    async def back(self, subscription: Subscription, count: int, most: int) -> tuple[EventId, Mapping[str, EventId]]:
        """The cursor before the last `count` wanted events, or before all if there are fewer, and the floors above it
        as in a page. At most `most` events are looked at."""

    async def reach(self, id: EventId) -> bool:
        """Wait until the hub has every event up to this id; return False if the store never issued this id.

        :raises StoreUnavailable: also if the hub takes too long. A late event is not a lost event.
        """

    async def channels(self, after: str, count: int) -> Sequence[Retained]:
        """The retained events of the first `count` channels after this name, sorted by name."""


class ChannelState(NamedTuple):
    """The state of a channel."""

    exists: bool
    """Whether anything of it is retained."""
    end: End | None
    """How it has ended; None if it has not."""


@runtime_checkable
class Catalogue(Protocol):
    """A store that keeps more than the hub's log, by channel. Each method raises StoreUnavailable if the store cannot
    be read."""

    async def beginning(self, subscription: Subscription) -> tuple[EventId, bool, Mapping[str, EventId]]:
        """A cursor before all retained events; whether a channel has lost events of its beginning; and the floors above
        the cursor, as in a page."""

    async def latest(self, subscription: Subscription, after: str, count: int) -> tuple[Sequence[Event], str | None]:
        """The newest wanted event of each of the subscription's channels, for the first `count` channels after the name
        `after`; and the name to go on after, None if there are no more channels."""

    async def state(self, channel: str) -> ChannelState:
        """The state of a channel."""


KEY_AGE_MS = 600_000
"""How long an `Idempotency-Key` is known."""


@runtime_checkable
class IdempotentStore(Protocol):
    """A store that publishes only once for each key, on all nodes."""

    async def append_once(self, key: str, drafts: Sequence[Draft], memo: str) -> tuple[Sequence[EventId | None], str]:
        """Append like `append`. If this key was used within `KEY_AGE_MS`, append nothing and return the ids and the
        memo of that time.

        :raises StoreUnavailable: as in `append`. A repetition with the same key finds out what happened.
        """


class Exchanged(NamedTuple):
    """News about the other nodes."""

    nodes: frozenset[str]
    """The nodes that are alive."""
    changes: Sequence[tuple[str, Mapping[str, int], bool]]
    """The changes in their order: the node, the number of subscribers by subscription, and whether these are all
    subscriptions of the node."""
    forgotten: bool
    """Whether the store has forgotten this node, which then has to give all its subscriptions again."""


@runtime_checkable
class Cluster(Protocol):
    """A store that several nodes share."""

    async def lease(self, name: str) -> bool:
        """Take or renew a lease for at most ten seconds; return whether this node has it.

        :raises StoreUnavailable: if this is unknown now.
        """

    async def exchange(self, changes: Mapping[str, int], *, all: bool) -> Exchanged:
        """Give the other nodes the numbers of subscribers here that have changed, and get the changed numbers of the
        others.

        :param changes: by subscription, as text, how many subscribers it has now; 0 if it has none any more.
        :param all: whether these are all subscriptions of this node, because the store may have outdated ones, or this
            node may. Then it gets all subscriptions of the others, too.
        :raises StoreUnavailable: if the store cannot be reached.
        """
