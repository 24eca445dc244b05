"""The Mercure protocol in the OpenAPI document; see openapi.py."""

from __future__ import annotations

from .mercure_documents import SUBSCRIPTIONS_PATH
from .mercure_publish import HUB_PATH
from .openapi_parts import answer, operation, parameter, problems, query
from .schemas import Json

__all__ = ["MERCURE_PARAMETERS", "mercure_paths"]

_TEXT: Json = {"type": "string"}

MERCURE_PARAMETERS: Json = {
    "topics": query(
        "topic",
        "Topics, URI Templates (RFC 6570) or *, for all topics.",
        {"type": "array", "items": _TEXT, "minItems": 1},
        required=True,
    ),
    "lastEventID": query(
        "lastEventID", "For a first connection: the id to go on after, or `earliest`. The header wins.", _TEXT
    ),
    "authorization": query("authorization", "A token of the Mercure protocol. Kept out of the logs.", _TEXT),
    "topicSelector": parameter("topic", "path", "A topic selector, percent-encoded once.", _TEXT, required=True),
    "subscriber": parameter(
        "subscriber", "path", "The URN of a subscriber, percent-encoded once.", _TEXT, required=True
    ),
}


def mercure_paths() -> Json:
    """The paths of the protocol."""
    form: Json = {
        "type": "object",
        "required": ["topic"],
        "properties": {
            "topic": {"type": "array", "items": _TEXT},
            **dict.fromkeys(("data", "private", "id", "type", "retry"), _TEXT),
        },
    }
    stream = answer("An event stream. `Last-Event-ID` says where a resumed one begins.", "text/event-stream", _TEXT)
    published = answer("The id of the update.", "text/plain", _TEXT)
    body = {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": form}}}
    return {
        HUB_PATH: {
            "get": operation(
                "followTopics",
                "Follow topics by the Mercure protocol. Nothing but updates is on the stream.",
                {"200": stream, **problems(400, 401, 503)},
                *("topics", "lastEventID", "Last-Event-ID", "authorization"),
            ),
            "post": operation(
                "publishUpdate",
                "Publish an update by the Mercure protocol.",
                {"200": published, **problems(400, 401, 403, 408, 413, 415, 429, 503)},
                *("authorization", "Idempotency-Key"),
                requestBody=body,
            ),
        },
        SUBSCRIPTIONS_PATH: _listing("subscriptions", "The active subscriptions."),
        f"{SUBSCRIPTIONS_PATH}/{{topic}}": _listing("subscriptionsOf", "Those of a topic selector.", "topicSelector"),
        f"{SUBSCRIPTIONS_PATH}/{{topic}}/{{subscriber}}": _listing(
            "subscription", "One of them.", "topicSelector", "subscriber"
        ),
    }


def _listing(id: str, summary: str, *parameters: str) -> Json:
    answers = {
        "200": answer("JSON-LD.", "application/ld+json", {"type": "object"}),
        "304": {"description": "Nothing has been published since the `If-None-Match` of the request."},
        **problems(400, 401, 403, 404, 503),
    }
    return {"get": operation(id, f"{summary} Needs --mercure-subscriptions.", answers, *parameters, "authorization")}
