from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from sse_hub.core.events import Draft
from sse_hub.stores.batches import Batches, clean


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
