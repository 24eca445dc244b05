"""Group commit: what is asked for while a write is under way goes into the next one, together.

One publisher alone waits for one write each time. Twenty share each write, and the store is asked a twentieth as often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from ..events import Draft

__all__ = ["Append", "Batches", "clean"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST = 500
"""Appends written at once: a commit must not keep its first one waiting for long."""
_TURNS = 2
"""Turns of the event loop from a request's bytes to its append."""


class Append(NamedTuple):
    """What somebody wants appended."""

    drafts: Sequence[Draft]
    key: str = ""
    """By which a second one is recognised; empty for none."""
    memo: str = ""


class Batches(Generic[Item, Result]):
    """Collects items while a write is under way.

    :param write: writes some items and returns a result for each; an exception in place of a result is raised for that
        item alone, one that is raised is raised for all.
    """

    def __init__(self, write: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]]) -> None:
        self._write = write
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._task: asyncio.Task[None] | None = None

    async def put(self, item: Item) -> Result:
        """Have the item written; return its result. Who is cancelled meanwhile does not know whether it was."""
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await done

    async def close(self) -> None:
        """Wait until everything that was put is written."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                await self._settle(batch)
        finally:
            self._task = None

    async def _gather(self) -> None:
        """Wait as long as each turn of the event loop brings more: publishers that were answered together come back
        together, and the first of them must not have a write for itself."""
        count = 0
        while count < len(self._waiting) < _MOST:
            count = len(self._waiting)
            for _ in range(_TURNS):
                await asyncio.sleep(0)

    async def _settle(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        results: Sequence[Result | Exception]
        try:
            results = await self._write([item for item, _ in batch])
        except Exception as error:  # whatever it is, somebody waits for it: it is raised where the item was put
            results = [error] * len(batch)
        for (_, done), result in zip(batch, results, strict=True):
            if done.done():  # cancelled
                continue
            if isinstance(result, Exception):
                done.set_exception(result)
            else:
                done.set_result(result)


def clean(drafts: Sequence[Draft]) -> list[Draft]:
    """The drafts with data that has a UTF-8: a lone surrogate, which JSON can bring, becomes the question mark that it
    is on the wire."""
    return [draft._replace(data=draft.data.encode("utf-8", "replace").decode()) for draft in drafts]
