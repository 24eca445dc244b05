"""What the hub needs of others, as Protocols.

Connection      what a subscriber's bytes are written to
Store           what makes events durable and gives them their ids; every store can do this much

and the abilities that only some stores have, each a Protocol of its own:

Archive         it keeps more than the hub's log, and events are read from it in pages
IdempotentStore it knows an `Idempotency-Key` again, after a restart and on another node
Cluster         several nodes share it: they count each other's subscribers and agree who does what

StoreUnavailable is the one error of a store. It passes: trying again later is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from .events import Draft, Event, EventId
from .subscription import Subscription

__all__ = [
    "Archive",
    "Cluster",
    "Connection",
    "Exchanged",
    "IdempotentStore",
    "Page",
    "Retained",
    "Store",
    "StoreUnavailable",
]


class StoreUnavailable(Exception):
    """The store cannot do this now.

    :param reason: what is wrong, as a sentence for a person.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Connection(Protocol):
    """What a subscriber's bytes are written to."""

    def write(self, data: bytes) -> bool:
        """Send the bytes without waiting; say whether it can take more at once. After False it calls `advance` when it
        can."""


class Store(Protocol):
    """What makes events durable and gives them their ids."""

    @property
    def trouble(self) -> str | None:
        """Why nothing can be published now, as a sentence; None while all is well."""

    async def open(self) -> None:
        """Hand the hub what is retained, by `Hub.restart`. What cannot be done now is tried again until `close`: see
        `trouble`."""

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        """Make events of the drafts, all or none, and hand them to `Hub.deliver`; return them once they are safe.

        :raises StoreUnavailable: if that cannot be done, or if nobody knows whether it was.
        """

    async def close(self) -> None:
        """End, once what was accepted is safe."""


class Retained(NamedTuple):
    """What is retained of a channel."""

    channel: str
    events: int
    first: EventId
    last: EventId


class Page(NamedTuple):
    """Some of an archive's events."""

    events: Sequence[Event]
    """Those of the subscription's channels, by id, whatever their type."""
    reached: EventId
    """There is nothing more up to this id."""
    floors: Mapping[str, EventId]
    """By channel, the id of the newest event that the archive no longer has, if that is above `after`: a cursor there
    has lost events. Under the empty name, the floor of all channels that have none of their own."""


@runtime_checkable
class Archive(Protocol):
    """A store that keeps more than the hub's log. Each method raises StoreUnavailable if the store cannot be read."""

    async def page(self, subscription: Subscription, after: EventId, upto: EventId) -> Page:
        """The oldest events above `after` and not above `upto`, as many as make a page."""

    async def back(self, subscription: Subscription, count: int, most: int) -> tuple[EventId, Mapping[str, EventId]]:
        """The cursor after which the last `count` wanted events come, or all if there are fewer, found by a look at
        `most` events; and the floors above it, as a page has them."""

    async def reach(self, id: EventId) -> bool:
        """Wait until the hub has been handed every event up to this id; False if the store never gave it out.

        :raises StoreUnavailable: also if the hub is too late with it. Late is not lost.
        """

    async def channels(self, after: str, count: int) -> Sequence[Retained]:
        """What the archive retains of each channel, for `count` channels whose names come after this one, by name."""


@runtime_checkable
class IdempotentStore(Protocol):
    """A store that makes an event of a draft once, however often and wherever it is asked for."""

    async def append_once(self, key: str, drafts: Sequence[Draft], memo: str) -> tuple[Sequence[EventId | None], str]:
        """Append as `append` does; or, if that was done with this key in the last ten minutes, do nothing. The ids and
        the memo are those of the first time.

        :raises StoreUnavailable: as `append` does; the same key then finds out what happened.
        """


class Exchanged(NamedTuple):
    """What a node hears of the others."""

    nodes: frozenset[str]
    """Those that are alive."""
    changes: Sequence[tuple[str, Mapping[str, int], bool]]
    """In the order in which they happened: of which node, by a subscription how many have it now, and whether these are
    all that the node has."""
    forgotten: bool
    """Whether the store has forgotten this node, which then says all again."""


@runtime_checkable
class Cluster(Protocol):
    """A store that several nodes share."""

    async def lease(self, name: str) -> bool:
        """Take or renew a lease for ten seconds at most; say whether this node has it.

        :raises StoreUnavailable: if nobody knows.
        """

    async def exchange(self, changes: Mapping[str, int], *, all: bool) -> Exchanged:
        """Leave how many subscribers follow what here, as far as that has changed, and get what has changed elsewhere.

        :param changes: by a subscription, as text, how many have it now; 0 for none any more.
        :param all: whether these are all that there are, because the store may have something else of this node.
        :raises StoreUnavailable: if the store cannot be reached; then nobody knows what it has.
        """
