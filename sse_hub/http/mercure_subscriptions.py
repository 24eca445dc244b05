"""The active subscriptions to topics: a list of them, and updates when one begins or ends.

See docs/protocol.md, "Active subscriptions".

When a subscription begins or ends, the hub publishes a private update. If a subscription ends before its beginning is
published, neither is published. So the number of waiting updates is bounded by the number of subscribers, even while
the store is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from functools import partial

from aiohttp import web

from ..core.events import Draft, Event
from ..core.ports import Cluster, StoreUnavailable
from ..core.update_hub import UpdateHub
from ..core.updates import name_of
from ..logs import log_line
from ..tasks import end
from ..topic_grants import TopicGrant
from .app_keys import BACKGROUND, UPDATES
from .mercure_documents import Document, Subscribed, document_of, draft_of
from .mercure_elsewhere import Elsewhere

__all__ = ["MERCURE_SUBSCRIPTIONS", "Subscriptions", "announcing"]

_AT_ONCE = 200
"""Subscriptions that are published together, and whose updates are made in one turn of the event loop: 4 ms with a
payload of 3 kB."""
_RETRY = 1.0
"""Seconds until a store that was away is tried again."""
_LAST_PATIENCE = 1.0

logger = logging.getLogger("sse_hub.streams")


class _Active:
    """Documents that are made while they are looked at."""

    def __init__(self, here: Sequence[Subscribed], elsewhere: Sequence[Document]) -> None:
        self._here = here
        self._elsewhere = elsewhere

    def __iter__(self) -> Iterator[Document]:
        for subscribed in self._here:
            yield from subscribed.documents()
        yield from self._elsewhere


class Subscriptions:
    """The subscriptions of this node, and those of other nodes as far as it knows them.

    :param hub: the hub of all updates.
    :param enabled: whether they are announced and listed.
    """

    def __init__(self, hub: UpdateHub, *, enabled: bool) -> None:
        self.enabled = enabled
        self.elsewhere = Elsewhere(hub)
        self._hub = hub
        self._open: dict[int, Subscribed] = {}
        self._waiting: dict[tuple[int, bool], Subscribed] = {}
        """The updates to publish, by the number of the subscriber and by whether it begins."""
        self._wake = asyncio.Event()
        self._ids: dict[str, int] = {}  # numbers by the names of subscribers
        self._has_seen_updates = False
        if enabled:
            hub.observe = self._note_update

    def begin(self, id: int, topics: Sequence[str], grant: TopicGrant) -> None:
        """Note that a subscriber is registered.

        :param id: its number.
        """
        if self.enabled:
            subscribed = Subscribed(f"urn:uuid:{uuid.uuid4()}", tuple(topics), grant.payload)
            self._open[id] = self._waiting[id, True] = subscribed
            self._ids[subscribed.subscriber] = id
            self.elsewhere.report(subscribed, active=True)
            self._wake.set()

    def end(self, id: int) -> None:
        """Note that a subscriber is gone."""
        subscribed = self._open.pop(id, None)
        if subscribed is None:
            return
        del self._ids[subscribed.subscriber]
        self.elsewhere.report(subscribed, active=False)
        if self._waiting.pop((id, True), None) is None:
            self._waiting[id, False] = subscribed
            self._wake.set()

    def _note_update(self, event: Event) -> None:
        """Note an update; it may be about a subscription, here or at another node."""
        self._has_seen_updates = True
        document = document_of(event)
        if document is None:
            return
        id = self._ids.get(str(document.get("subscriber")))
        if id is None:
            self.elsewhere.note(document)
        elif not document.get("active"):
            # Other nodes counted this node as dead, because it was frozen or cut off. So the subscription begins again.
            self._waiting[id, True] = self._open[id]
            self._wake.set()

    def active(self) -> Iterable[Document]:
        """The documents of the subscriptions of all nodes that are active now. Later ones do not change it."""
        return _Active(list(self._open.values()), list(self.elsewhere.active.values()))

    @property
    def last_id(self) -> str | None:
        """The id of the newest update; None if none is known. It is always the hub's own id. The publisher's id may be
        a secret of the clients that may read the update."""
        return self.version if self._has_seen_updates else None

    @property
    def version(self) -> str:
        """A name of this state of the list: the hub's id of the newest update, also if that is not retained any more.
        Before the first update, it is the id at which the hub begins."""
        return name_of(self._hub.log.head)

    async def announce(self) -> None:
        """Publish the updates about subscriptions, until cancelled."""
        if not isinstance(self._hub.store, Cluster):
            with contextlib.suppress(StoreUnavailable):
                await self.elsewhere.end_all()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._publish()

    async def _publish(self) -> None:
        await asyncio.sleep(0)  # a store that has no work appends at once
        some = self._next()
        drafts = {key: await _drafts(subscribed, active=key[1]) for key, subscribed in some}
        some = [each for each in some if self._waiting.pop(each[0], None)]  # others have ended meanwhile
        if not some:
            return
        try:
            await self._hub.store.append([draft for key, _ in some for draft in drafts[key]])
        except StoreUnavailable as error:
            log_line(logger, logging.WARNING, f"subscriptions cannot be announced now: {error.reason}")
            for key, subscribed in some:
                if key[1] and key[0] not in self._open:
                    self._waiting.pop((key[0], False), None)  # it has ended without having been announced
                else:
                    self._waiting[key] = subscribed
            await asyncio.sleep(_RETRY)

    def _next(self) -> list[tuple[tuple[int, bool], Subscribed]]:
        """The next waiting ones: those of one subscriber, or of several with at most `_AT_ONCE` subscriptions."""
        some: list[tuple[tuple[int, bool], Subscribed]] = []
        count = 0
        for key, subscribed in self._waiting.items():
            count += len(subscribed.topics)
            if some and count > _AT_ONCE:
                break
            some.append((key, subscribed))
        return some

    async def finish(self) -> None:
        """Publish the remaining updates, before the store is closed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_PATIENCE):
                while self._waiting:
                    await self._publish()


async def _drafts(subscribed: Subscribed, *, active: bool) -> list[Draft]:
    """The updates about the subscriptions of one subscriber."""
    drafts: list[Draft] = []
    for document in subscribed.documents():
        if drafts and len(drafts) % _AT_ONCE == 0:
            await asyncio.sleep(0)
        drafts.append(draft_of(document, active=active))
    return drafts


MERCURE_SUBSCRIPTIONS: web.AppKey[Subscriptions] = web.AppKey("mercure subscriptions", Subscriptions)


async def announcing(app: web.Application) -> AsyncIterator[None]:
    """Announce subscriptions while the application runs. A cleanup context."""
    subscriptions = app[MERCURE_SUBSCRIPTIONS]
    if not subscriptions.enabled:
        yield
        return
    background, store = app[BACKGROUND], app[UPDATES].store
    tasks = [background.start("mercure subscriptions", subscriptions.announce)]
    if isinstance(store, Cluster):
        tasks.append(background.start("mercure nodes", partial(subscriptions.elsewhere.exchange, store)))
    yield
    for task in tasks:
        await end(task)
    await subscriptions.finish()
