"""Events, their ids, and the names of channels, patterns and types."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

__all__ = [
    "END",
    "LOWEST_ID",
    "MOST_STARS",
    "RESERVED_TYPES",
    "Draft",
    "Event",
    "EventId",
    "check_channel",
    "check_pattern",
    "check_type",
    "compact_json",
    "literals",
    "matches",
    "timestamp",
]

END = "end"
"""The type of the event that ends a channel."""
RESERVED_TYPES = frozenset({"connected", "live", "lost", "closing", END})
"""Event types that only the hub itself sends."""

# Surrogates, which JSON can bring ("\\ud800"), have no UTF-8.
_NAME = re.compile(r"[^\x00-\x20\x7f-\x9f\ud800-\udfff\s/,*?]{1,128}")
_PATTERN = re.compile(r"[^\x00-\x20\x7f-\x9f\ud800-\udfff\s/,?]{1,128}")
_TYPE = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]{1,128}")
_ID = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")
# json.dumps would make an encoder each time.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_LAST_SEQUENCE = 2**63 - 1
MOST_STARS = 8
"""Stars in a pattern. Each is a search in every channel name: 62 of them, in 100,000 channels, took 15 s."""


class EventId(NamedTuple):
    """The id of an event, which is also the cursor of a subscriber that has it.

    Ids compare as pairs of integers, never as text, and print in the form of a Redis stream id.
    """

    ms: int
    """Unix time in milliseconds at which the event was accepted, or later if the clock went backwards."""
    sequence: int
    """The number of the event within its millisecond, from 0."""

    def __str__(self) -> str:
        return f"{self.ms}-{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> EventId:
        """Read an id from text.

        :raises ValueError: if the text is not `<unix milliseconds>-<sequence>`, or if a part needs more than 63 bits,
            which no id of a hub does.
        """
        match = _ID.fullmatch(text)
        id = None if match is None else cls(int(match[1]), int(match[2]))
        if id is None or max(id) >= 1 << 63:
            raise ValueError(f"{text[:60]!r} is not an event id; an id looks like 1763949600123-0")
        return id

    def next(self) -> EventId:
        """The lowest id above this one."""
        return EventId(self.ms, self.sequence + 1) if self.sequence < _LAST_SEQUENCE else EventId(self.ms + 1, 0)

    def following(self, now_ms: int) -> EventId:
        """The next id at the time `now_ms`. It is above this one, even if the clock has gone back."""
        return EventId(now_ms, 0) if now_ms > self.ms else EventId(self.ms, self.sequence + 1)

    def preceding(self) -> EventId:
        """The highest id below this one."""
        return EventId(self.ms, self.sequence - 1) if self.sequence else EventId(self.ms - 1, _LAST_SEQUENCE)


LOWEST_ID = EventId(0, 0)
"""An id below those of all events."""


class Draft(NamedTuple):
    """An event before the store has accepted it."""

    channel: str
    type: str
    data: str
    ephemeral: bool = False

    def accepted(self, id: EventId, ms: int) -> Event:
        """The event with this id, accepted at this Unix time in milliseconds. An ephemeral event gets no id."""
        return Event(None if self.ephemeral else id, self.channel, self.type, self.data, ms)


@dataclass(slots=True, eq=False)
class Event:
    """One thing published. It never changes; only its encodings are filled in when they are first needed."""

    id: EventId | None
    """None for an ephemeral event: it is never logged and moves no cursor."""
    channel: str
    type: str
    data: str
    ms: int
    """Unix time in milliseconds at which the event was accepted. The id may be ahead of it, because a clock can go back
    and ids cannot."""
    frame: bytes | None = field(default=None, init=False, repr=False)
    """The bytes of the event on the wire, kept by `wire.encode`."""
    envelope: bytes | None = field(default=None, init=False, repr=False)
    """Its bytes in the form of `envelope=1`."""
    update: object = field(default=None, init=False, repr=False)
    """The result of `updates.update_of`, if it is an update of the Mercure protocol."""

    def as_json(self) -> dict[str, str | None]:
        """The event as the envelope and the history show it."""
        return {
            "id": None if self.id is None else str(self.id),
            "channel": self.channel,
            "event": self.type,
            "data": self.data,
            "timestamp": timestamp(self.ms),
        }


def timestamp(ms: int) -> str:
    """Unix milliseconds as ISO 8601 in UTC, to the millisecond: `2026-11-24T02:00:00.123Z`."""
    return f"{_second(ms // 1000)}.{ms % 1000:03}Z"


@functools.lru_cache(64)  # most are of the same second
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").removesuffix("+00:00")


def compact_json(value: object) -> str:
    """A value as JSON on one line, without spaces. Characters outside ASCII are not escaped.

    :raises ValueError: for infinity and NaN, which JSON does not have (RFC 8259, section 6).
    """
    return _encode(value)


def check_channel(name: str) -> str:
    """Return the channel name as it is.

    :raises ValueError: if it is not a channel name (docs/protocol.md, "Words").
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError(
            f"{name[:140]!r} is not a channel name: 1 to 128 characters are allowed, without control characters, "
            "white space, '/', ',', '*' or '?'; for example sensors.kitchen"
        )
    return name


def check_pattern(pattern: str) -> str:
    """Return the channel name or pattern.

    :raises ValueError: if it is neither (docs/protocol.md, "Words").
    """
    if _PATTERN.fullmatch(pattern) is None:
        raise ValueError(
            f"{pattern[:140]!r} is neither a channel name nor a pattern: 1 to 128 characters are allowed, "
            "without control characters, white space, '/', ',' or '?', "
            "where '*' stands for any run of characters; for example sensors.*"
        )
    if pattern.count("*") > MOST_STARS:
        raise ValueError(f"{pattern!r} has {pattern.count('*')} stars; a pattern may have {MOST_STARS}")
    return pattern


def check_type(type: str, *, reserved: bool = False) -> str:
    """Return the event type.

    :param reserved: whether the hub's own types are allowed. They can be filtered by, but not published.
    :raises ValueError: if it has a forbidden length or character, or is one of the hub's own.
    """
    if _TYPE.fullmatch(type) is None:
        raise ValueError(
            f"{type[:140]!r} is not an event name: 1 to 128 characters are allowed, none of them a control character"
        )
    if type in RESERVED_TYPES and not reserved:
        raise ValueError(f"the event name {type!r} is the hub's own; choose another")
    return type


def matches(pattern: str, channel: str) -> bool:
    """Whether the pattern matches the channel; `*` stands for any run of characters.

    The time is linear in the channel's length for each part of the pattern. A regular expression with many `.*` would
    take hours on `aaaa…`.
    """
    if "*" not in pattern:
        return pattern == channel
    first, *parts = pattern.split("*")
    last = parts.pop()
    if len(channel) < len(first) + len(last) or not channel.startswith(first) or not channel.endswith(last):
        return False
    position, end = len(first), len(channel) - len(last)
    for part in parts:  # the leftmost match of each part leaves the most room for the next
        position = channel.find(part, position, end)
        if position < 0:
            return False
        position += len(part)
    return True


def literals(pattern: str) -> tuple[str, str]:
    """The common beginning and the common end of all channels that the pattern matches."""
    return pattern.partition("*")[0], pattern.rpartition("*")[2]
