"""When each of many things has to be looked at next. What is not due costs nothing."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

__all__ = ["Due"]

K = TypeVar("K", bound=Hashable)


class Due(Generic[K]):
    """Keys, each with a time in milliseconds."""

    def __init__(self) -> None:
        self._entries: dict[K, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, K]] = []  # those that were replaced stand here until they are met
        self._numbers = count()

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def at(self, key: K, ms: float) -> None:
        """Let the key be due at that time, and at no other."""
        number = next(self._numbers)
        self._entries[key] = ms, number
        heappush(self._heap, (ms, number, key))
        self._compact()

    def by(self, key: K, ms: float) -> None:
        """Let the key be due at that time, unless it is earlier."""
        entry = self._entries.get(key)
        if entry is None or entry[0] > ms:
            self.at(key, ms)

    def discard(self, key: K) -> None:
        """Let the key be due at no time."""
        self._entries.pop(key, None)
        self._compact()

    def pop(self, now_ms: float) -> K | None:
        """A key that is due, which then is no more; None if there is none."""
        while self._heap and self._heap[0][0] <= now_ms:
            _, number, key = heappop(self._heap)
            if self._entries.get(key, (0, -1))[1] == number:
                del self._entries[key]
                return key
        return None

    @property
    def next_ms(self) -> float | None:
        """When the first of them may be due; None if none is."""
        return self._heap[0][0] if self._heap else None

    def bring_forward(self, ms: float) -> None:
        """Let all be due at that time at the latest."""
        self._entries = {key: (min(due, ms), number) for key, (due, number) in self._entries.items()}
        self._rebuild()

    def clear(self) -> None:
        """Let nothing be due."""
        self._entries.clear()
        self._heap.clear()

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._entries) + 64:
            self._rebuild()

    def _rebuild(self) -> None:
        self._heap = [(due, number, key) for key, (due, number) in self._entries.items()]
        heapify(self._heap)
