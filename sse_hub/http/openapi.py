"""`GET /api/openapi.json`: the HTTP interface as OpenAPI 3.1. Tests compare it with the routes, with what handlers read
and with real answers, so that it stays true.

OpenAPI cannot describe an answer without an end. So an event stream is text, and its `description` says what it sends.
"""

from __future__ import annotations

from aiohttp import web

from .. import __version__
from ..core.ends import REASONS
from ..settings import Settings
from .app_keys import SETTINGS
from .history import HISTORY_LIMIT
from .openapi_mercure import MERCURE_PARAMETERS, mercure_paths
from .openapi_parts import answer, json_answer, operation, parameter, problems, query
from .schemas import Json, components, reference
from .subscribe import LONGEST_MS, SHORTEST_MS

__all__ = ["describe", "document"]

_ABOUT = (
    "Server-Sent Events for Python: publish by POST, follow by GET, resume without loss. Errors are problem documents "
    "(RFC 9457). If a state will pass (too many subscribers, draining, store away), an event stream is answered with "
    "200, an event `error` and the end of the stream, because a browser's EventSource gives up at any other status."
)

_STREAM = (
    "An event stream (WHATWG HTML 9.2), which lasts until one side ends it. It begins with `connected`, whose id is "
    "the cursor from which it starts. If a replay was asked for, replayed events and `live` follow. Then live events "
    "come. `lost` reports that events are gone, and `closing` that the server ends; `error` has a problem document. A "
    "stream of exactly one channel delivers `end` and then ends. The schemas Connected, Live, Lost, End, Closing and "
    "Problem describe the data of these events."
)

_EXAMPLE = """retry: 2731
id: 1763949600123-0
event: connected
data: {"channels":["main"],"resumed":false,"lost":false,"timestamp":"2026-11-24T02:00:00.123Z"}

id: 1763949600124-0
data: Hello

"""

_PROBLEMS = {
    400: "The request is malformed.",
    401: "There is no token, or it is not accepted; `detail` says which check failed.",
    403: "The token does not grant this, or the page that asks may not.",
    404: "It does not exist.",
    408: "The body has not arrived in time.",
    409: "The channel has ended, and takes no more events; `reason` says why.",
    410: "The requested beginning is gone (`plain=1`).",
    413: "The body is too large (`--max-body`), or the batch has too many events (`--max-batch`).",
    415: "The `Content-Type` or the `Content-Encoding` is not supported.",
    429: "The client publishes too fast (`--publish-rate`).",
    503: "The store or the issuer's keys cannot be reached, or the server is ending. Try again.",
}
_RETRY = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}}
_CHALLENGE = {"WWW-Authenticate": {"description": "How to send a token (RFC 6750).", "schema": {"type": "string"}}}
_HEADERS: dict[int, Json] = {401: dict(_CHALLENGE), 429: dict(_RETRY), 503: dict(_RETRY)}


_FLAG: Json = {"enum": ["0", "1"], "default": "0"}

_PARAMETERS: Json = {
    "channel": parameter("channel", "path", "A channel.", reference("ChannelName"), required=True),
    "channels": query(
        "channel",
        "Channels and patterns to follow.",
        {"type": "array", "items": reference("Pattern"), "default": ["main"]},
    ),
    "types": query("event", "Only events of these types.", {"type": "array", "items": reference("EventName")}),
    "lastEventId": query("lastEventId", "For a first connection: the cursor to start after.", {"type": "string"}),
    "Last-Event-ID": parameter(
        "Last-Event-ID", "header", "The cursor to start after, as browsers send it. It wins.", {"type": "string"}
    ),
    "replay": query(
        "replay",
        "For a first connection without a cursor: start this number of events back, or `latest`: with the newest "
        "event of each channel.",
        {"anyOf": [{"type": "integer", "minimum": 0}, {"const": "latest"}]},
    ),
    "from": query(
        "from", "For a first connection without a cursor: start at the beginning of the channels.", {"const": "start"}
    ),
    "conflate": query(
        "conflate",
        "Milliseconds in which one event of each channel and type is sent at most, the newest.",
        {"type": "integer", "minimum": SHORTEST_MS, "maximum": LONGEST_MS},
    ),
    "plain": query("plain", "1: only what was published, none of the hub's own events.", _FLAG),
    "ended": query("ended", "204: if the channel has ended, or does not exist, the answer is 204.", {"const": "204"}),
    "end": query("end", "End the channel, after the body if there is one.", {"enum": [*REASONS]}),
    "envelope": query("envelope", "1: every event as a `message` whose data is the schema Event.", _FLAG),
    "event": query("event", "The type of the event.", {**reference("PublishedName"), "default": "message"}),
    "ephemeral": query("ephemeral", "1: only for connected subscribers; never logged.", _FLAG),
    "Idempotency-Key": parameter(
        "Idempotency-Key",
        "header",
        "Within ten minutes, the same key on the same path returns the first answer and publishes nothing.",
        {"type": "string", "minLength": 1, "maxLength": 256},
    ),
    "after": query("after", "Only events after this one.", reference("EventId")),
    "afterName": query("after", "Only channels whose names come after this one.", {"type": "string"}),
    "afterSubscriber": query("after", "Only subscribers that came after the one with this id.", {"type": "integer"}),
    "match": query("match", "Only channels that this pattern matches.", {**reference("Pattern"), "default": "*"}),
    "limit": query(
        "limit",
        "The largest number of items.",
        {"type": "integer", "minimum": 1, "maximum": HISTORY_LIMIT, "default": 100},
    ),
    "id": parameter("id", "path", "The id of a subscriber in the list.", {"type": "string"}, required=True),
    "file": parameter("file", "path", "A file of the page.", {"type": "string"}, required=True),
}

