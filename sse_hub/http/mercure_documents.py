"""The document of a subscription in the Mercure protocol, and the updates that hold it.

See docs/protocol.md, "Active subscriptions".
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from ..core.events import Draft, Event, compact_json
from ..core.updates import draft, update_of
from .mercure_publish import HUB_PATH

__all__ = ["CONTEXT", "SUBSCRIPTIONS_PATH", "Document", "Subscribed", "document_of", "draft_of", "quoted"]

SUBSCRIPTIONS_PATH = f"{HUB_PATH}/subscriptions"
CONTEXT = "https://mercure.rocks/"

Document = Mapping[str, object]
"""The document of one subscription, without `@context`."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The subscriptions of one connection."""

    subscriber: str
    """A URN that only this connection has."""
    topics: Sequence[str]
    """Its topic selectors."""
    payload: object
    """A JSON value that the application has put into the token; None if there is none."""

    @property
    def text(self) -> str:
        """The subscriptions as text, for other nodes; see `read`."""
        return compact_json([self.subscriber, self.topics, self.payload])

    @classmethod
    def read(cls, text: str) -> Subscribed | None:
        """The subscriptions that another node has written; None if it has another form."""
        with contextlib.suppress(RecursionError, TypeError, ValueError):
            subscriber, topics, payload = json.loads(text)
            if isinstance(subscriber, str) and all(isinstance(topic, str) for topic in topics):
                return cls(subscriber, topics, payload)
        return None

    def documents(self) -> Iterator[Document]:
        """A document for each subscription."""
        for topic in self.topics:
            yield {
                "id": f"{SUBSCRIPTIONS_PATH}/{quoted(topic)}/{quoted(self.subscriber)}",
                "type": "Subscription",
                "topic": topic,
                "subscriber": self.subscriber,
                "active": True,
                **({} if self.payload is None else {"payload": self.payload}),
            }


def quoted(text: str) -> str:
    """The text as a segment of a path, percent-encoded."""
    return quote(text, safe="")


def draft_of(document: Document, *, active: bool) -> Draft:
    """The update about a subscription that has begun or ended."""
    data = compact_json({"@context": CONTEXT, **document, "active": active})
    return draft([str(document["id"])], data, private=True)


def document_of(event: Event) -> Document | None:
    """The document in an update; None if the update is about something else."""
    topic = next(iter(update_of(event).topics), "")
    if not topic.startswith(f"{SUBSCRIPTIONS_PATH}/"):
        return None
    with contextlib.suppress(KeyError, RecursionError, TypeError, ValueError):
        document = json.loads(json.loads(event.data)["data"])
        if isinstance(document, dict) and document.get("id") == topic:
            document.pop("@context", None)
            return document
    return None
