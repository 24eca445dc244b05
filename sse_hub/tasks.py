"""Tasks that run for as long as the application does: they are watched, and one that fails begins anew."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable

__all__ = ["Background", "end"]

logger = logging.getLogger("sse_hub")

_PATIENCE = 1.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_SOUND = 60.0
"""Seconds after which a task that began anew is sound again: its next failure is a new one, and is logged."""


class Background:
    """Starts such tasks, and counts how often each had to begin anew.

    A task handles the errors that it knows. What it does not know is a mistake, of ours or of a library; that must not
    leave a server behind that lives and does nothing. It is logged with its traceback, once, and the task is started
    again, after a pause that grows while it keeps failing.
    """

    def __init__(self) -> None:
        self.restarts = Counter[str]()
        """By the name of the task."""

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Run it in a task until that is cancelled, or `run` returns."""
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
                    logger.exception("the task %s failed; it begins anew", name)
                    logged = repr(error)
            else:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task until it has ended.

    Once is not enough for one that talks to Redis: where a cancellation meets an answer or a timeout, its client may
    raise that instead, and a loop that goes on after errors goes on for ever.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_PATIENCE)
    if not task.cancelled():
        task.result()
