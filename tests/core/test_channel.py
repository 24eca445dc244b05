"""The retained events of one channel."""

from __future__ import annotations

import gc

from small_logs import event, log_of

from sse_hub.core.events import Event


def events_in_memory() -> int:
    gc.collect()
    return sum(isinstance(each, Event) for each in gc.get_objects())


def test_the_memory_of_a_channel_does_not_grow_with_the_events_that_are_gone() -> None:
    before = events_in_memory()
    log = log_of(*(event(ms) for ms in range(2000, 12_000)), history=10)
    channel = log.get("main")
    assert channel is not None
    assert (len(channel), channel.retained_bytes) == (10, 10)
    assert events_in_memory() - before == 10
