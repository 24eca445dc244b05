"""The requests and answers of the HTTP interface, one class for each.

Handlers read and write these classes. The OpenAPI document is made from them, and a test compares the types of the
client with them. A request that the server would refuse with unknown keys has a closed schema. Answers have open
schemas, so that a client that checks them accepts the keys of later versions.

`core.events` checks the names of channels, patterns and types, because its messages say more than a schema can. The
regular expressions here are for readers.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from ..core.events import RESERVED_TYPES

__all__ = [
    "Broadcast",
    "Channel",
    "Channels",
    "Closing",
    "Connected",
    "End",
    "Event",
    "Figures",
    "Health",
    "History",
    "Json",
    "Live",
    "Lost",
    "Problem",
    "Published",
    "PublishedBatch",
    "Session",
    "Subscriber",
    "Subscribers",
    "components",
    "reference",
]

Json = dict[str, Any]

_LAST_WHOLE = 10**18 - 1  # as many digits as `requests.number` reads
_MOMENT = "2026-11-24T02:00:00.123Z"

# The regular expressions say the same as `core.events`, in the syntax of ECMA 262, which JSON Schema uses. They do not
# exclude surrogates, because JSON in UTF-8 has none.
_NAMES: Json = {
    "ChannelName": {
        "type": "string",
        "description": "A channel: no control character, white space, `/`, `,`, `*` or `?`; dots make levels by "
        "convention.",
        "pattern": r"^[^\u0000-\u0020\u007f-\u009f\s/,*?]+$",
        "minLength": 1,
        "maxLength": 128,
        "examples": ["main", "sensors.kitchen"],
    },
    "Pattern": {
        "type": "string",
        "description": "A channel, or a pattern in which `*` stands for any run of characters, dots included. A "
        "pattern has at most 8 stars.",
        "pattern": r"^(?!(?:[^*]*\*){9})[^\u0000-\u0020\u007f-\u009f\s/,?]+$",
        "minLength": 1,
        "maxLength": 128,
        "examples": ["sensors.*", "*"],
    },
    "EventName": {
        "type": "string",
        "description": "The type of an event: no control character.",
        "pattern": r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$",
        "minLength": 1,
        "maxLength": 128,
        "examples": ["message", "notification"],
    },
    "PublishedName": {
        "description": "The type of a published event. The hub's own types are not allowed.",
        "allOf": [
            {"$ref": "#/components/schemas/EventName"},
            {"not": {"enum": sorted(RESERVED_TYPES)}},
        ],
    },
    "EventId": {
        "type": "string",
        "description": "The id of an event, `<unix milliseconds>-<sequence>`: a cursor for every channel at once.",
        "pattern": r"^[0-9]{1,18}-[0-9]{1,18}$",
        "examples": ["1763949600123-0"],
    },
}


def reference(name: str) -> Json:
    """A reference to a schema that has a name."""
    return {"$ref": f"#/components/schemas/{name}"}


ChannelName = Annotated[str, Meta(extra_json_schema=reference("ChannelName"))]
Pattern = Annotated[str, Meta(extra_json_schema=reference("Pattern"))]
EventName = Annotated[str, Meta(extra_json_schema=reference("EventName"))]
EventId = Annotated[str, Meta(extra_json_schema=reference("EventId"))]
Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time", "examples": [_MOMENT]})]
Whole = Annotated[int, Meta(extra_json_schema={"minimum": 0, "maximum": _LAST_WHOLE})]


class Broadcast(Struct, forbid_unknown_fields=True):
    """A message to publish. The event's data is the JSON object of `message` and `timestamp`."""

    message: Annotated[Any, Meta(description="Any JSON value.", examples=["Deploy finished", {"door": "open"}])]
    timestamp: (
        Annotated[Moment, Meta(description="When it happened, in ISO 8601; now if it is absent.")] | UnsetType
    ) = UNSET
    event: Annotated[str, Meta(extra_json_schema=reference("PublishedName"))] = "message"
    channel: (
        ChannelName | Annotated[list[ChannelName], Meta(description="Each is published to once.", min_length=1)]
    ) = "main"


class Published(Struct):
    """An event that the store has."""

    id: Annotated[EventId | None, Meta(description="The id of the event; null if it is ephemeral.")]
    channel: ChannelName
    event: EventName
    subscribers: Annotated[Whole, Meta(description="How many subscribers follow the channel, on all nodes.")]


class PublishedBatch(Struct):
    """A batch that the store has."""

    ids: Annotated[tuple[EventId | None, EventId | None], Meta(description="The first id and the last.")]
    count: Annotated[Whole, Meta(description="How many events it has.")]
    channel: ChannelName
    event: EventName
    subscribers: Annotated[Whole, Meta(description="How many subscribers follow the channel, on all nodes.")]


class Event(Struct):
    """One thing published, as the history and the envelope show it."""

    id: Annotated[EventId | None, Meta(description="The id of the event; null if it is ephemeral.")]
    channel: ChannelName
    event: EventName
    data: Annotated[str, Meta(description="The data as it was published.")]
    timestamp: Annotated[Moment, Meta(description="When the hub accepted it.")]


class History(Struct):
    """Retained events of a channel."""

    channel: ChannelName
    events: Annotated[list[Event], Meta(description="The oldest first.")]
    lost: Annotated[
        bool,
        Meta(description="Whether events between `after` and the first of these, or between two of these, are gone."),
    ]
    next: Annotated[EventId, Meta(description="There are more, after this id.")] | UnsetType = UNSET


