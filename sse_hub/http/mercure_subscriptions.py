"""The active subscriptions to topics: a list of them, and updates when one begins or ends.

See docs/protocol.md, "Active subscriptions".

When a subscription begins or ends, the hub publishes a private update. If a subscription ends before its beginning is
published, neither is published. So the number of waiting updates is bounded by the number of subscribers, even while
the store is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from urllib.parse import quote

from aiohttp import web

from ..core.events import Draft, compact_json
from ..core.ports import Cluster, StoreUnavailable
from ..core.update_hub import UpdateHub
from ..core.updates import CHANNEL, draft, name_of, subscription_of_all, update_of
from ..logs import tell
from ..tasks import end
from ..topic_grants import TopicGrant
from .app_keys import BACKGROUND
from .mercure_publish import HUB_PATH

__all__ = [
    "CONTEXT",
    "MERCURE_SUBSCRIPTIONS",
    "SUBSCRIPTIONS_PATH",
    "Subscribed",
    "Subscriptions",
    "announcing",
    "quoted",
]

SUBSCRIPTIONS_PATH = f"{HUB_PATH}/subscriptions"
CONTEXT = "https://mercure.rocks/"
_AT_ONCE = 100
"""Subscribers whose subscriptions are published together."""
_RETRY = 1.0
"""Seconds until a store that was away is tried again."""
_LAST_PATIENCE = 1.0

logger = logging.getLogger("sse_hub.streams")


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The subscriptions of one connection."""

    subscriber: str
    """A URN that only this connection has."""
    topics: Sequence[str]
    """Its topic selectors."""
    payload: object
    """The payload in the token. None if there is none."""

    def documents(self, *, active: bool = True) -> Iterator[dict[str, object]]:
        """The documents of the protocol about each of them."""
        for topic in self.topics:
            yield {
                "id": f"{SUBSCRIPTIONS_PATH}/{quoted(topic)}/{quoted(self.subscriber)}",
                "type": "Subscription",
                "topic": topic,
                "subscriber": self.subscriber,
                "active": active,
                **({} if self.payload is None else {"payload": self.payload}),
            }

    def drafts(self, *, active: bool) -> Iterator[Draft]:
        """The updates that announce their beginning or their end."""
        for document in self.documents(active=active):
            yield draft([str(document["id"])], compact_json({"@context": CONTEXT, **document}), private=True)


def quoted(text: str) -> str:
    return quote(text, safe="")


class Subscriptions:
    """The subscriptions of this node.

    :param hub: the hub of all updates.
    :param enabled: whether they are announced and listed.
    """

    def __init__(self, hub: UpdateHub, *, enabled: bool) -> None:
        self.enabled = enabled
        self._hub = hub
        self._open: dict[int, Subscribed] = {}
        self._waiting: dict[tuple[int, bool], Subscribed] = {}
        """The updates to publish, by the number of the subscriber and by whether it begins."""
        self._wake = asyncio.Event()

    def begin(self, id: int, topics: Sequence[str], grant: TopicGrant) -> None:
        """Note that a subscriber is registered.

        :param id: its number.
        """
        if self.enabled:
            subscribed = Subscribed(f"urn:uuid:{uuid.uuid4()}", tuple(topics), grant.payload)
            self._open[id] = self._waiting[id, True] = subscribed
            self._wake.set()

    def end(self, id: int) -> None:
        """Note that a subscriber is gone."""
        subscribed = self._open.pop(id, None)
        if subscribed is not None and self._waiting.pop((id, True), None) is None:
            self._waiting[id, False] = subscribed
            self._wake.set()

    @property
    def active(self) -> Sequence[Subscribed]:
        """The subscriptions of this moment."""
        return list(self._open.values())

    @property
    def last_id(self) -> str | None:
        """The id of the newest update; None if there was none. It is always the hub's own id. The publisher's id may be
        a secret of the clients that may read the update."""
        channel = self._hub.log.get(CHANNEL)
        return None if channel is None else name_of(channel.last)

    async def announce(self) -> None:
        """Publish the noted updates, until cancelled."""
        await self._end_forgotten()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._publish()

    async def _publish(self) -> None:
        some = [(key, self._waiting.pop(key)) for key in list(islice(self._waiting, _AT_ONCE))]
        drafts = [each for (_, active), subscribed in some for each in subscribed.drafts(active=active)]
        try:
            await self._hub.store.append(drafts)
        except StoreUnavailable as error:
            tell(logger, logging.WARNING, f"subscriptions cannot be announced now: {error.reason}")
            for key, subscribed in some:
                if key[1] and key[0] not in self._open:
                    self._waiting.pop((key[0], False), None)  # it has ended without having been announced
                else:
                    self._waiting[key] = subscribed
            await asyncio.sleep(_RETRY)

    async def _end_forgotten(self) -> None:
        """Announce the end of subscriptions whose process was killed before it could.

        If nodes share the store, do nothing, because the subscriptions may be those of a node that lives.
        """
        if isinstance(self._hub.store, Cluster):
            return
        begun: dict[str, dict[str, object]] = {}
        for event in list(self._hub.log.after(subscription_of_all(), self._hub.log.floors.top)):
            topic = next(iter(update_of(event).topics), "")
            if topic.startswith(f"{SUBSCRIPTIONS_PATH}/"):
                document = _document(event.data)
                if document.pop("active", False):
                    begun[topic] = document
                else:
                    begun.pop(topic, None)
        here = {str(document["id"]) for each in self.active for document in each.documents()}
        gone = [
            draft([topic], compact_json({**document, "active": False}), private=True)
            for topic, document in begun.items()
            if topic not in here
        ]
        with contextlib.suppress(StoreUnavailable):
            if gone:
                await self._hub.store.append(gone)

    async def finish(self) -> None:
        """Publish the remaining updates, before the store is closed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_PATIENCE):
                while self._waiting:
                    await self._publish()


def _document(data: str) -> dict[str, object]:
    """The document in an update about a subscription; empty if it is malformed."""
    with contextlib.suppress(KeyError, RecursionError, TypeError, ValueError):
        document: Mapping[str, object] = json.loads(json.loads(data)["data"])
        if isinstance(document, dict):
            return document
    return {}


MERCURE_SUBSCRIPTIONS: web.AppKey[Subscriptions] = web.AppKey("mercure subscriptions", Subscriptions)


async def announcing(app: web.Application) -> AsyncIterator[None]:
    """Announce subscriptions while the application runs. A cleanup context."""
    subscriptions = app[MERCURE_SUBSCRIPTIONS]
    if not subscriptions.enabled:
        yield
        return
    task = app[BACKGROUND].start("mercure subscriptions", subscriptions.announce)
    yield
    await end(task)
    await subscriptions.finish()
