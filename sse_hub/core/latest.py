"""The newest event of each channel, for subscribers that want values and no histories."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from .channel import Channel
from .events import Event
from .log import Log
from .subscription import Subscription, spans

__all__ = ["latest", "superseded_in"]

_LOOK = 1000
"""Largest number of events of a channel that are looked at to find one of a wanted type."""
_STEP = 10_000
"""The same for all channels of one step, about 2 ms."""


def latest(log: Log, subscription: Subscription, after: str, count: int) -> tuple[Sequence[Event], str | None]:
    """The newest wanted event of each of the subscription's channels in the log, for at most the first `count` channels
    after the name `after`; and the name to go on after, None if there are no more channels."""
    names = list(islice(_candidates(log, subscription, after, count), count))
    events: list[Event] = []
    looked_at = 0
    for name in names:
        channel = log.get(name) if subscription.covers(name) else None
        if channel is None:
            continue
        event, events_looked_at = _newest(channel, subscription)
        if event is not None:
            events.append(event)
        looked_at += events_looked_at
        if looked_at >= _STEP:
            return events, name
    return events, names[-1] if len(names) == count else None


def superseded_in(log: Log) -> Callable[[Event], bool]:
    """A function that finds out whether the channel of an event has a newer event of the same type."""

    def is_superseded(event: Event) -> bool:
        channel = log.get(event.channel)
        newest = None if channel is None else channel.newest
        if newest is None or newest.id is None or event.id is None:
            return False
        return newest.type == event.type and newest.id > event.id  # a page of a store can be ahead of the log

    return is_superseded


def _candidates(log: Log, subscription: Subscription, after: str, count: int) -> Iterator[str]:
    """Sorted names after this one, among which are the subscription's channels."""
    for key, is_beginning in spans(subscription, after):
        if not is_beginning:
            yield key
            continue
        for name in log.names(max(after, key), count, inclusive=key > after):
            if not name.startswith(key):
                break
            yield name


def _newest(channel: Channel, subscription: Subscription) -> tuple[Event | None, int]:
    """The newest wanted event, and the number of events that were looked at."""
    if not subscription.types:
        return channel.newest, 1
    looked_at = 0
    for looked_at, event in enumerate(islice(channel.backwards(), _LOOK), 1):
        if event.type in subscription.types:  # not `wants`: an end that passes every filter comes after this event
            return event, looked_at
    return None, looked_at
