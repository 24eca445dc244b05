"""The loop in which a node exchanges something countable with the other nodes of its store (docs/architecture.md).

Every 1.5 s, a node writes its changes into the store and reads those of the others. A node that was not heard of for
five seconds is forgotten.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping

from ..core.ports import Cluster, Exchanged, StoreUnavailable

__all__ = ["Exchange"]

_PERIOD = 1.5


class Exchange(ABC):
    """What this node knows of the others: by node, counts by a text that both understand."""

    def __init__(self) -> None:
        self._there: dict[str, dict[str, int]] = {}

    async def exchange(self, store: Cluster) -> None:
        """Exchange with the other nodes, until cancelled."""
        all = True
        while True:
            changes = await self._changes()
            try:
                exchanged = await store.exchange(self._everything() if all else changes, all=all)
                all = exchanged.forgotten
                await self._hear(store, exchanged)
            except StoreUnavailable:
                self._be_alone()
                all = True  # the last message may not have arrived
            await asyncio.sleep(_PERIOD)

    async def _hear(self, store: Cluster, exchanged: Exchanged) -> None:
        """Note the news.

        :raises StoreUnavailable: if the store is needed for that and is away.
        """
        for node in self._there.keys() - exchanged.nodes:
            await self._set(node, dict.fromkeys(self._there[node], 0))
            del self._there[node]
        for node, counts, whole in exchanged.changes:
            if node in exchanged.nodes:
                gone = self._there.get(node, {}).keys() - counts.keys() if whole else ()
                await self._set(node, {**dict.fromkeys(gone, 0), **counts})

    @abstractmethod
    async def _changes(self) -> Mapping[str, int]:
        """What has changed here since the last call."""

    @abstractmethod
    def _everything(self) -> Mapping[str, int]:
        """All that is here."""

    @abstractmethod
    async def _set(self, node: str, counts: Mapping[str, int]) -> None:
        """Note these counts of a node, in `_there`, too; 0 is for what it no longer has."""

    @abstractmethod
    def _be_alone(self) -> None:
        """Note that the store is away."""
