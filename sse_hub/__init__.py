"""sse-hub: a hub for Server-Sent Events on aiohttp. The map of this folder; imports point up the list only.

core, without I/O:
    events.py       events, ids, names, patterns, framing
    deflate.py      compressing once for everybody
    floors.py       what every channel no longer has, and in which order that was lost
    log.py          the retained events of every channel; cursors and floors
    replay.py       pages of bytes that all share who catch up
    statistics.py   what a hub says about itself
    ports.py        what the hub needs of others: connections, stores, and what only some stores can do
    subscriber.py   a subscriber's place in the log, and its group
    hub.py          subscribers, groups, LIVE and BEHIND, flush: the theory of operation is in its docstring
    locating.py     where a subscriber begins, if the store has to be asked
    history.py      what is retained of a channel, from log and store
ports and adapters:
    tasks.py        tasks that are watched, and begin anew when they fail
    stdio.py        standard input, output and error, which may be closed or full
    stores/         what makes events durable and gives them ids
    auth.py         a token becomes a grant; knows JWT, and neither HTTP nor the hub
    settings.py     one table of flags, variables, defaults
    limits.py       what one client may use up: places and publishes
    metrics.py      Prometheus, and the figures of the host
HTTP:
    workers.py      several processes of one server, and the stores that cannot serve them
    state.py        the keys under which the application holds what its parts share
    clients.py      who is asking: addresses behind proxies
    logs.py         lines of the log, as text or JSON
    problems.py     errors as application/problem+json
    requests.py     query parameters, bodies, Accept: what a request says, checked
    access.py       what a request may do: its token, its host, its origin
    session.py      a token becomes a browser's cookie
    cors.py         which pages may read the answers
    nodes.py        the store's life with the application, and what nodes that share one tell each other
    response.py     an event stream: begun by aiohttp-sse, then a connection with a cursor
    catchup.py      turns and pages for those who are behind
    stream.py       how streams begin, the registry of those that are open, how they end
    visitors.py     who is connected
    publish.py      the two POSTs, batches, idempotency
    pages.py        page, assets, channels, history, health, metrics
    schemas.py      what is said over HTTP, as JSON Schema
    openapi.py      the HTTP interface as OpenAPI 3.1
program:
    minting.py      `sse-server token`: making and explaining tokens
    probe.py        `sse-server health`
    signals.py      signals, also where the event loop knows none
    notify.py       telling systemd how the program stands
    demo.py         the demonstration feed, a publisher like any other
    console/        the command line of the client; uses `sse_client` and nothing of the above

`sse_server.py`, beside this folder, puts them together.
"""

__version__ = "0.1.0"

from .core.events import Draft, Event, EventId
from .core.hub import Hub
from .core.statistics import Statistics
from .core.subscription import Subscription

__all__ = ["Draft", "Event", "EventId", "Hub", "Statistics", "Subscription", "__version__"]
