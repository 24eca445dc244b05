"""sse-hub: a hub for Server-Sent Events on aiohttp. The folders are its layers; imports point down this list only.

    program/    the command line, the choice of the store, tokens, the demonstration feed, workers, signals
    http/       the HTTP interface, one module for each part of it
    stores/     make events durable and give them ids
    settings, auth, keys, metrics, logs, limits, tasks, address, stdio
    core/       events, log, routing, groups, the hub: no I/O, no clock
    console/    the command line of the client; uses `sse_client` and nothing of the above
    testing     a hub and assertions for the tests of programs that publish

`sse_server.py`, beside this folder, puts them together. docs/architecture.md has the way of an event through them.
"""

__version__ = "0.2.0"

from .core.ends import Ended
from .core.events import Draft, Event, EventId
from .core.hub import Hub
from .core.statistics import Statistics
from .core.subscription import Subscription

__all__ = ["Draft", "Ended", "Event", "EventId", "Hub", "Statistics", "Subscription", "__version__"]
