"""Finds out whether any of many patterns matches a channel.

Only patterns with the right literal beginning are tried, however many there are. If a pattern begins with a star, its
literal end counts instead.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator

from .events import literals, matches

__all__ = ["matches_any"]

_FEW = 4
"""Up to this number of patterns, trying each is faster than a look-up."""


def matches_any(patterns: Collection[str], channel: str) -> bool:
    """Whether at least one of the names or patterns matches the channel."""
    if len(patterns) <= _FEW:
        return any(matches(pattern, channel) for pattern in patterns)
    return channel in patterns or _matcher(frozenset(patterns)).finds(channel)


class _Matcher:
    def __init__(self, patterns: frozenset[str]) -> None:
        self._by_beginning: dict[int, dict[str, list[str]]] = {}
        self._by_end: dict[int, dict[str, list[str]]] = {}
        for pattern in patterns:
            if "*" not in pattern:
                continue  # a channel's name is found among the patterns themselves
            beginning, end = literals(pattern)
            literal, place = (beginning, self._by_beginning) if beginning else (end, self._by_end)
            place.setdefault(len(literal), {}).setdefault(literal, []).append(pattern)

    def finds(self, channel: str) -> bool:
        return any(matches(pattern, channel) for pattern in self._candidates(channel))

    def _candidates(self, channel: str) -> Iterator[str]:
        for length, patterns in self._by_beginning.items():
            yield from patterns.get(channel[:length], ())
        for length, patterns in self._by_end.items():
            yield from patterns.get(channel[len(channel) - length :], ())


@functools.lru_cache(4096)
def _matcher(patterns: frozenset[str]) -> _Matcher:
    return _Matcher(patterns)
