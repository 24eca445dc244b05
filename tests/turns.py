"""Counting the turns of the event loop that others have during some work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from types import SimpleNamespace

__all__ = ["turns_during"]


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