class Channel(Struct):
    """A channel that has subscribers or events."""

    name: ChannelName
    subscribers: Annotated[Whole, Meta(description="How many subscribers follow it, on all nodes.")]
    events: Annotated[Whole, Meta(description="How many of its events are retained.")]
    first: Annotated[EventId | None, Meta(description="The id of the oldest of them; null if there is none.")]
    last: Annotated[EventId | None, Meta(description="The id of the newest of them; null if there is none.")]


class Channels(Struct):
    """The channels."""

    channels: Annotated[list[Channel], Meta(description="By name.")]
    next: Annotated[ChannelName, Meta(description="There are more, after this name.")] | UnsetType = UNSET


class Health(Struct):
    """The health of the server."""

    status: Literal["ok", "draining", "degraded"]
    version: Annotated[str, Meta(description="The version of the server.")]
    uptime: Annotated[float, Meta(description="Seconds since it began.")]
    subscribers: Annotated[Whole, Meta(description="Event streams that are open.")]
    channels: Annotated[Whole, Meta(description="Channels that the log knows.")]
    store: Literal["memory", "sqlite", "redis"]
    reason: Annotated[str, Meta(description="The reason why it is not ok.")] | UnsetType = UNSET


class Connected(Struct):
    """The first event of a stream. Its id is the cursor from which the stream starts."""

    channels: Annotated[list[Pattern], Meta(description="The channels and patterns of the stream.")]
    resumed: Annotated[bool, Meta(description="Whether it goes on after the client's cursor, and nothing is lost.")]
    lost: Annotated[bool, Meta(description="Whether events after that cursor are gone.")]
    timestamp: Annotated[Moment, Meta(description="When the stream began.")]
    ping: Annotated[float, Meta(gt=0, description="Seconds between two pings (`--ping`).")]


class Live(Struct):
    """The replay has ended."""

    replayed: Annotated[Whole, Meta(description="How many events it had.")]


class Lost(Struct):
    """Events between these two ids are gone."""

    after: EventId
    next: EventId


class End(Struct):
    """The channel has ended. It takes no more events until it is forgotten."""

    channel: ChannelName
    reason: Annotated[
        Literal["done", "failed", "cancelled", "abandoned"],
        Meta(description="The reason; `abandoned` if its publisher was silent for too long."),
    ]


class Closing(Struct):
    """The server ends; come back after the `retry` of this event."""


class Figures(Struct):
    """Figures of this host and server. Rates are means since the event before."""

    cpu_percent: Annotated[float, Meta(description="Of all processors together.")]
    memory_percent: Annotated[float, Meta(description="Of the host's memory.")]
    memory_used_bytes: Annotated[Whole, Meta(description="Of the host's memory.")]
    network_received_bytes_per_second: Annotated[float, Meta(description="By all interfaces.")]
    network_sent_bytes_per_second: Annotated[float, Meta(description="By all interfaces.")]
    requests_per_second: Annotated[float, Meta(description="Answered by this server.")]
    error_rate: Annotated[float, Meta(description="The part of them that got 400 or above, 0 to 1.")]
    subscribers: Annotated[Whole, Meta(description="Event streams that are open.")]
    events_per_second: Annotated[float, Meta(description="Accepted.")]
    deliveries_per_second: Annotated[float, Meta(description="Events handed to subscribers.")]
    node: Annotated[str, Meta(description="Name of this node.")]
    timestamp: Annotated[Moment, Meta(description="When they were read.")]


class Subscriber(Struct):
    """An open event stream."""

    id: Annotated[str, Meta(description="Its id, by which an operator can end it.")]
    address: Annotated[str, Meta(description="The client's address.")]
    channels: Annotated[list[Pattern], Meta(description="The channels and patterns of the stream.")]
    since: Annotated[Moment, Meta(description="When it connected.")]
    cursor: EventId
    lag: Annotated[float, Meta(description="How many seconds it is behind the newest event.")]
    queued_bytes: Annotated[Whole, Meta(description="Bytes that the client has not accepted yet.")]
    subject: Annotated[str | None, Meta(description="The claim `sub` of its token.")]


class Subscribers(Struct):
    """The event streams that are open at this node."""

    node: Annotated[str, Meta(description="Name of this node.")]
    subscribers: Annotated[list[Subscriber], Meta(description="In the order in which they connected.")]
    next: Annotated[str, Meta(description="There are more, after this id.")] | UnsetType = UNSET


class Session(Struct):
    """The rights that the token grants."""

    subscribe: Annotated[list[Pattern], Meta(description="Channels and patterns that it may read.")]
    publish: Annotated[list[Pattern], Meta(description="Channels and patterns that it may publish to.")]
    admin: Annotated[bool, Meta(description="Whether it may see and end subscribers.")]
    subject: Annotated[str | None, Meta(description="The claim `sub`.")]
    until: Annotated[Moment, Meta(description="When it expires.")]


class Problem(Struct):
    """A problem document (RFC 9457)."""

    type: Annotated[str, Meta(description="A URI of this kind of problem.", examples=["about:blank"])]
    title: Annotated[str, Meta(description="The status in words.")]
    status: Annotated[int, Meta(description="The status of the answer.")]
    detail: Annotated[str, Meta(description="A sentence that says what was wrong and what would be right.")]
    reason: Annotated[str, Meta(description="Why the channel has ended; only with 409.")] | UnsetType = UNSET


_SHAPES = (
    Broadcast,
    Published,
    PublishedBatch,
    Event,
    History,
    Channel,
    Channels,
    Health,
    Connected,
    Live,
    Lost,
    End,
    Closing,
    Figures,
    Subscriber,
    Subscribers,
    Session,
    Problem,
)


def components() -> Json:
    """All classes as JSON Schema (2020-12, the dialect of OpenAPI 3.1), by name."""
    _, found = msgspec.json.schema_components(_SHAPES, ref_template="#/components/schemas/{name}")
    return {**_NAMES, **found}
