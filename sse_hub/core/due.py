"""The time at which each of many keys is due next. Keys that are not due cost nothing."""

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
        self._heap: list[tuple[float, int, K]] = []  # replaced times stay here until `pop` meets them
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
        """Remove and return a key that is due; None if no key is due."""
        while self._heap and self._heap[0][0] <= now_ms:
            _, number, key = heappop(self._heap)
            if self._entries.get(key, (0, -1))[1] == number:
                del self._entries[key]
                return key
        return None

    @property
    def next_ms(self) -> float | None:
        """A time before which no key is due; None if there are no keys."""
        return self._heap[0][0] if self._heap else None

    def bring_forward(self, ms: float) -> None:
        """Let every key be due at that time or earlier."""
        self._entries = {key: (min(due, ms), number) for key, (due, number) in self._entries.items()}
        self._rebuild()

    def clear(self) -> None:
        """Remove all keys."""
        self._entries.clear()
        self._heap.clear()

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._entries) + 64:
            self._rebuild()

    def _rebuild(self) -> None:
        self._heap = [(due, number, key) for key, (due, number) in self._entries.items()]
        heapify(self._heap)
