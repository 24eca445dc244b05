"""Background tasks, and work that is done in turns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
from eventually import eventually
from turns import most_in_a_turn

from sse_hub.tasks import Background, Soon, Turns, end, in_slices


async def test_a_task_that_fails_is_logged_once_and_started_again_and_the_restart_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    background, begun, third = Background(), 0, asyncio.Event()

    async def run() -> None:
        nonlocal begun
        begun += 1
        if begun == 3:
            third.set()
            await asyncio.sleep(60)
        raise KeyError("unexpected")

    task = background.start("example", run)
    async with asyncio.timeout(10):
        await third.wait()
    assert background.restarts["example"] == 2
    assert [record.message for record in caplog.records] == ["the task example failed; it is started again"]
    await end(task)


async def test_a_task_that_returns_is_not_started_again() -> None:
    background = Background()

    async def run() -> None:
        pass

    await background.start("example", run)
    assert background.restarts == {"example": 0}


async def test_work_begins_in_the_order_of_the_calls_and_only_so_much_in_a_turn() -> None:
    turns, begun = Turns(2), list[int]()

    async def work(number: int) -> None:
        await turns.take()
        begun.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(5)]
    seen = []
    while len(begun) < 5:
        await asyncio.sleep(0)
        seen.append(list(begun))
    assert begun == [0, 1, 2, 3, 4]
    assert max(len(later) - len(earlier) for earlier, later in pairwise([[], *seen])) == 2
    await asyncio.gather(*tasks)


async def test_work_that_is_cancelled_while_it_waits_takes_no_turn() -> None:
    turns = Turns(1)
    _, cancelled, last = tasks = [asyncio.create_task(turns.take()) for _ in range(3)]
    asyncio.get_running_loop().call_soon(cancelled.cancel)  # in the turn in which all three call
    async with asyncio.timeout(10):
        await asyncio.wait(tasks)
    assert cancelled.cancelled()
    assert not last.cancelled()


async def test_a_turn_is_free_again_after_it_has_passed() -> None:
    turns = Turns(1)
    async with asyncio.timeout(10):
        for _ in range(3):
            await turns.take()
            await asyncio.sleep(0)


async def test_items_are_done_in_the_order_of_the_calls_and_only_so_many_in_a_turn() -> None:
    done: list[int] = []
    soon = Soon(done.append, 3)
    soon.add(0)
    assert done == [0]
    for item in range(1, 10):
        soon.add(item)
    assert done == [0, 1, 2]
    assert await most_in_a_turn(eventually(lambda: len(done) == 10), lambda: len(done)) == 3
    assert done == [*range(10)]


async def test_an_item_that_has_waited_and_fails_is_logged_and_the_others_follow(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[int] = []
    soon = Soon[int](lambda item: done.append(10 // item), 2)
    for item in (10, 5, 0, 2, 1):
        soon.add(item)
    await eventually(lambda: done == [1, 2, 5, 10])
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]


@pytest.mark.parametrize(("count", "slices", "turns"), [(0, [], 0), (3, [3], 0), (7, [3, 3, 1], 2)])
async def test_a_sequence_is_given_in_slices_and_the_loop_turns_between_them(
    count: int, slices: list[int], turns: int
) -> None:
    loop, seen, given = asyncio.get_running_loop(), 0, list[Sequence[int]]()

    def note() -> None:
        nonlocal seen
        seen += 1
        loop.call_soon(note)

    loop.call_soon(note)
    async for some in in_slices(range(count), 3):
        given.append(some)
    assert (list(map(len, given)), seen) == (slices, turns)
    assert [number for some in given for number in some] == list(range(count))
