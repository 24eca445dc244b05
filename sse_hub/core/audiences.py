"""All audiences of a hub. A subscription leads to its audience, and a channel to its audiences."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from .events import LOWEST_ID, Event, EventId
from .gap import Gap
from .groups import Audience, Group
from .routing import Router
from .subscription import Subscription
from .wire import Compressors, SharedStream

__all__ = ["Audiences"]

_MOST_LOOKS = 10_000
"""Largest number of audiences that are found by lost channels. If there are more, each audience is asked once."""


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

    def that_lost(self, floors: Mapping[str, EventId]) -> Mapping[Audience, EventId]:
        """The audiences that have lost events of these channels up to these ids, each with its highest id."""
        highest: dict[Audience, EventId] = {}
        looks = 0
        for channel, floor in floors.items():
            concerned = self.concerned(channel)
            looks += 1 + len(concerned)
            if looks > _MOST_LOOKS:
                gap = Gap(floors)
                found = ((audience, gap.floor_of(audience.subscription)) for audience in self)
                return {audience: floor for audience, floor in found if floor > LOWEST_ID}
            for audience in concerned:
                highest[audience] = max(floor, highest.get(audience, floor))
        return highest

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