_FOLLOWING = (
    "types",
    "lastEventId",
    "Last-Event-ID",
    "replay",
    "from",
    "conflate",
    "envelope",
    "plain",
    "ended",
)


def _stream() -> Json:
    return {
        "description": _STREAM,
        "headers": {"Cache-Control": {"schema": {"type": "string"}}, "X-Accel-Buffering": {"schema": {"const": "no"}}},
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
    }


_OPEN: list[Json] = []
"""The security of what needs no token."""
_READING = (400, 401, 403, 503)
_PUBLISHING = (400, 401, 403, 408, 409, 413, 415, 429, 503)
_FOLLOWED: Json = {"204": {"description": "The channel has ended, and the reader has all of it."}}
_PUBLISHED: Json = {
    "anyOf": [
        reference("Published"),
        {"type": "array", "items": reference("Published"), "description": "One for each of a list of channels."},
    ]
}


def _streams() -> Json:
    answers = {"200": _stream(), **_FOLLOWED, **problems(400, 401, 403, 410, 503)}
    metrics = {
        "description": _STREAM,
        "content": {
            "text/event-stream": {"schema": {"type": "string"}},
            "text/plain": {"schema": {"type": "string", "description": "Prometheus' exposition."}},
            "application/openmetrics-text": {"schema": {"type": "string"}},
        },
    }
    return {
        "/stream": {
            "get": operation("followChannels", "Follow channels and patterns.", answers, "channels", *_FOLLOWING)
        },
        "/metrics": {
            "get": operation(
                "followMetrics",
                "Follow the channel metrics, or read the exposition for Prometheus: `Accept` decides.",
                {"200": metrics, **_FOLLOWED, **problems(400, 401, 403, 410, 503)},
                *_FOLLOWING,
            )
        },
    }


def _channel() -> Json:
    body = {
        "required": True,
        "description": "The data, in UTF-8. With application/x-ndjson, every line is an event.",
        "content": {"*/*": {"schema": {"type": "string"}}, "application/x-ndjson": {"schema": {"type": "string"}}},
    }
    published: Json = {"anyOf": [reference("Published"), reference("PublishedBatch")]}
    answers = {"200": answer("It is published.", "application/json", published), **problems(*_PUBLISHING)}
    follow = {"200": _stream(), **_FOLLOWED, **problems(400, 401, 403, 410, 503)}
    return {
        "/realtime/{channel}": {
            "get": operation("followChannel", "Follow a channel.", follow, "channel", *_FOLLOWING),
            "post": operation(
                "publish",
                "Publish, and end the channel if that is asked for.",
                answers,
                "channel",
                "event",
                "ephemeral",
                "end",
                "Idempotency-Key",
                requestBody=body,
            ),
            "delete": operation(
                "forget",
                "Forget what is retained of a channel, its end included.",
                {"204": {"description": "It is forgotten."}, **problems(*_READING)},
                "channel",
            ),
        },
        "/api/broadcast": {
            "post": operation(
                "broadcast",
                "Publish a JSON message.",
                {"200": answer("It is published.", "application/json", _PUBLISHED), **problems(*_PUBLISHING)},
                "Idempotency-Key",
                requestBody={"required": True, "content": {"application/json": {"schema": reference("Broadcast")}}},
            )
        },
    }


