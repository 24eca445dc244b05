"""What is said over HTTP, as JSON Schema (2020-12, the dialect of OpenAPI 3.1).

`SCHEMAS` are the ones with a name, for `#/components/schemas` of the OpenAPI document. An object lists the keys that it
has today; only where the server refuses any other is it closed, so that a client which checks an answer survives the
next version's keys.
"""

from __future__ import annotations

from collections.abc import Collection

from .core.events import RESERVED_TYPES

__all__ = ["SCHEMAS", "Json", "array", "record", "schema", "text", "whole"]

Json = dict[str, object]

_LAST_WHOLE = 10**18 - 1  # as many digits as `requests.number` reads
_CURSOR = "1763949600123-0"
_MOMENT = "2026-11-24T02:00:00.123Z"


def schema(name: str) -> Json:
    """A reference to a schema that has a name."""
    return {"$ref": f"#/components/schemas/{name}"}


def text(about: str, **more: object) -> Json:
    """A string."""
    return {"type": "string", "description": about, **more}


def whole(about: str, **more: object) -> Json:
    """A whole number, not negative."""
    return {"type": "integer", "description": about, "minimum": 0, "maximum": _LAST_WHOLE, **more}


def array(items: Json, about: str, **more: object) -> Json:
    """A list of such items."""
    return {"type": "array", "items": items, "description": about, **more}


def record(about: str, optional: Collection[str] = (), **fields: Json) -> Json:
    """An object with these keys, all of which it has but for the optional ones."""
    required = [name for name in fields if name not in optional]
    return {"type": "object", "description": about, "properties": fields, "required": required}


def _or_null(value: Json, about: str) -> Json:
    return {"anyOf": [value, {"type": "null"}], "description": about}


def _number(about: str, **more: object) -> Json:
    return {"type": "number", "description": about, **more}


def _truth(about: str) -> Json:
    return {"type": "boolean", "description": about}


def _moment(about: str) -> Json:
    return text(about, format="date-time", examples=[_MOMENT])


# The patterns are those of `events.py` in the words of ECMA 262, which JSON Schema uses. Surrogates need no mention:
# JSON that is UTF-8 has none.
_NAMES: Json = {
    "ChannelName": text(
        "A channel: no control character, white space, `/`, `,`, `*` or `?`; dots make levels by convention.",
        pattern=r"^[^\u0000-\u0020\u007f-\u009f\s/,*?]+$",
        minLength=1,
        maxLength=128,
        examples=["main", "sensors.kitchen"],
    ),
    "Pattern": text(
        "A channel, or a pattern in which `*` stands for any run of characters, dots included.",
        pattern=r"^[^\u0000-\u0020\u007f-\u009f\s/,?]+$",
        minLength=1,
        maxLength=128,
        examples=["sensors.*", "*"],
    ),
    "EventName": text(
        "The type of an event: no control character.",
        pattern=r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$",
        minLength=1,
        maxLength=128,
        examples=["message", "notification"],
    ),
    "PublishedName": {
        "description": "The type of an event that somebody publishes: none of the hub's own.",
        "allOf": [schema("EventName"), {"not": {"enum": sorted(RESERVED_TYPES)}}],
    },
    "EventId": text(
        "The id of an event, `<unix milliseconds>-<sequence>`: a cursor for every channel at once.",
        pattern=r"^[0-9]{1,20}-[0-9]{1,20}$",
        examples=[_CURSOR],
    ),
    "IdOrNull": _or_null(schema("EventId"), "The id of an event; null if there is none."),
}

_PUBLISHING: Json = {
    "Broadcast": {
        **record(
            "A message to publish. The event's data is the JSON object of `message` and `timestamp`.",
            ("timestamp", "event", "channel"),
            message={"description": "Any JSON value.", "examples": ["Deploy finished", {"door": "open"}]},
            timestamp=_moment("When it happened, in ISO 8601; now if it is absent."),
            event={**schema("PublishedName"), "default": "message"},
            channel={
                "description": "Where it goes: one channel, or a list of them.",
                "anyOf": [
                    schema("ChannelName"),
                    array(schema("ChannelName"), "Each is published to once.", minItems=1),
                ],
                "default": "main",
            },
        ),
        "additionalProperties": False,
    },
    "Published": record(
        "An event that the store has.",
        id=schema("IdOrNull"),
        channel=schema("ChannelName"),
        event=schema("EventName"),
        subscribers=whole("Who follows the channel now."),
    ),
    "PublishedBatch": record(
        "A batch that the store has.",
        ids=array(schema("IdOrNull"), "The first id and the last.", minItems=2, maxItems=2),
        count=whole("How many events it has.", minimum=1),
        channel=schema("ChannelName"),
        event=schema("EventName"),
        subscribers=whole("Who follows the channel now."),
    ),
}

