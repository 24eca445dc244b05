"""The Mercure protocol in the OpenAPI document; see openapi.py."""

from __future__ import annotations

from .mercure_documents import SUBSCRIPTIONS_PATH
from .mercure_publish import HUB_PATH
from .schemas import Json

__all__ = ["MERCURE_PARAMETERS", "mercure_paths"]

_TEXT: Json = {"type": "string"}

MERCURE_PARAMETERS: Json = {
    "topics": {
        "name": "topic",
        "in": "query",
        "required": True,
        "description": "Topics, URI Templates (RFC 6570) or *, for all topics.",
        "schema": {"type": "array", "items": _TEXT, "minItems": 1},
    },
    "lastEventID": {
        "name": "lastEventID",
        "in": "query",
        "description": "For a first connection: the id to go on after, or `earliest`. The header wins.",
        "schema": _TEXT,
    },
    "authorization": {
        "name": "authorization",
        "in": "query",
        "description": "A token of the Mercure protocol. Kept out of the logs.",
        "schema": _TEXT,
    },
    "topicSelector": {
        "name": "topic",
        "in": "path",
        "required": True,
        "description": "A topic selector, percent-encoded once.",
        "schema": _TEXT,
    },
    "subscriber": {
        "name": "subscriber",
        "in": "path",
        "required": True,
        "description": "The URN of a subscriber, percent-encoded once.",
        "schema": _TEXT,
    },
}


def _references(kind: str, *names: str) -> list[Json]:
    return [{"$ref": f"#/components/{kind}/{name}"} for name in names]


def _problems(*statuses: str) -> Json:
    return dict(zip(statuses, _references("responses", *statuses), strict=True))


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
    return {
        HUB_PATH: {
            "get": {
                "operationId": "followTopics",
                "summary": "Follow topics by the Mercure protocol. Nothing but updates is on the stream.",
                "parameters": _references("parameters", "topics", "lastEventID", "Last-Event-ID", "authorization"),
                "responses": {
                    "200": {
                        "description": "An event stream. `Last-Event-ID` says where a resumed one begins.",
                        "content": {"text/event-stream": {"schema": _TEXT}},
                    },
                    **_problems("400", "401", "503"),
                },
            },
            "post": {
                "operationId": "publishUpdate",
                "summary": "Publish an update by the Mercure protocol.",
                "parameters": _references("parameters", "authorization", "Idempotency-Key"),
                "requestBody": {
                    "required": True,
                    "content": {"application/x-www-form-urlencoded": {"schema": form}},
                },
                "responses": {
                    "200": {"description": "The id of the update.", "content": {"text/plain": {"schema": _TEXT}}},
                    **_problems("400", "401", "403", "408", "413", "415", "429", "503"),
                },
            },
        },
        SUBSCRIPTIONS_PATH: _listing("subscriptions", "The active subscriptions."),
        f"{SUBSCRIPTIONS_PATH}/{{topic}}": _listing("subscriptionsOf", "Those of a topic selector.", "topicSelector"),
        f"{SUBSCRIPTIONS_PATH}/{{topic}}/{{subscriber}}": _listing(
            "subscription", "One of them.", "topicSelector", "subscriber"
        ),
    }


def _listing(id: str, about: str, *parameters: str) -> Json:
    return {
        "get": {
            "operationId": id,
            "summary": f"{about} Needs --mercure-subscriptions.",
            "parameters": _references("parameters", *parameters, "authorization"),
            "responses": {
                "200": {"description": "JSON-LD.", "content": {"application/ld+json": {"schema": {"type": "object"}}}},
                "304": {"description": "Nothing has been published since the `If-None-Match` of the request."},
                **_problems("400", "401", "403", "404", "503"),
            },
        }
    }
