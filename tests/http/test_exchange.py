"""The exchange between nodes, when the store fails or something happens in the middle of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress

from eventually import eventually
from shared_store import SharedStore
from turns import most_in_a_turn

from sse_hub.core.events import LOWEST_ID
from sse_hub.core.hub import Hub
from sse_hub.core.log import Log
from sse_hub.core.ports import Cluster, Exchanged, StoreUnavailable
from sse_hub.core.update_hub import UpdateHub
from sse_hub.http.cluster import Nodes
from sse_hub.http.exchange import Exchange
from sse_hub.http.mercure_documents import Subscribed
from sse_hub.http.mercure_elsewhere import Elsewhere

ALONE = Exchanged(frozenset(), (), False)


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


async def test_few_patterns_of_other_nodes_are_noted_in_a_turn_however_many_a_subscription_has() -> None:
    patterns = 300
    keys = [json.dumps([["alerts", *(f"r{i}.{j}.*" for j in range(patterns))], None]) for i in range(50)]
    hub = Hub(Log(LOWEST_ID), asyncio.get_running_loop().call_soon)
    hub.store = store = SharedStore(
        Exchanged(frozenset({"other"}), [("other", dict.fromkeys(keys, 1), True)], False), lambda: True
    )
    nodes = Nodes(hub)
    noting = exchanging_until(lambda: nodes.subscribers("alerts") == len(keys), nodes, store)
    assert patterns * await most_in_a_turn(noting, lambda: nodes.subscribers("alerts")) < 3000


async def test_few_subscriptions_of_other_nodes_are_noted_in_a_turn_however_many_topics_a_subscriber_has() -> None:
    topics = [f"t{number}" for number in range(100)]
    texts = [Subscribed(f"urn:{number}", topics, None).text for number in range(50)]
    hub = UpdateHub(Log(LOWEST_ID), asyncio.get_running_loop().call_soon)
    hub.store = store = SharedStore(
        Exchanged(frozenset({"other"}), [("other", dict.fromkeys(texts, 1), True)], False), lambda: True
    )
    elsewhere = Elsewhere(hub)
    noting = exchanging_until(lambda: len(elsewhere.active) == 5000, elsewhere, store)
    assert await most_in_a_turn(noting, lambda: len(elsewhere.active)) < 500
