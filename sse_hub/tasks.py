"""Background tasks, which run as long as the application and are started again when they fail; and work that is spread
over turns of the event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["Background", "Soon", "Turns", "end", "in_slices"]

Item = TypeVar("Item")

logger = logging.getLogger("sse_hub")

_PATIENCE = 1.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_SOUND = 60.0
"""Seconds after which a restarted task counts as sound again. Its next failure is then logged."""


class Background:
    """Starts background tasks and counts their restarts.

    A task handles the errors that it expects. Any other error is a bug, in this code or in a library. Without the task,
    the server would live and do nothing. So the error is logged once with its traceback, and the task is started again
    after a pause. The pause grows if the task keeps failing.
    """

    def __init__(self) -> None:
        self.restarts = Counter[str]()
        """Restarts by the name of the task."""

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Run a function in a task until the task is cancelled or the function returns."""
        self.restarts[name] += 0
        return asyncio.create_task(self._run(name, run), name=name)

    async def _run(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        pause, logged = _FIRST_PAUSE, ""
        while True:
            began = time.monotonic()
            try:
                await run()
            except Exception as error:
                if time.monotonic() - began > _SOUND:
                    pause, logged = _FIRST_PAUSE, ""
                self.restarts[name] += 1
                if repr(error) != logged:
                    logger.exception("the task %s failed; it is started again", name)
                    logged = repr(error)
            else:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


class Turns:
    """Spreads work over turns of the event loop. Work that finds its turn free begins without waiting.

    :param most: how much of it may begin in one turn.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = most
        self._waiting = deque[asyncio.Future[None]]()

    async def take(self) -> None:
        """Wait for a turn that has a place, in the order of the calls."""
        loop = asyncio.get_running_loop()
        if self._free == self._most:
            loop.call_soon(self._begin_next)
        if self._free:
            self._free -= 1
        else:
            place = loop.create_future()
            self._waiting.append(place)
            await place

    def _begin_next(self) -> None:
        self._free = self._most
        while self._waiting and self._free:
            place = self._waiting.popleft()
            if not place.done():  # it is done if its task was cancelled
                place.set_result(None)
                self._free -= 1
        if self._free < self._most:
            asyncio.get_running_loop().call_soon(self._begin_next)


class Soon(Generic[Item]):
    """Does something with items, with a few of them in each turn of the event loop, in the order of the calls. An item
    that finds its turn free is done at once.

    :param do: called with each item. If it raises an error for one that has waited, the event loop logs it, and the
        others follow.
    :param most: the items of one turn.
    """

    def __init__(self, do: Callable[[Item], None], most: int) -> None:
        self._do = do
        self._most = most
        self._free = most
        self._waiting = deque[Item]()

    def add(self, item: Item) -> None:
        """Do it with this item, in this turn or in the next one that has a place."""
        if self._free == self._most:
            asyncio.get_running_loop().call_soon(self._do_next)
        if self._free and not self._waiting:
            self._free -= 1
            self._do(item)
        else:
            self._waiting.append(item)

    def _do_next(self) -> None:
        self._free = self._most
        try:
            while self._waiting and self._free:
                self._free -= 1
                self._do(self._waiting.popleft())
        finally:
            if self._free < self._most:
                asyncio.get_running_loop().call_soon(self._do_next)


async def in_slices(items: Sequence[Item], size: int) -> AsyncIterator[Sequence[Item]]:
    """Give a long sequence in slices of this size; between two slices, the event loop does other work."""
    for begin in range(0, len(items), size):
        if begin:
            await asyncio.sleep(0)
        yield items[begin : begin + size]


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task, again and again until it has ended.

    One cancellation is not enough for a task that talks to Redis. If it comes together with an answer or a timeout, the
    client may raise the timeout instead, and a loop that continues after errors would continue for ever.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_PATIENCE)
    if not task.cancelled():
        task.result()
