"""The memory store: its work is spread over turns of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest
from rig import Connection
from turns import most_in_a_turn, turns_during

from sse_hub.core.events import Draft, EventId
from sse_hub.core.groups import StartPosition
from sse_hub.core.hub import Hub
from sse_hub.core.log import Log
from sse_hub.core.rules import Rule, Rules
from sse_hub.core.subscription import Subscription
from sse_hub.stores.memory import MemoryStore

RUNS = Rule(match="run.*", idle_end=60.0)


class Memory:
    """A hub with a memory store, and a clock that a test sets."""

    def __init__(self, *rules: Rule) -> None:
        self.now_ms = 2000
        self.hub = Hub(Log(EventId(1000, 0), Rules(Rule(), rules)), asyncio.get_running_loop().call_soon)
        self.store = self.hub.store = MemoryStore(self.hub, lambda: self.now_ms)

    async def publish(self, channels: int) -> None:
        for number in range(channels):
            await self.hub.publish("a", channel=f"run.{number}")

    def ended(self, channels: int) -> int:
        return sum(self.hub.log.end_of(f"run.{number}") is not None for number in range(channels))


async def test_many_silent_channels_are_ended_in_slices() -> None:
    memory = Memory(RUNS)
    await memory.publish(2000)
    memory.now_ms += 60_000
    assert await turns_during(memory.store.abandon()) >= 10
    assert memory.ended(2000) == 2000


async def test_many_channels_that_are_still_published_to_are_looked_at_in_slices() -> None:
    memory = Memory(RUNS)
    await memory.publish(2000)
    memory.now_ms += 59_000
    await memory.publish(2000)
    memory.now_ms += 1000
    assert await turns_during(memory.store.abandon()) >= 10
    assert memory.ended(2000) == 0


async def test_a_channel_that_is_published_to_while_others_are_ended_goes_on() -> None:
    memory = Memory(RUNS)
    await memory.publish(2000)
    memory.now_ms += 60_000
    abandoning = asyncio.create_task(memory.store.abandon())
    await asyncio.sleep(0)
    assert 0 < memory.ended(2000) < 2000
    await memory.hub.publish_all([Draft("run.1999", "message", "b")])
    await abandoning
    assert memory.ended(2000) == 1999


async def test_many_channels_are_reviewed_in_slices_after_the_rules_were_replaced() -> None:
    memory = Memory()
    await memory.publish(2000)
    await memory.hub.end("run.7")
    memory.hub.log.rules.replace([RUNS])
    memory.now_ms += 59_000
    assert await turns_during(memory.store.abandon()) >= 5
    assert memory.ended(2000) == 1
    memory.now_ms += 1000
    await memory.store.abandon()
    assert memory.ended(2000) == 2000


async def test_a_batch_for_many_subscriptions_is_delivered_in_slices_and_later_publishes_wait_for_its_end() -> None:
    memory = Memory()
    connections = [Connection() for _ in range(2000)]
    for number, connection in enumerate(connections):
        subscription = Subscription(frozenset({"news", f"user.{number}"}), chunked=False)
        memory.hub.advance(memory.hub.subscribe(subscription, connection, StartPosition(memory.hub.log.head)))
    batch = [Draft("news", "message", str(number)) for number in range(50)]
    publishing = asyncio.create_task(memory.hub.publish_all(batch))
    await asyncio.sleep(0)
    assert 0 < memory.hub.log.retained < 50
    late, ended = await asyncio.gather(memory.hub.publish("late", channel="news"), memory.hub.end("news"))
    published = await publishing
    assert [event.data for event in published] == [draft.data for draft in batch]
    assert [event.id for event in published] == sorted(event.id for event in published if event.id is not None)
    assert published[-1].id is not None
    assert late is not None
    assert published[-1].id < late < ended
    while memory.hub.statistics().delivered < 2000 * 52:
        await asyncio.sleep(0)
    assert all(connection.data == [*map(str, range(50)), "late"] for connection in connections)


async def test_publishes_of_one_turn_share_its_time() -> None:
    memory = Memory()
    for number in range(2000):
        subscription = Subscription(frozenset({"news", f"user.{number}"}))
        memory.hub.advance(memory.hub.subscribe(subscription, Connection(), StartPosition(memory.hub.log.head)))

    def publish(number: int) -> Coroutine[None, None, object]:
        return memory.hub.publish(str(number), channel="news")

    async def publish_all() -> None:
        batch = asyncio.create_task(memory.hub.publish_all([Draft("news", "message", "batch")] * 10))
        await asyncio.sleep(0)  # later publishes wait for its end
        await asyncio.gather(batch, *map(publish, range(20)))
        await asyncio.gather(*map(publish, range(20, 40)))

    def published() -> int:
        return memory.hub.statistics().published

    assert await most_in_a_turn(publish_all(), published) <= 6  # as many before the flush of a turn as after it
    assert published() == 50
    retained = memory.hub.log.get("news")
    assert retained is not None
    data = [event.data for event in retained.after(EventId(0, 0))]
    assert data == ["batch"] * 10 + [str(number) for number in range(40)]


async def test_a_batch_goes_on_to_its_end_if_its_publisher_is_cancelled() -> None:
    memory = Memory()
    for number in range(2000):
        subscription = Subscription(frozenset({"news", f"user.{number}"}))
        memory.hub.advance(memory.hub.subscribe(subscription, Connection(), StartPosition(memory.hub.log.head)))
    publishing = asyncio.create_task(memory.hub.publish_all([Draft("news", "message", "a")] * 50))
    await asyncio.sleep(0)
    assert 0 < memory.hub.log.retained < 50
    publishing.cancel()
    await memory.store.close()
    assert memory.hub.log.retained == 50


async def test_channels_that_are_forgotten_at_once_share_the_time_of_a_turn() -> None:
    memory = Memory()
    for number in range(3000):
        subscription = Subscription(frozenset({"run.*", f"user.{number}"}))
        memory.hub.advance(memory.hub.subscribe(subscription, Connection(), StartPosition(memory.hub.log.head)))
    await memory.publish(20)
    forgetting = asyncio.gather(*(memory.store.forget(f"run.{number}") for number in range(20)))
    assert await most_in_a_turn(forgetting, lambda: memory.hub.statistics().lost) == 3000
    assert memory.hub.statistics().lost == 20 * 3000
    await memory.hub.publish("b", channel="run.7")
    assert memory.hub.log.retained == 1


@pytest.mark.parametrize("conflate_ms", [0, 60_000])
async def test_many_streams_that_end_with_a_channel_end_in_steps_before_it_is_forgotten(conflate_ms: int) -> None:
    memory = Memory()
    connections = [Connection() for _ in range(2000)]
    for connection in connections:
        subscription = Subscription(frozenset({"run"}), chunked=False, conflate_ms=conflate_ms)
        memory.hub.advance(memory.hub.subscribe(subscription, connection, StartPosition(memory.hub.log.head)))

    async def end_and_forget() -> None:
        await memory.hub.publish("a", channel="run")
        await memory.hub.end("run")
        forgetting = asyncio.create_task(memory.store.forget("run"))
        await asyncio.sleep(0)
        await memory.hub.publish("next life", channel="run")
        await forgetting

    assert await most_in_a_turn(end_and_forget(), lambda: -memory.hub.statistics().subscribers) < 250
    for connection in connections:
        assert [event.type for event in connection.received] == ["message", "end"]
        assert connection.finished is True
    assert memory.hub.log.retained == 1
