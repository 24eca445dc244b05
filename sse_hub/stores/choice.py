"""Which store the settings ask for. The only place that knows them all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..events import EventId
from ..hub import Hub
from ..log import Log
from ..ports import Archive
from ..settings import Settings
from .memory import MemoryStore
from .sqlite import SqliteStore

__all__ = ["attach_store", "make_log"]


def make_log(settings: Settings, clock: Callable[[], int]) -> Log:
    """The log of a node: all that is retained, or, where a store keeps it, the newest of it."""
    memory = settings.store == "memory"
    return Log(
        EventId(clock(), 0) if memory else EventId(0, 0),
        history=settings.history if memory else min(settings.history, settings.cache),
        history_age=settings.history_age,
        history_bytes=settings.history_bytes,
    )


def attach_store(hub: Hub, settings: Settings, clock: Callable[[], int]) -> None:
    """Give the hub the store that `--store` names; it is not open yet."""
    kind, _, place = settings.store.partition(":")
    if kind == "memory":
        hub.store = MemoryStore(hub.log.head, hub.deliver, clock)
    else:
        hub.store = SqliteStore(Path(place), hub, clock, history=settings.history, history_age=settings.history_age)
    hub.archive = hub.store if isinstance(hub.store, Archive) else None
