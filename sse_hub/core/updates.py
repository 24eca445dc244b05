"""Updates: the events of the Mercure protocol, and subscriptions to their topics.

See docs/protocol.md, "The Mercure protocol".

All updates of a hub are events of one channel of a hub of their own, so they have one order, and no channel or pattern
of the other hub can show them. Topics, privacy and the publisher's id are in the event's data, as JSON. So every store
keeps updates as it keeps other events.

The order is that of the hub's ids, always. The publisher's id is a *label*: it goes on the wire, and it is looked up
when a client sends it back. An update without a label has a UUID of version 8 (RFC 9562, section 5.8) that holds the
hub's id, so it needs no look-up.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from .events import Draft, Event, EventId, compact_json
from .subscription import ANY, Subscription
from .topics import any_matches
from .wire import frame

__all__ = [
    "CHANNEL",
    "TopicSubscription",
    "Update",
    "cursor_of",
    "draft",
    "name_of",
    "subscription_of_all",
    "topic_subscription",
    "update_of",
]

CHANNEL = "mercure"
_TYPE = "update"
_MARK = 0x5E5  # in 12 bits of the UUID, so that no other UUID of version 8 is read as an id of this hub
_UUID = re.compile(r"urn:uuid:([0-9a-f]{8})-([0-9a-f]{4})-8([0-9a-f]{3})-([0-9a-f]{4})-([0-9a-f]{12})")
_SEQUENCE_BITS = 62


@dataclass(frozen=True, slots=True)
class Update:
    """The parts of an update that decide which subscribers get it."""

    topics: tuple[str, ...]
    """The first is the canonical one."""
    private: bool
    label: str | None
    """The publisher's id."""


_FOR_NO_SUBSCRIBER = Update((), True, None)
_NAMES = frozenset({CHANNEL})


@dataclass(frozen=True, slots=True)
class TopicSubscription(Subscription):
    """A subscription to topics. It covers the one channel of all updates."""

    selectors: frozenset[str] = ANY
    readable: frozenset[str] = ANY
    """Topic selectors of the private updates that it may read."""

    def share_of(self, events: int) -> int:
        """See `Subscription`. A selector takes about 3 µs for a topic, and one that is made to be slow 26 µs."""
        return max(events * 2 // (1 + len(self.selectors) + len(self.readable)), 20)

    def wants(self, event: Event) -> bool:
        """Whether one of the topics is subscribed to and, for a private update, one of them may be read. These may be
        two topics."""
        update = update_of(event)
        if update.private and not any_matches(self.readable, update.topics):
            return False
        return any_matches(self.selectors, update.topics)


def topic_subscription(
    selectors: Sequence[str], readable: Sequence[str], *, chunked: bool, gzip: bool
) -> TopicSubscription:
    """The subscription to these topic selectors of a client that may read private updates of those topics."""
    return TopicSubscription(
        _NAMES,
        chunked=chunked,
        gzip=gzip,
        unshared=gzip,
        selectors=frozenset(selectors),
        readable=frozenset(readable) or ANY,
    )


@functools.cache
def subscription_of_all() -> TopicSubscription:
    """The subscription to every update, for readers inside the hub."""
    return topic_subscription(["*"], ["*"], chunked=True, gzip=False)


def draft(
    topics: Sequence[str],
    data: str = "",
    *,
    private: bool = False,
    label: str | None = None,
    type: str | None = None,
    retry_ms: int | None = None,
) -> Draft:
    """An update for the store."""
    value = {"topics": list(topics), "private": private, "id": label, "type": type, "retry": retry_ms, "data": data}
    return Draft(CHANNEL, _TYPE, compact_json(value))


def update_of(event: Event) -> Update:
    """The update that an event holds; its bytes on the wire are kept in `event.frame`. Data that no hub has written
    give an update that no subscriber gets."""
    if not isinstance(event.update, Update):
        event.update = _read(event)
    assert isinstance(event.update, Update)
    return event.update


def _read(event: Event) -> Update:
    try:
        value = json.loads(event.data)
        update = Update(tuple(value["topics"]), bool(value["private"]), value["id"])
        assert event.id is not None
        id = name_of(event.id) if update.label is None else update.label
        event.frame = _frame(id, value["type"], value["retry"], value["data"])
    except (AssertionError, AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return _FOR_NO_SUBSCRIBER
    return update if all(isinstance(topic, str) for topic in update.topics) else _FOR_NO_SUBSCRIBER


def _frame(id: str, type: str | None, retry_ms: int | None, data: str) -> bytes:
    return frame(data, id=_one_line(id), type=None if type is None else _one_line(type), retry_ms=retry_ms)


def _one_line(text: str) -> str:
    """The text; another program that writes to the store must not forge fields of an event.

    :raises ValueError: if it has a line break or NUL.
    """
    if any(character in text for character in "\r\n\0"):
        raise ValueError("a line break in a field")
    return text


def name_of(id: EventId) -> str:
    """The id of the hub as a URN of a UUID."""
    number = (id.ms << 80) | (8 << 76) | (_MARK << 64) | (2 << _SEQUENCE_BITS) | id.sequence
    digits = f"{number:032x}"
    return "urn:uuid:" + "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def cursor_of(name: str) -> EventId | None:
    """The id of the hub that `name_of` has written; None for any other text."""
    match = _UUID.fullmatch(name)
    if match is None or int(match[3], 16) != _MARK:
        return None
    low = int(match[4] + match[5], 16)
    if low >> _SEQUENCE_BITS != 2:
        return None
    return EventId(int(match[1] + match[2], 16), low & ((1 << _SEQUENCE_BITS) - 1))
