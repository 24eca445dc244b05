"""Finds out whether any of many patterns matches a channel.

Patterns with one star at an end are found by their literal part, however many there are. The others are tried one after
the other.
"""

from __future__ import annotations

import functools
from collections.abc import Collection

from .events import matches

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
        beginnings: dict[int, set[str]] = {}
        ends: dict[int, set[str]] = {}
        self._others: list[str] = []
        for pattern in patterns:
            beginning, star, end = pattern.partition("*")
            if not star:
                continue  # a channel's name is found among the patterns themselves
            if not end:
                beginnings.setdefault(len(beginning), set()).add(beginning)
            elif not beginning and "*" not in end:
                ends.setdefault(len(end), set()).add(end)
            else:
                self._others.append(pattern)
        self._beginnings = sorted(beginnings.items())
        self._ends = sorted(ends.items())

    def finds(self, channel: str) -> bool:
        return (
            any(channel[:length] in texts for length, texts in self._beginnings)
            or any(channel[-length:] in texts for length, texts in self._ends)
            or any(matches(pattern, channel) for pattern in self._others)
        )


@functools.lru_cache(4096)
def _matcher(patterns: frozenset[str]) -> _Matcher:
    return _Matcher(patterns)
