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
    """The knowledge of this node about the others: by node, a number for each key. A subclass defines the keys."""

    def __init__(self) -> None:
        self._counts_by_node: dict[str, dict[str, int]] = {}

    async def exchange(self, store: Cluster) -> None:
        """Exchange with the other nodes, until cancelled."""
        all = True
        while True:
            changes = await self._changed_counts()
            try:
                exchanged = await store.exchange(self._all_counts() if all else changes, all=all)
                all = exchanged.forgotten
                await self._apply(store, exchanged)
            except StoreUnavailable:
                self._note_store_away()
                all = True  # the last message may not have arrived
            await asyncio.sleep(_PERIOD)

    async def _apply(self, store: Cluster, exchanged: Exchanged) -> None:
        """Note the changes of the other nodes.

        :raises StoreUnavailable: if the store is needed for that and cannot be reached.
        """
        for node in self._counts_by_node.keys() - exchanged.nodes:
            await self._set_counts(node, dict.fromkeys(self._counts_by_node[node], 0))
            del self._counts_by_node[node]
        for node, counts, whole in exchanged.changes:
            if node in exchanged.nodes:
                gone = self._counts_by_node.get(node, {}).keys() - counts.keys() if whole else ()
                await self._set_counts(node, {**dict.fromkeys(gone, 0), **counts})

    @abstractmethod
    async def _changed_counts(self) -> Mapping[str, int]:
        """The numbers of this node that have changed since the last call, by key."""

    @abstractmethod
    def _all_counts(self) -> Mapping[str, int]:
        """All numbers of this node, by key."""

    @abstractmethod
    async def _set_counts(self, node: str, counts: Mapping[str, int]) -> None:
        """Note these numbers of a node, also in `_counts_by_node`. 0 means that the node no longer has the key."""

    @abstractmethod
    def _note_store_away(self) -> None:
        """Note that the store cannot be reached."""
