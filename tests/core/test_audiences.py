"""All audiences of a hub, and the way from a channel to its audiences."""

from __future__ import annotations

import tracemalloc

from rig import Rig

from sse_hub.core.audiences import Audiences
from sse_hub.core.subscription import Subscription


def test_a_group_made_after_its_channel_was_routed_gets_its_events(rig: Rig) -> None:
    rig.subscribe("a")
    rig.publish("x", channel="a")
    later, _ = rig.subscribe("*")
    rig.publish("y", channel="a")
    rig.turn()
    assert later.data == ["y"]


def test_a_subscription_of_its_own_takes_less_than_750_bytes_besides_its_name() -> None:
    audiences, subscriptions = Audiences(64), [Subscription(frozenset({f"user.{number}"})) for number in range(1000)]
    tracemalloc.start()
    try:
        groups = [audiences.enter(subscription) for subscription in subscriptions]
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / len(groups) < 750
