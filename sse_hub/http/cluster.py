"""What nodes that share a store tell each other, and the store's life with the application.

Again and again a node leaves in the store what its subscribers follow, and reads what the others have left. So each
knows the subscribers of all, a few seconds late, without a question to the store for every answer. One node, the
leader, has the lease of the demonstration feed.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from ..core.events import compact_json
from ..core.hub import Hub
from ..core.ports import Cluster, StoreUnavailable
from ..core.subscription import Subscription
from ..tasks import end
from .app_keys import BACKGROUND, HUB

__all__ = ["NODES", "Nodes", "storing"]

_PERIOD = 1.5
_LEASE = "demo"


class Nodes:
    """What this node knows of the others. With a store of its own, it is alone."""

    def __init__(self, hub: Hub) -> None:
        self.is_leader = not isinstance(hub.store, Cluster)
        """Whether this is the node that produces the demonstration feed."""
        self._hub = hub
        self._others: list[tuple[Subscription, int]] = []

    def subscribers(self, channel: str) -> int:
        """How many subscribers follow the channel, on all nodes."""
        others = sum(count for subscription, count in self._others if subscription.covers(channel))
        return self._hub.subscribers(channel) + others

    def channels(self) -> list[str]:
        """Names of the channels that have events, or subscribers by name on any node."""
        theirs = {name for subscription, _ in self._others for name in subscription.names if "*" not in name}
        return sorted(theirs.union(self._hub.channels()))

    async def exchange(self) -> None:
        """Until cancelled, tell the others what is followed here, hear what is followed there, and who leads."""
        store = self._hub.store
        assert isinstance(store, Cluster)
        while True:
            try:
                self._others = _read(await store.exchange(self._entry()))
                self.is_leader = await store.lease(_LEASE)
            except StoreUnavailable:
                self.is_leader = False  # another may lead by now; nobody can publish here anyway
            await asyncio.sleep(_PERIOD)

    def _entry(self) -> str:
        counts = Counter[tuple[frozenset[str], frozenset[str] | None]]()
        for subscription, count in self._hub.subscriptions():
            counts[subscription.names, subscription.granted] += count
        return compact_json(
            [
                [count, sorted(names), None if granted is None else sorted(granted)]
                for (names, granted), count in counts.items()
            ]
        )


NODES: web.AppKey[Nodes] = web.AppKey("nodes", Nodes)


def _read(entries: Sequence[str]) -> list[tuple[Subscription, int]]:
    return [
        (Subscription(frozenset(names), granted=None if granted is None else frozenset(granted)), count)
        for entry in entries
        for count, names, granted in json.loads(entry)
    ]


async def storing(app: web.Application) -> AsyncIterator[None]:
    """Open the store before all else, and close it after all else. A cleanup context."""
    store = app[HUB].store
    await store.open()
    exchanging = app[BACKGROUND].start("cluster", app[NODES].exchange) if isinstance(store, Cluster) else None
    yield
    if exchanging is not None:
        await end(exchanging)
    await store.close()
