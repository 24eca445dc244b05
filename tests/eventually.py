"""Waiting for a condition without an event: look again and again, up to a time limit."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast, overload

import pytest

__all__ = ["PATIENCE", "eventually"]

PATIENCE = 30.0
"""Seconds after which an event that should have come has not. Nothing is measured by it: a machine that is busy with
something else may take as long, and only a test that fails waits for all of it."""
PAUSE = 0.01

T = TypeVar("T")


@overload
async def eventually(
    condition: Callable[[], Awaitable[T]], limit: float = ..., *, despite: tuple[type[Exception], ...] = ...
) -> T: ...


@overload
async def eventually(
    condition: Callable[[], T], limit: float = ..., *, despite: tuple[type[Exception], ...] = ...
) -> T: ...


async def eventually(
    condition: Callable[[], T | Awaitable[T]],
    limit: float = PATIENCE,
    *,
    despite: tuple[type[Exception], ...] = (),
) -> T:
    """Wait until a condition holds; return the truthy value that it gave then.

    A condition that blocks may be used where nothing else runs in the event loop meanwhile.

    :param condition: a function or coroutine function without arguments.
    :param limit: seconds after which the test fails, with what the condition gave last.
    :param despite: errors of the condition that mean "not yet".
    """
    last: object = "nothing: it did not return"
    try:
        async with asyncio.timeout(limit) as scope:
            while True:
                try:
                    given = condition()
                    value = cast(T, await given if inspect.isawaitable(given) else given)
                except despite as error:
                    last = error
                else:
                    if value:
                        return value
                    last = value
                await asyncio.sleep(PAUSE)
    except TimeoutError:
        if not scope.expired():
            raise
    pytest.fail(f"did not come true within {limit:g} s; the condition gave last: {last!r}")
