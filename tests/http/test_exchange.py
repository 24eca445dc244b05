"""The exchange between nodes, when the store fails or something happens in the middle of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from eventually import eventually

from sse_hub.core.events import LOWEST_ID, Draft, Event
from sse_hub.core.hub import Hub
from sse_hub.core.log import Log
from sse_hub.core.ports import Cluster, Exchanged, StoreUnavailable
from sse_hub.core.update_hub import UpdateHub
from sse_hub.http.cluster import Nodes
from sse_hub.http.exchange import Exchange
from sse_hub.http.mercure_documents import Subscribed
from sse_hub.http.mercure_elsewhere import Elsewhere

ALONE = Exchanged(frozenset(), (), False)


class SharedStore:
    """A store that is shared with another node.

    :param exchanged: its answer to every exchange.
    :param lease: called for every lease.
    """

    trouble = None

    def __init__(self, exchanged: Exchanged, lease: Callable[[], bool]) -> None:
        self.appended: list[Draft] = []
        self._exchanged = exchanged
        self._lease = lease

    async def open(self) -> None:
        pass

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        self.appended += drafts
        return []

    async def forget(self, channel: str) -> None:
        pass

    async def close(self) -> None:
        pass

    async def lease(self, name: str) -> bool:
        return self._lease()

    async def exchange(self, changes: Mapping[str, int], *, all: bool) -> Exchanged:
        return self._exchanged


async def exchanging_until(condition: Callable[[], bool], exchange: Exchange, store: Cluster) -> None:
    """Exchange until the condition holds."""
    task = asyncio.create_task(exchange.exchange(store))
    await eventually(lambda: condition() or task.done())
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_subscribers_of_other_nodes_are_counted_although_the_lease_fails() -> None:
    def fail() -> bool:
        raise StoreUnavailable("The store is away.")

    hub = Hub(Log(LOWEST_ID), asyncio.get_running_loop().call_soon)
    hub.store = store = SharedStore(
        Exchanged(frozenset({"other"}), [("other", {'[["alerts"],null]': 7}, True)], False), fail
    )
    nodes = Nodes(hub)
    await exchanging_until(lambda: nodes.subscribers("alerts") == 7, nodes, store)
    assert not nodes.is_leader


async def test_a_subscription_that_ends_while_the_lease_is_asked_for_is_not_ended_again() -> None:
    ending, other = (next(Subscribed(f"urn:{name}", ("t",), None).documents()) for name in ("ending", "other"))

    def take_lease() -> bool:
        elsewhere.note({**ending, "active": False})
        return True

    hub = UpdateHub(Log(LOWEST_ID), asyncio.get_running_loop().call_soon)
    hub.store = store = SharedStore(ALONE, take_lease)
    elsewhere = Elsewhere(hub, patience=0.0)
    for document in (ending, other):
        elsewhere.note(document)
    await exchanging_until(lambda: not elsewhere.active, elsewhere, store)
    assert ["urn:other" in draft.data for draft in store.appended] == [True]
