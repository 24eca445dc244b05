"""The exchange between nodes that share a store; also opens and closes the store.

A node tells the others which subscriptions have changed (exchange.py). So each node knows the number of subscribers of
all nodes, a few seconds late, and the number for a channel is a look-up. One node, the leader, has the lease of the
demonstration feed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial

from aiohttp import web

from ..core.events import check_pattern, compact_json
from ..core.hub import Hub
from ..core.ports import Cluster, Exchanged
from ..core.routing import Router
from ..core.subscription import Subscription
from ..tasks import end
from .app_keys import BACKGROUND, HUB
from .exchange import Exchange

__all__ = ["NODES", "Nodes", "storing"]

_LEASE = "demo"
_STEP = 1000
"""Subscriptions, and channels and patterns of them, that are looked at in one turn of the event loop: 3 ms."""
_LOOKS = 2000
"""Largest number of subscriptions whose subscribers are counted in one turn: 2 ms if the channel has no route yet."""


class _RemoteAudience:
    """The subscribers of other nodes that have one subscription."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.members = 0


class Nodes(Exchange):
    """This node's knowledge of the other nodes. A node with a store of its own is alone.

    :param candidate: whether this node can lead. A node without the demonstration feed must not take the lease: then no
        node would produce the feed.
    """

    def __init__(self, hub: Hub, *, candidate: bool = True) -> None:
        super().__init__()
        self._candidate = candidate
        self.is_leader = not isinstance(hub.store, Cluster)
        """Whether this is the node that produces the demonstration feed."""
        self._hub = hub
        self._known: dict[Subscription, int] = {}  # the numbers here that the others know
        self._here = Counter[str]()  # the same by key
        self._entries: dict[str, _RemoteAudience] = {}  # by key
        self._router = Router[_RemoteAudience]()

    def subscribers(self, channel: str) -> int:
        """How many subscribers follow the channel, on all nodes."""
        here = self._hub.subscribers(channel)
        return here + sum(each.members for each in self._router.route(channel)) if self._entries else here

    async def counts(self, channels: Sequence[str]) -> Sequence[int]:
        """How many subscribers follow each of these channels. A thousand channels that ten thousand different
        subscriptions cover take half a second, so the event loop does other work meanwhile."""
        found: list[int] = []
        looked_at = 0
        for channel in channels:
            if looked_at >= _LOOKS:
                looked_at = 0
                await asyncio.sleep(0)
            found.append(self.subscribers(channel))
            looked_at += 1 + len(self._hub.audiences.concerned(channel))
            if self._entries:
                looked_at += len(self._router.route(channel))
        return found

    def channels(self, after: str, most: int) -> list[str]:
        """Sorted names of the channels that subscribers of other nodes follow by name: at most `most`, from the first
        after a name."""
        return self._router.names(after, most)

    async def exchange(self, store: Cluster) -> None:
        """Exchange subscriptions with the other nodes and renew the lease of the leader, until cancelled."""
        if self._hub.audiences.changed is None:
            self._hub.audiences.changed = dict.fromkeys(each.subscription for each in self._hub.audiences)
        await super().exchange(store)

    async def _apply(self, store: Cluster, exchanged: Exchanged) -> None:
        await super()._apply(store, exchanged)  # first: the lease may fail
        self.is_leader = self._candidate and await store.lease(_LEASE)

    def _note_store_away(self) -> None:
        self.is_leader = False  # another node may lead by now, and without a store none can publish

    def _all_counts(self) -> Mapping[str, int]:
        return self._here

    async def _changed_counts(self) -> Mapping[str, int]:
        """The numbers of subscribers here that have changed, by key."""
        audiences = self._hub.audiences
        changed, audiences.changed = audiences.changed or {}, {}
        changes: dict[str, int] = {}
        looked_at = 0
        for subscription in changed:
            if looked_at >= _STEP:
                looked_at = 0
                await asyncio.sleep(0)
            looked_at += _cost(subscription)
            members = audiences.members(subscription)
            key = _key(subscription)
            self._here[key] += members - self._known.pop(subscription, 0)
            if members:
                self._known[subscription] = members
            changes[key] = self._here[key]
            if not changes[key]:
                del self._here[key]
        return changes

    async def _set_counts(self, node: str, counts: Mapping[str, int]) -> None:
        known = self._counts_by_node.setdefault(node, {})
        looked_at = 0
        for key, count in counts.items():
            if looked_at >= _STEP:
                looked_at = 0
                await asyncio.sleep(0)
            looked_at += 1
            entry = self._entries.get(key) or self._add(key)
            if entry is None:
                continue
            looked_at += _cost(entry.subscription)
            entry.members += count - known.pop(key, 0)
            if count:
                known[key] = count
            if not entry.members:
                self._router.remove(entry)
                del self._entries[key]

    def _add(self, key: str) -> _RemoteAudience | None:
        """An entry for a subscription; None for a key that a hub has not written."""
        with contextlib.suppress(ValueError, TypeError):
            names, granted = json.loads(key)
            for name in (*names, *(granted or ())):
                check_pattern(name)
            entry = _RemoteAudience(
                Subscription(frozenset(names), granted=None if granted is None else frozenset(granted))
            )
            self._entries[key] = entry
            self._router.add(entry)
            return entry
        return None


def _cost(subscription: Subscription) -> int:
    """How many names are looked at for a subscription, and one for itself."""
    return 1 + len(subscription.names) + len(subscription.granted or ())


def _key(subscription: Subscription) -> str:
    """The channels and patterns of a subscription, as text. The form of its events does not matter here."""
    granted = subscription.granted
    return compact_json([sorted(subscription.names), None if granted is None else sorted(granted)])


NODES: web.AppKey[Nodes] = web.AppKey("nodes", Nodes)


async def storing(app: web.Application) -> AsyncIterator[None]:
    """Open the store first, and close it last. A cleanup context."""
    store = app[HUB].store
    await store.open()
    exchanging = None
    if isinstance(store, Cluster):
        exchanging = app[BACKGROUND].start("cluster", partial(app[NODES].exchange, store))
    yield
    if exchanging is not None:
        await end(exchanging)
    await store.close()
