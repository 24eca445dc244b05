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


def latest(log: Log, subscription: Subscription, after: str, count: int) -> tuple[Sequence[Event], str | None]:
    """The newest wanted event of each of the subscription's channels in the log, for the first `count` channels after
    the name `after`; and the name to go on after, None if there are no more channels."""
    names = list(islice(_candidates(log, subscription, after, count), count))
    channels = (log.get(name) for name in names if subscription.covers(name))
    events = [_newest(channel, subscription) for channel in channels if channel is not None]
    return [event for event in events if event is not None], names[-1] if len(names) == count else None


def superseded_in(log: Log) -> Callable[[Event], bool]:
    """A function that finds out whether the channel of an event has a newer event of the same type."""

    def is_superseded(event: Event) -> bool:
        channel = log.get(event.channel)
        newest = None if channel is None else channel.newest
        return newest is not None and newest.type == event.type and newest.id != event.id

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


def _newest(channel: Channel, subscription: Subscription) -> Event | None:
    if not subscription.types:
        return channel.newest
    return next((event for event in islice(channel.backwards(), _LOOK) if subscription.wants(event)), None)
