from __future__ import annotations

import asyncio

import pytest

from sse_hub.tasks import Background, end


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
