"""A store that is shared with another node, as far as nodes see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sse_hub.core.events import Draft, Event
from sse_hub.core.ports import Exchanged

__all__ = ["SharedStore"]


class SharedStore:
    """A store that is shared with another node.

    :param exchanged: its answer to every exchange.
    :param lease: called for every lease.
    """

    trouble = None

    def __init__(self, exchanged: Exchanged, lease: Callable[[], bool]) -> None:
        self.appended: list[Draft] = []
        self._exchanged = exchanged
        self._lease = lease

    async def open(self) -> None:
        pass

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        self.appended += drafts
        return []

    async def forget(self, channel: str) -> None:
        pass

    async def close(self) -> None:
        pass

    async def lease(self, name: str) -> bool:
        return self._lease()

    async def exchange(self, changes: Mapping[str, int], *, all: bool) -> Exchanged:
        return self._exchanged
