"""Ends: a channel that has ended takes no more events until it is forgotten.

An end is an event of the type `end`, and the last of its channel. It is stored, replayed and forgotten like others.

Ended    a channel has ended, and cannot be published to
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from .due import Due
from .events import END, LOWEST_ID, Draft, Event, EventId, compact_json
from .rules import Rules
from .times import Times

__all__ = ["ABANDONED", "REASONS", "End", "Ended", "Idle", "Silent", "end_draft", "read_reason", "reason_of"]

REASONS = ("done", "failed", "cancelled")
"""The reasons for which a client may end a channel."""
ABANDONED = "abandoned"
"""The reason for which the hub ends a channel: there was no publish for the `idle_end` of its rule."""
_KNOWN = frozenset({*REASONS, ABANDONED})
_STEP = 100
"""Channels that one step of a search for silent ones looks at. With the memory store, ending all of them takes 3 ms."""


class End(NamedTuple):
    """How a channel has ended."""

    id: EventId
    """The id of the event `end`."""
    reason: str


class Ended(Exception):
    """A channel has ended: it takes no more events until it is forgotten.

    :param channel: its name.
    :param reason: `done`, `failed`, `cancelled` or `abandoned`.
    """

    def __init__(self, channel: str, reason: str) -> None:
        super().__init__(f"the channel {channel!r} has ended: {reason}")
        self.channel = channel
        self.reason = reason


def end_draft(channel: str, reason: str) -> Draft:
    """The event `end` of a channel, for the store."""
    return Draft(channel, END, compact_json({"channel": channel, "reason": reason}))


def reason_of(event: Event) -> str | None:
    """The reason for which the event ends its channel; None if it is not an `end` that a hub has written."""
    return read_reason(event.type, event.data)


def read_reason(type: str, data: str) -> str | None:
    """The same, from the type and the data of an event."""
    if type != END:
        return None
    try:
        value: Any = json.loads(data)
        reason = value["reason"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return reason if isinstance(reason, str) and reason in _KNOWN else None


class Silent(NamedTuple):
    """The result of one step of a search for silent channels."""

    channels: Sequence[str]
    more: bool
    """Whether there may be more of them now."""


class Idle:
    """Finds the channels that have no publishes any more. A publish costs one entry in a dict."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._published: dict[str, int] = {}
        self._found = set[str]()
        self._due = Due[str]()
        self._times = Times()

    def __contains__(self, channel: str) -> bool:
        """Whether the channel was published to since `find` gave it, or ever."""
        return channel in self._published

    def is_silent(self, channel: str) -> bool:
        """Whether the last `find` gave the channel, and it was neither published to nor forgotten since."""
        return channel in self._found

    def note(self, channel: str, now_ms: int) -> None:
        """Note a publish to the channel."""
        self._found.discard(channel)
        idle_end = self._rules.of(channel).idle_end
        if idle_end is not None:
            self._times.latest_ms = max(self._times.latest_ms, now_ms)
            self._published[channel] = now_ms
            if channel not in self._due:
                self._due.at(channel, now_ms + idle_end * 1000)

    def review(self, channel: str, published_ms: int, now_ms: int) -> None:
        """Note that the rule of a channel may be a new one. The channel has not ended.

        :param published_ms: the time of its last publish, as far as the caller knows; publishes without an `idle_end`
            were not noted.
        """
        self._found.discard(channel)
        idle_end = self._rules.of(channel).idle_end
        if idle_end is None:
            self.discard(channel)
            return
        # The clock may have been ahead then.
        published_ms = min(max(published_ms, self._published.get(channel, 0)), now_ms)
        self._published[channel] = published_ms
        self._due.by(channel, published_ms + idle_end * 1000)

    def discard(self, channel: str) -> None:
        """Note that the channel has ended, or is forgotten."""
        self._published.pop(channel, None)
        self._found.discard(channel)
        self._due.discard(channel)

    def clear(self) -> None:
        """Forget all channels."""
        self._published.clear()
        self._found.clear()
        self._due.clear()

    def find(self, now_ms: int) -> Silent:
        """Look at some channels; remove and return those that have been silent for their `idle_end`. Ten thousand
        publishers of one machine can become silent in the same second. The caller ends them before its next call."""
        if self._times.note(now_ms, LOWEST_ID):
            self._due.bring_forward(now_ms)
        self._found.clear()
        found: list[str] = []
        for _ in range(_STEP):
            channel = self._due.pop(now_ms)
            if channel is None:
                return Silent(found, more=False)
            published_ms = min(self._published[channel], now_ms)  # the clock may have been ahead then
            self._published[channel] = published_ms
            idle_end = self._rules.of(channel).idle_end
            if idle_end is None:
                del self._published[channel]
            elif published_ms + idle_end * 1000 <= now_ms:
                del self._published[channel]
                self._found.add(channel)
                found.append(channel)
            else:
                self._due.at(channel, published_ms + idle_end * 1000)
        return Silent(found, more=True)
