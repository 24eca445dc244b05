"""Makes the store that the settings name. Only this module knows all stores."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..address import Address
from ..core.events import LOWEST_ID, EventId
from ..core.hub import Hub
from ..core.log import Log
from ..core.ports import Archive, Catalogue, Store
from ..core.rules import Rules
from ..settings import Settings
from ..stdio import print_error, program_name
from ..stores.memory import MemoryStore
from ..stores.sqlite import SqliteStore
from ..tasks import Background
from .gunicorn import boot_status

__all__ = ["attach_store", "check_address", "make_log", "of_updates"]


def make_log(settings: Settings, clock: Callable[[], int]) -> Log:
    """The log of a node. It has all retained events, or the newest ones if a store keeps the rest."""
    memory = settings.address.kind == "memory"
    return Log(
        EventId(clock(), 0) if memory else LOWEST_ID,
        Rules(settings.rule, settings.rules),
        most_events=None if memory else settings.cache,
        max_channels=settings.max_channels,
        max_retained_bytes=settings.max_retained_bytes,
    )


def of_updates(settings: Settings) -> Settings:
    """The settings of the store of updates. It is beside the store of events: another file, or other keys in the same
    Redis, so that neither can show what is in the other."""
    store = settings.store + ("-mercure" if settings.address.kind == "sqlite" else "")
    most = settings.mercure_history
    return replace(settings, store=store, history=most, cache=most, rules=())


def attach_store(
    hub: Hub, settings: Settings, clock: Callable[[], int], background: Background, *, part: str = ""
) -> None:
    """Give the hub the store that `--store` names; it is not open yet.

    :param part: is added to the prefix of the keys in Redis, so that two hubs can use one Redis.

    :raises SystemExit: if a package for it is not installed, or if the address is impossible.
    """
    match settings.address.kind:
        case "memory":
            hub.store = MemoryStore(hub, clock, background)
        case "sqlite":
            hub.store = SqliteStore(Path(settings.address.location), hub, clock, background)
        case _:
            hub.store = _redis(hub, settings, background, part)
    hub.archive = hub.store if isinstance(hub.store, Archive) else None
    hub.catalogue = hub.store if isinstance(hub.store, Catalogue) else None


def check_address(settings: Settings) -> None:
    """Find out whether the store can be made, without reaching it.

    :raises SystemExit: if a package for it is not installed, or if the address is impossible.
    """
    if settings.address.kind == "redis":
        with _refusing(settings.address):
            from ..stores.redis_connection import RedisConnection

            RedisConnection(settings.address.location, settings.address.prefix)


def _redis(hub: Hub, settings: Settings, background: Background, part: str) -> Store:
    address = settings.address
    with _refusing(address):
        from ..stores.redis import RedisStore

        return RedisStore(
            address.location,
            hub,
            background,
            node=f"{settings.node_name}:{os.getpid()}:{secrets.token_hex(4)}",
            keys=f"{{{address.prefix}}}{part}",
            most=address.most,
            grace=address.grace,
        )


@contextmanager
def _refusing(address: Address) -> Iterator[None]:
    """:raises SystemExit: after one line on stderr, for an error of the Redis client."""
    try:
        yield
    except ImportError:
        print_error(f"{program_name()}: this store needs the Redis client: pip install 'sse-hub[redis]'")
        raise SystemExit(boot_status(1)) from None
    except (ValueError, TypeError) as error:  # its message may hold the password
        print_error(
            f"{program_name()}: the Redis client does not take the address {address.shown} ({type(error).__name__}); "
            "an address looks like redis://user:password@host:6379/0"
        )
        raise SystemExit(boot_status(2)) from None