def _lists() -> Json:
    return {
        "/api/channels": {
            "get": operation(
                "channels",
                "The channels by name.",
                {"200": json_answer("A page of them.", "Channels"), **problems(*_READING)},
                "match",
                "afterName",
                "limit",
            )
        },
        "/api/channels/{channel}/events": {
            "get": operation(
                "history",
                "Retained events, oldest first.",
                {"200": json_answer("A page of them.", "History"), **problems(*_READING)},
                "channel",
                "after",
                "limit",
            )
        },
        "/api/subscribers": {
            "get": operation(
                "subscribers",
                "The subscribers of this server.",
                {"200": json_answer("A page of them.", "Subscribers"), **problems(*_READING)},
                "afterSubscriber",
                "limit",
            )
        },
        "/api/subscribers/{id}": {
            "delete": operation(
                "endSubscriber",
                "End an event stream.",
                {"204": {"description": "It ends."}, **problems(*_READING, 404)},
                "id",
            )
        },
    }


def _session() -> Json:
    begun = json_answer("The cookie `sse_token` is set until the token expires.", "Session")
    begun["headers"] = {"Set-Cookie": {"schema": {"type": "string"}}}
    return {
        "/api/session": {
            "post": operation(
                "beginSession", "A bearer token becomes a cookie.", {"200": begun, **problems(400, 401, 403, 404, 503)}
            ),
            "delete": operation(
                "endSession",
                "Delete the cookie.",
                {"204": {"description": "The cookie is deleted."}, **problems(400, 403)},
                security=_OPEN,
            ),
        }
    }


def _others() -> Json:
    page = answer("The page.", "text/html", {"type": "string"})
    asset = {"description": "The file.", "content": {"*/*": {"schema": {"type": "string"}}}}
    return {
        "/": {"get": operation("page", "The page.", {"200": page, **problems(400)}, security=_OPEN)},
        "/web/{file}": {
            "get": operation(
                "asset", "A file of the page.", {"200": asset, **problems(400, 403, 404)}, "file", security=_OPEN
            )
        },
        "/health": {
            "get": operation(
                "health",
                "The health of the server.",
                {
                    "200": json_answer("The server works.", "Health"),
                    "503": json_answer("The server is ending, or its store is away.", "Health"),
                },
                security=_OPEN,
            )
        },
        "/api/openapi.json": {
            "get": operation(
                "openapi",
                "This document.",
                {"200": answer("This document.", "application/json", {"type": "object"}), **problems(400)},
                security=_OPEN,
            )
        },
    }


def _components() -> Json:
    responses = {
        str(status): {
            **answer(description, "application/problem+json", reference("Problem")),
            **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
        }
        for status, description in _PROBLEMS.items()
    }
    schemes = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "cookie": {"type": "apiKey", "in": "cookie", "name": "sse_token"},
        "query": {"type": "apiKey", "in": "query", "name": "token", "description": "Kept out of the logs."},
    }
    return {
        "schemas": components(),
        "parameters": {**_PARAMETERS, **MERCURE_PARAMETERS},
        "responses": responses,
        "securitySchemes": schemes,
    }


def document(settings: Settings) -> Json:
    """The OpenAPI document of a server with these settings."""
    # Without a key, nothing is checked: `{}` means that no token is needed.
    without: list[Json] = [{}] if settings.anonymous != "none" else []
    return {
        "openapi": "3.1.0",
        "info": {"title": "sse-hub", "version": __version__, "description": _ABOUT, "license": {"name": "MIT"}},
        # Relative to the URL of the document, so it is right behind any proxy and at any prefix.
        "servers": [{"url": ".."}],
        "security": [*without, {"bearer": []}, {"cookie": []}, {"query": []}],
        "paths": {**_streams(), **_channel(), **_lists(), **_session(), **_others(), **mercure_paths()},
        "components": _components(),
    }


async def describe(request: web.Request) -> web.Response:
    """`GET /api/openapi.json`."""
    return web.json_response(document(request.app[SETTINGS]), headers={"Cache-Control": "no-cache"})
