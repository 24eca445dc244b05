"""Counting the turns of the event loop that others have during some work, and what happens in each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

__all__ = ["most_in_a_turn", "turns_during"]


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


async def most_in_a_turn(work: Awaitable[object], count: Callable[[], int]) -> int:
    """How much a number grows in one turn of the event loop while it does this work, at most."""
    loop, turns = asyncio.get_running_loop(), SimpleNamespace(before=count(), most=0, over=False)

    def look() -> None:
        now = count()
        turns.most, turns.before = max(turns.most, now - turns.before), now

    def turn() -> None:
        look()
        if not turns.over:
            loop.call_soon(turn)

    loop.call_soon(turn)
    await work
    turns.over = True
    look()
    return int(turns.most)
