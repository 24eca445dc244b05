"""The retained events of one channel."""

from __future__ import annotations

from small_logs import event, log_of


def test_the_memory_of_a_channel_does_not_grow_with_the_events_that_are_gone() -> None:
    log = log_of(*(event(ms) for ms in range(2000, 12_000)), history=10)
    channel = log.get("main")
    assert channel is not None
    assert len(channel._events) <= 22
    assert channel.retained_bytes == 10
