"""The Mercure subscriptions of other nodes, and those that a killed process has left.

See docs/protocol.md, "Active subscriptions".

An update about a subscription reaches all nodes in the one order of updates. So a list agrees with the id that it gives
to go on after. The exchange adds the subscriptions whose updates are no longer retained, and it shows which nodes live:
a subscription that no living node reports is over, and one of the nodes publishes its end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from itertools import islice

from ..core.ports import Cluster, Exchanged
from ..core.update_hub import UpdateHub
from .exchange import Exchange
from .mercure_documents import Document, Subscribed, draft_of

__all__ = ["Elsewhere"]

_LEASE = "subscriptions"
_PATIENCE = 5.0  # nodes report every 1.5 s
_MOST_ENDED = 10_000
"""Largest number of ended subscriptions that are remembered, because their node may report them once more."""
_AT_ONCE = 100
_STEP = 200
"""Largest number of reports, and of their subscriptions, that are looked at in one turn of the event loop: 1 ms."""


class Elsewhere(Exchange):
    """The subscriptions that are not of this process.

    :param hub: its store takes the ends that are published.
    :param patience: seconds for which no node has reported a subscription when its end is published.
    """

    def __init__(self, hub: UpdateHub, *, patience: float = _PATIENCE) -> None:
        super().__init__()
        self._hub = hub
        self._patience = patience
        self.active: dict[str, Document] = {}
        """Documents by their ids, which are the topics of their updates."""
        self._ended: dict[str, None] = {}
        self._reported: dict[str, int] = {}  # by document's id, the nodes that have it
        self._unreported: dict[str, float] = {}  # since when, by a monotonic clock
        self._here: dict[str, int] = {}
        self._changed: dict[str, int] = {}

    def note(self, document: Document) -> None:
        """Note an update about a subscription that is not of this process."""
        id = str(document["id"])
        if document.get("active"):
            self._ended.pop(id, None)
            self._add(id, document)
        else:
            self.active.pop(id, None)
            self._unreported.pop(id, None)
            self._ended[id] = None
            if len(self._ended) > _MOST_ENDED:
                del self._ended[next(iter(self._ended))]

    def report(self, subscribed: Subscribed, *, active: bool) -> None:
        """Note a subscription of this process for the other nodes.

        :param active: whether it has begun; False if it has ended.
        """
        if not isinstance(self._hub.store, Cluster):
            return  # there are no other nodes, and no exchange would empty these notes
        text = subscribed.text
        self._changed[text] = int(active)
        if active:
            self._here[text] = 1
        else:
            self._here.pop(text, None)

    async def end_all(self) -> None:
        """Publish the end of all of them, because this node has the store for itself.

        :raises StoreUnavailable: if the store is away.
        """
        while self.active:
            await self._end(list(islice(self.active, _AT_ONCE)))

    async def _end(self, ids: Sequence[str]) -> None:
        ids = [id for id in ids if id in self.active]  # an end may have come while the lease was asked for
        if not ids:
            return
        await self._hub.store.append([draft_of(self.active[id], active=False) for id in ids])
        for id in ids:  # mostly the store has delivered the ends already, which removes them
            self.active.pop(id, None)
            self._unreported.pop(id, None)

    async def _apply(self, store: Cluster, exchanged: Exchanged) -> None:
        await super()._apply(store, exchanged)
        latest = time.monotonic() - self._patience
        while over := [id for id, since in islice(self._unreported.items(), _AT_ONCE) if since < latest]:
            if not await store.lease(_LEASE):
                break  # another node does it
            await self._end(over)

    async def _changed_counts(self) -> Mapping[str, int]:
        changed, self._changed = self._changed, {}
        return changed

    def _all_counts(self) -> Mapping[str, int]:
        return self._here

    async def _set_counts(self, node: str, counts: Mapping[str, int]) -> None:
        known = self._counts_by_node.setdefault(node, {})
        looked_at = 0
        for text, count in counts.items():
            if (text in known) != bool(count):
                subscribed = Subscribed.read(text)
                for document in subscribed.documents() if subscribed is not None else ():
                    self._count(document, 1 if count else -1)
                    looked_at += 1
                    if looked_at % _STEP == 0:
                        await asyncio.sleep(0)
            if count:
                known[text] = count
            else:
                known.pop(text, None)
            looked_at += 1
            if looked_at % _STEP == 0:
                await asyncio.sleep(0)

    def _count(self, document: Document, change: int) -> None:
        """Note that a node reports a subscription, or no longer does."""
        id = str(document["id"])
        self._reported[id] = self._reported.get(id, 0) + change
        if self._reported[id]:
            self._unreported.pop(id, None)
            if id not in self._ended:
                self.active.setdefault(id, document)
            return
        del self._reported[id]
        if id in self.active:
            self._unreported[id] = time.monotonic()

    def _add(self, id: str, document: Document) -> None:
        self.active[id] = document
        if id not in self._reported:
            self._unreported.setdefault(id, time.monotonic())

    def _note_store_away(self) -> None:
        """Do nothing: without the store, the subscriptions of other nodes stay as they were."""
