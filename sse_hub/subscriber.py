"""A subscriber's place in the log, and the group that shares its bytes. The theory is in hub.py's docstring."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from .deflate import Shared, wrapped
from .events import Event, EventId, Subscription, compact_json, frame
from .ports import Connection
from .replay import Stretch

if TYPE_CHECKING:
    from .hub import Hub

__all__ = ["Group", "Place", "State", "Subscriber", "lost_notice"]

_NEVER = EventId(0, 0)


class Place(NamedTuple):
    """Where a subscriber begins."""

    cursor: EventId
    lost: bool = False
    """Whether events after its own cursor are gone."""
    floors: Mapping[str, EventId] = MappingProxyType({})
    """The floors of a store that are above the cursor, as `ports.Page` has them: what it is informed of already."""


class State(Enum):
    LIVE = "live"
    BEHIND = "behind"
    GONE = "gone"


class Group:
    """The subscribers of one subscription, and the frames that they get in this turn."""

    def __init__(self, subscription: Subscription, floor: EventId, shared: Shared | None = None) -> None:
        self.subscription = subscription
        self.shared = shared
        """The deflate stream that it has in common with the subscription's other groups; None without compression."""
        self.floor = floor
        """Below it, a cursor cannot be continued from the log."""
        self.live: dict[Subscriber, Callable[[bytes], bool]] = {}
        self.members = 0
        self.pending: list[bytes] = []
        self.pending_bytes = 0
        self.pending_events = 0
        self.flushed_bytes = 0

    def add(self, event: Event) -> None:
        if self.live and self.subscription.wants(event):
            self._add(event, self.subscription.encode(event))
            self.pending_events += 1

    def add_notice(self, data: bytes) -> None:
        """Add what is no event."""
        self._add(data, data)

    def _add(self, what: Event | bytes, frame: bytes) -> None:
        if self.shared is None:
            self.pending.append(frame)
        else:
            self.shared.add(what, frame)
        self.pending_bytes += len(frame)

    def take_pending(self) -> bytes:
        """What the group gets in this turn, as the bytes that go to the transport; nothing is pending afterwards."""
        if self.shared is None:
            data = wrapped(self.subscription, self.pending)
        else:
            self.shared.cut()
            data = self.subscription.enclose(b"".join(self.pending))
        self.pending = []
        self.pending_bytes = self.pending_events = 0
        return data


class Subscriber:
    """One connection's place in the log. Made by `Hub.subscribe`."""

    __slots__ = (
        "_group",
        "_handed_bytes",
        "_hub",
        "_informed",
        "_losses",
        "_write",
        "cursor",
        "lost",
        "replayed",
        "resumed",
        "state",
    )

    def __init__(self, hub: Hub, group: Group, connection: Connection, place: Place) -> None:
        self.state = State.BEHIND
        self.cursor = place.cursor
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
        # What it has been informed of: losses of the log by their number, those of a store by its floors.
        self._losses = hub.log.floors.losses
        self._informed = place.floors
        self._handed_bytes = 0

    @property
    def subscription(self) -> Subscription:
        return self._group.subscription

    @property
    def handed_bytes(self) -> int:
        """Bytes that the hub has written to its connection."""
        return self._handed_bytes + (self._group.flushed_bytes if self.state is State.LIVE else 0)

    @property
    def below_log(self) -> EventId | None:
        """Where the log begins, if what comes next is older than that and may be in the store. The owner then gets a
        page from the store and calls `feed`; `advance` does nothing."""
        if self.state is not State.BEHIND or self.cursor >= self._group.floor or self._hub.archive is None:
            return None
        return self._group.floor

    def part(self) -> None:
        """Be GONE, and let go of the connection, which may hold its subscriber: the two would be a cycle."""
        self.state = State.GONE
        self._write = _refuse

    def fall_behind(self, head: EventId) -> None:
        """Note that it has been handed everything up to the head, and lacks nothing of that."""
        self.cursor = head
        self._losses = self._hub.log.floors.losses

    def advance(self) -> bool:
        """While BEHIND, write the next page; say whether more may be left. Nothing happens in another state."""
        if self.state is not State.BEHIND or self.below_log is not None:
            return self.state is State.BEHIND
        notice = self._notice_loss()
        stretch = self._hub.stretch(self.subscription, self.cursor)
        can_take = self._hand(notice, stretch, caught_up=not stretch.full and stretch.reached >= self._hub.log.head)
        if not stretch.full and stretch.reached >= self._hub.log.head and can_take:
            self._hub.join(self)
        return self.state is State.BEHIND

    def feed(self, after: EventId, stretch: Stretch) -> None:
        """Write a page of the store, which begins at `after`."""
        if self.state is not State.BEHIND or self.cursor != after:
            return
        informed, self._informed = self._informed, stretch.floors
        lost = any(floor > informed.get(channel, _NEVER) for channel, floor in stretch.floors.items())
        self._hand(self._notice(stretch.following) if lost else b"", stretch, caught_up=False)

    def _hand(self, notice: bytes, stretch: Stretch, *, caught_up: bool) -> bool:
        """Write a page and move the cursor to its end; say whether the connection can take more."""
        self.cursor = stretch.reached
        written = [wrapped(self.subscription, [notice])] if notice else []
        if stretch.data:
            written.append(stretch.data)
        if self.replayed is not None:
            self.replayed += stretch.events
            if caught_up:
                live = frame(compact_json({"replayed": self.replayed}), type="live")
                written.append(wrapped(self.subscription, [live]))
                self.replayed = None
        data = b"".join(written) if len(written) != 1 else written[0]  # a page alone goes out in the bytes all share
        self._handed_bytes += len(data)
        self._hub.count_delivered(stretch.events, len(data))
        return self._write(data) if data else True

    def _notice_loss(self) -> bytes:
        """What informs the subscriber of events that have gone from the log since it was informed last; nothing if it
        lacks none."""
        log = self._hub.log
        since, self._losses = self._losses, log.floors.losses
        if since == self._losses:
            return b""
        floor = log.floors.risen(self.subscription, self.cursor, since)
        return b"" if floor is None else self._notice(log.following(self.subscription, floor))

    def _notice(self, following: EventId) -> bytes:
        self._hub.count_lost()
        return lost_notice(self.cursor, following)


def _refuse(data: bytes) -> bool:
    return False


def lost_notice(after: EventId, following: EventId) -> bytes:
    """The event `lost`: between these two ids, events are gone. It has no id of its own: a client that is cut off here
    still has the old cursor, and is informed again."""
    return frame(compact_json({"after": str(after), "next": str(following)}), type="lost")
