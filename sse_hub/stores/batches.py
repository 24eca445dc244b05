"""Group commit: items that come during a write are written together in the next one.

A single publisher waits for one write each time. Twenty publishers share each write, so the store has a twentieth of
the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from ..core.events import Draft, Event, EventId
from ..core.hub import Hub

__all__ = ["Append", "Batches", "clean", "deliver_in_slices", "forget_in_steps"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST = 500
"""Largest number of items written at once. With more, the first one would wait too long for the commit."""
_MOST_BYTES = 1 << 20
"""Largest number of bytes of several items written at once. Over a slow line, a larger pipeline would time out."""
_EVENT_BYTES = 100
"""Approximate size of an event besides its data. Without it, a hundred batches of 10,000 short lines would be one
write, for which all other publishers would wait."""
_TURNS = 2
"""Turns of the event loop from a request's bytes to its append."""
SLICE = 250
"""Events made in one turn of the event loop. Together with their delivery, this takes about 3 ms."""


class Append(NamedTuple):
    """Events to append."""

    drafts: Sequence[Draft]
    key: str = ""
    """The idempotency key. Empty for none."""
    memo: str = ""
    if_idle: bool = False
    """Whether to append nothing if there is a publish to the channel meanwhile."""
    forget: str = ""
    """A channel to forget. There are no drafts then."""
    rest: Iterator[None] | None = None
    """A delivery that has begun. There are no drafts then."""

    def size_bytes(self) -> int:
        """Approximate number of bytes to write."""
        return sum(len(draft.data) + _EVENT_BYTES for draft in self.drafts)


class Batches(Generic[Item, Result]):
    """Collects items during a write.

    :param write: writes some items and returns a result for each. An exception in place of a result is raised for that
        item alone; an exception that it raises is raised for all items.
    :param size: the bytes of an item.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        size: Callable[[Item], int],
    ) -> None:
        self._write = write
        self._size = size
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is being written."""
        return self._task is None

    async def put(self, item: Item) -> Result:
        """Write an item; return its result. A caller that is cancelled does not know whether the item was written."""
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await done

    async def close(self) -> None:
        """Wait until all items are written."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                await self._write_batch(self._next())
        finally:
            self._task = None

    async def _gather(self) -> None:
        """Wait while each turn of the event loop brings more items. Publishers that were answered together publish
        again together, and the first of them should not have a write of its own."""
        count = 0
        while count < len(self._waiting) < _MOST:
            count = len(self._waiting)
            for _ in range(_TURNS):
                await asyncio.sleep(0)

    def _next(self) -> Sequence[tuple[Item, asyncio.Future[Result]]]:
        size = self._size(self._waiting[0][0])
        count = 1
        for item, _ in self._waiting[1:_MOST]:
            size += self._size(item)
            if size > _MOST_BYTES:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    async def _write_batch(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        results: Sequence[Result | Exception]
        try:
            results = await self._write([item for item, _ in batch])
        except Exception as error:  # callers wait for the result; the error is raised in each of them
            results = [error] * len(batch)
        for (_, done), result in zip(batch, results, strict=True):
            if done.done():  # cancelled
                continue
            if isinstance(result, Exception):
                done.set_exception(result)
            else:
                done.set_result(result)


async def deliver_in_slices(hub: Hub, events: Sequence[Event]) -> None:
    """Deliver events to the hub in slices; between two slices, the event loop does other work."""
    for _ in hub.deliver(events):
        await asyncio.sleep(0)


async def forget_in_steps(hub: Hub, channel: str, floor: EventId) -> None:
    """Forget a channel in steps, as the hub needs it, and let the event loop do other work after it: for ten thousand
    audiences, the last step takes 14 ms."""
    for _ in hub.forget(channel, floor):
        await asyncio.sleep(0)
    await asyncio.sleep(0)


def clean(drafts: Sequence[Draft]) -> Sequence[Draft]:
    """The drafts with data that can be encoded as UTF-8. JSON can bring a lone surrogate; it becomes a question mark,
    as on the wire."""
    return [draft if draft.data.isascii() else draft._replace(data=_clean(draft.data)) for draft in drafts]


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
