"""Ending a task of one's own."""

from __future__ import annotations

import asyncio

__all__ = ["end"]

_PATIENCE = 1.0


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
