"""sse-hub: a hub for Server-Sent Events on aiohttp. The folders are its layers; imports point down this list only.

    program/    which store, the command line, tokens, the demonstration feed, workers, signals
    http/       one module for each thing that a client meets
    stores/     what makes events durable and gives them ids
    settings, auth, metrics, logs, limits, tasks, address, stdio
    core/       events, log, routing, groups, the hub: no I/O, no clock
    console/    the command line of the client; uses `sse_client` and nothing of the above

`sse_server.py`, beside this folder, puts them together. docs/architecture.md has the way of an event through them.
"""

__version__ = "0.2.0"

from .core.events import Draft, Event, EventId
from .core.hub import Hub
from .core.statistics import Statistics
from .core.subscription import Subscription

__all__ = ["Draft", "Event", "EventId", "Hub", "Statistics", "Subscription", "__version__"]