_READING: Json = {
    "Event": record(
        "One thing published, as the history and the envelope show it.",
        id=schema("IdOrNull"),
        channel=schema("ChannelName"),
        event=schema("EventName"),
        data=text("The data as it was published."),
        timestamp=_moment("When the hub accepted it."),
    ),
    "History": record(
        "Retained events of a channel.",
        optional=["next"],
        channel=schema("ChannelName"),
        events=array(schema("Event"), "The oldest first."),
        lost=_truth("Whether events between `after` and the first of these, or between two of these, are gone."),
        next={**schema("EventId"), "description": "There are more, after this id. Absent if there are none."},
    ),
    "Channel": record(
        "A channel that has subscribers or events.",
        name=schema("ChannelName"),
        subscribers=whole("Event streams that name it, on all nodes."),
        events=whole("Events of it that are retained."),
        first=schema("IdOrNull"),
        last=schema("IdOrNull"),
    ),
    "Channels": record("The channels.", channels=array(schema("Channel"), "By name.")),
    "Health": record(
        "How the server is.",
        ("reason",),
        status={"enum": ["ok", "draining", "degraded"]},
        version=text("That of the server."),
        uptime=_number("Seconds since it began.", minimum=0),
        subscribers=whole("Event streams that are open."),
        channels=whole("Channels that the log knows."),
        store={"enum": ["memory", "sqlite", "redis"]},
        reason=text("Why it is not ok."),
    ),
}

_STREAMING: Json = {
    "Connected": record(
        "The first event of a stream. Its id is the cursor from which the stream starts.",
        channels=array(schema("Pattern"), "What is being followed."),
        resumed=_truth("Whether the client brought a cursor."),
        lost=_truth("Whether events after that cursor are gone."),
        timestamp=_moment("When the stream began."),
    ),
    "Live": record("The replay is over.", replayed=whole("How many events it had.")),
    "Lost": record(
        "The log has moved on past this subscriber's cursor.",
        after=schema("IdOrNull"),
        next=schema("IdOrNull"),
    ),
    "Closing": record("The server ends; come back after the `retry` of this event."),
    "Figures": record(
        "Figures of this host and server. Rates are means since the event before.",
        cpu_percent=_number("Of all processors."),
        memory_percent=_number("Of the host's memory."),
        memory_used_bytes=whole("Of the host's memory."),
        network_received_bytes_per_second=_number("By all interfaces."),
        network_sent_bytes_per_second=_number("By all interfaces."),
        requests_per_second=_number("Answered by this server."),
        error_rate=_number("Part of them that got 400 or above.", minimum=0, maximum=1),
        subscribers=whole("Event streams that are open."),
        events_per_second=_number("Accepted."),
        deliveries_per_second=_number("Events handed to subscribers."),
        node=text("Name of this node."),
        timestamp=_moment("When they were read."),
    ),
}

_ADMINISTERING: Json = {
    "Subscriber": record(
        "Who is connected.",
        id=text("By which it can be ended."),
        address=text("The client's address."),
        channels=array(schema("Pattern"), "What it follows."),
        since=_moment("When it came."),
        cursor=schema("EventId"),
        lag=_number("How many seconds it is behind.", minimum=0),
        queued_bytes=whole("Handed to its connection and not accepted yet."),
        subject={"type": ["string", "null"], "description": "The claim `sub` of its token."},
    ),
    "Subscribers": record(
        "Who is connected to this node.",
        node=text("Name of this node."),
        subscribers=array(schema("Subscriber"), "The event streams that are open."),
    ),
    "Session": record(
        "What the token grants.",
        subscribe=array(schema("Pattern"), "Channels and patterns that it may read."),
        publish=array(schema("Pattern"), "Channels and patterns that it may publish to."),
        admin=_truth("Whether it may see and end subscribers."),
        subject={"type": ["string", "null"], "description": "The claim `sub`."},
        until=_moment("When it expires."),
    ),
}

_PROBLEM: Json = {
    "Problem": record(
        "A problem document (RFC 9457).",
        type=text("A URI of this kind of problem.", examples=["about:blank"]),
        title=text("The status in words."),
        status={"type": "integer", "minimum": 400, "maximum": 599, "description": "The status of the answer."},
        detail=text("What was wrong and what would be right, for a person.", minLength=1),
    )
}

SCHEMAS: Json = {**_NAMES, **_PUBLISHING, **_READING, **_STREAMING, **_ADMINISTERING, **_PROBLEM}
