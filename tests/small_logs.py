"""Logs for tests, with short ways to write events and subscriptions."""

from __future__ import annotations

from sse_hub.core.events import Draft, Event, EventId
from sse_hub.core.log import Log
from sse_hub.core.rules import Rule, Rules
from sse_hub.core.subscription import Subscription

ORIGIN = EventId(1000, 0)


def event(ms: int, channel: str = "main", data: str = "x", *, ephemeral: bool = False) -> Event:
    return Draft(channel, "message", data, ephemeral).accepted(EventId(ms, 0), ms)


def log_of(*events: Event, history: int = 1000, history_age: float = 3600, history_bytes: int = 1 << 20) -> Log:
    log = Log(ORIGIN, Rules(Rule(history=history, history_age=history_age, history_bytes=history_bytes)))
    for each in events:
        log.append(each)
    return log


def to(*names: str) -> Subscription:
    return Subscription(frozenset(names))


def back(log: Log, subscription: Subscription, count: int, most: int) -> EventId:
    found = search(log, subscription, count, most)
    assert found is not None
    return found


def search(log: Log, subscription: Subscription, count: int, most: int) -> EventId | None:
    """The result of `Log.back`, without anything between its steps."""
    steps = log.back(subscription, count, most)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        result: EventId | None = end.value
        return result


def times(log: Log, subscription: Subscription, cursor: EventId = ORIGIN) -> list[int]:
    return [each.ms for each in log.after(subscription, cursor)]
