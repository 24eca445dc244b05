"""The memory store: its work is spread over turns of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from types import SimpleNamespace

from sse_hub.core.events import Draft, EventId
from sse_hub.core.hub import Hub
from sse_hub.core.log import Log
from sse_hub.core.rules import Rule, Rules
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


async def turns_during(work: Awaitable[object]) -> int:
    """The turns that the event loop has for others while it does this work."""
    loop, turns = asyncio.get_running_loop(), SimpleNamespace(count=0, over=False)

    def turn() -> None:
        turns.count += 1
        if not turns.over:
            loop.call_soon(turn)

    loop.call_soon(turn)
    await work
    turns.over = True
    return int(turns.count)


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
