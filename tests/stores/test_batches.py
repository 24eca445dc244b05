"""Group commit, and the delivery of events in slices."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from rig import ORIGIN, Connection
from turns import turns_during

from sse_hub.core.events import Draft, Event, EventId
from sse_hub.core.groups import StartPosition
from sse_hub.core.hub import Hub
from sse_hub.core.log import Log
from sse_hub.core.subscription import Subscription
from sse_hub.stores.batches import Batches, clean, deliver_in_slices


class Slow:
    """Writes when the test allows it."""

    def __init__(self) -> None:
        self.written: list[Sequence[int]] = []
        self.let = asyncio.Semaphore(0)

    async def write(self, items: Sequence[int]) -> Sequence[int | Exception]:
        await self.let.acquire()
        self.written.append(items)
        if 13 in items:
            raise OSError("the whole write failed")
        return [ValueError("this one only") if item == 7 else item * 2 for item in items]


async def test_items_that_come_during_a_write_share_the_next_one() -> None:
    slow = Slow()
    batches = Batches(slow.write, size=lambda item: 1)
    first = asyncio.create_task(batches.put(1))
    for _ in range(10):  # turns of the loop: its write has begun
        await asyncio.sleep(0)
    others = [asyncio.create_task(batches.put(n)) for n in (2, 3, 4)]
    await asyncio.sleep(0)
    slow.let.release()
    slow.let.release()
    assert await asyncio.gather(first, *others) == [2, 4, 6, 8]
    assert slow.written == [[1], [2, 3, 4]]


async def test_an_exception_in_place_of_a_result_is_that_items_alone() -> None:
    slow = Slow()
    slow.let.release()
    batches = Batches(slow.write, size=lambda item: 1)
    results = await asyncio.gather(*(batches.put(n) for n in (1, 7, 2)), return_exceptions=True)
    assert (results[0], results[2]) == (2, 4)
    assert isinstance(results[1], ValueError)


async def test_a_write_that_fails_fails_for_all_and_the_next_one_is_tried() -> None:
    slow = Slow()
    batches = Batches(slow.write, size=lambda item: 1)
    slow.let.release()
    results = await asyncio.gather(batches.put(13), batches.put(1), return_exceptions=True)
    assert all(isinstance(result, OSError) for result in results)
    slow.let.release()
    assert await batches.put(4) == 8


async def test_closing_waits_for_all_items_and_a_cancelled_waiter_stops_no_other() -> None:
    slow = Slow()
    batches = Batches(slow.write, size=lambda item: 1)
    leaving, staying = asyncio.create_task(batches.put(1)), asyncio.create_task(batches.put(2))
    await asyncio.sleep(0)
    leaving.cancel()
    closing = asyncio.create_task(batches.close())
    slow.let.release()
    await closing
    assert staying.done()
    assert staying.result() == 4
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_large_items_are_written_in_several_writes() -> None:
    slow = Slow()
    batches = Batches(slow.write, size=lambda item: item << 20)
    for _ in range(3):
        slow.let.release()
    await asyncio.gather(*(batches.put(n) for n in (3, 1, 1)))
    assert slow.written == [[3], [1], [1]]


def test_a_lone_surrogate_becomes_a_question_mark_as_on_the_wire() -> None:
    assert clean([Draft("c", "t", "a\ud800ö")])[0].data == "a?ö"


def hub_with(*subscriptions: Subscription) -> tuple[Hub, list[Connection]]:
    """A hub that runs in the event loop, and the connection of a LIVE subscriber for each subscription."""
    hub = Hub(Log(ORIGIN), asyncio.get_running_loop().call_soon)
    connections = [Connection() for _ in subscriptions]
    for subscription, connection in zip(subscriptions, connections, strict=True):
        hub.advance(hub.subscribe(subscription, connection, StartPosition(hub.log.head)))
    return hub, connections


def to(*names: str) -> Subscription:
    return Subscription(frozenset(names), chunked=False)


def events(*data: str, channel: str = "news") -> list[Event]:
    return [Draft(channel, "message", each).accepted(EventId(2000 + n, 0), 2000 + n) for n, each in enumerate(data)]


NUMBERS = [str(number) for number in range(100)]


async def all_get(hub: Hub, connections: Sequence[Connection], data: Sequence[str]) -> None:
    """Wait until everything is written, and check that all have these data."""
    while hub.statistics().delivered < len(connections) * len(data):
        await asyncio.sleep(0)
    assert all(connection.data == data for connection in connections)


async def test_slices_are_smaller_where_many_subscriptions_are_concerned() -> None:
    hub, (one,) = hub_with(to("news"))
    assert await turns_during(deliver_in_slices(hub, events(*NUMBERS))) == 0
    await all_get(hub, [one], NUMBERS)
    hub, many = hub_with(*(to("news", f"user.{number}") for number in range(2000)))
    assert await turns_during(deliver_in_slices(hub, events(*NUMBERS))) > 20
    await all_get(hub, many, NUMBERS)


async def test_slices_are_smaller_where_events_are_large() -> None:
    hub, _ = hub_with()
    assert await turns_during(deliver_in_slices(hub, events(*NUMBERS))) == 0
    hub, _ = hub_with()
    assert await turns_during(deliver_in_slices(hub, events(*["x" * 200_000] * 100))) > 10


async def test_large_events_come_once_and_in_order_to_all_and_a_few_in_a_turn() -> None:
    data = [f"{number}".ljust(40_000, "x") for number in range(10)]
    hub, connections = hub_with(*[to("news")] * 300)
    assert await turns_during(deliver_in_slices(hub, events(*data))) > 10
    await all_get(hub, connections, data)
