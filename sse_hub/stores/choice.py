"""Which store the settings ask for. The only place that knows them all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from ..events import EventId
from ..hub import Hub
from ..log import Log
from ..ports import Archive, Store
from ..settings import Settings
from .memory import MemoryStore
from .sqlite import SqliteStore

__all__ = ["attach_store", "make_log"]


def make_log(settings: Settings, clock: Callable[[], int]) -> Log:
    """The log of a node: all that is retained, or, where a store keeps it, the newest of it."""
    memory = settings.address.kind == "memory"
    return Log(
        EventId(clock(), 0) if memory else EventId(0, 0),
        history=settings.history if memory else min(settings.history, settings.cache),
        history_age=settings.history_age,
        history_bytes=settings.history_bytes,
        max_channels=settings.max_channels,
        max_retained_bytes=settings.max_retained_bytes,
    )


def attach_store(hub: Hub, settings: Settings, clock: Callable[[], int]) -> None:
    """Give the hub the store that `--store` names; it is not open yet.

    :raises SystemExit: if a part for it is not installed.
    """
    match settings.address.kind:
        case "memory":
            hub.store = MemoryStore(hub.log.head, hub.deliver, clock)
        case "sqlite":
            path = Path(settings.address.place)
            hub.store = SqliteStore(path, hub, clock, history=settings.history, history_age=settings.history_age)
        case _:
            hub.store = _redis(hub, settings)
    hub.archive = hub.store if isinstance(hub.store, Archive) else None


def _redis(hub: Hub, settings: Settings) -> Store:
    try:
        from .redis import RedisStore
    except ImportError:
        raise SystemExit("sse-server: this store needs the Redis client: pip install 'sse-hub[redis]'") from None
    address = settings.address
    return RedisStore(
        address.place,
        hub,
        node=f"{settings.node_name}:{os.getpid()}:{secrets.token_hex(4)}",
        prefix=address.prefix,
        history=settings.history,
        history_age=settings.history_age,
        most=address.most,
        grace=address.grace,
    )
