"""Event streams of the Mercure protocol: nothing but updates is on them (docs/protocol.md, "Subscribing to topics").

Many clients give every event to one function and take it for an update. Some dispatch an event at every empty line. So
a stream begins with a comment and a `retry` without an empty line, keeps alive by a comment, and ends without a last
event. The hub's own events of other streams are headers here, or the end of the stream.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from ..core.events import EventId
from ..core.groups import StartPosition
from ..core.hub import State, Subscriber
from ..core.labels import Labels
from ..core.ports import StoreUnavailable
from ..core.start import Start
from ..core.subscription import Subscription
from ..core.update_hub import UpdateHub
from ..core.updates import TopicSubscription, cursor_of
from ..limits import Refusal, TemplateSlots
from ..metrics import Metrics
from ..settings import Settings
from ..tasks import Soon
from ..topic_grants import TopicGrant
from ..worker import Worker
from .connection import Connection, Handshake
from .mercure_subscriptions import Subscriptions
from .problems import Problem
from .requests import last, listed, quality
from .streams import CLOSED, Streams, pause

__all__ = ["EARLIEST", "MERCURE_STREAMS", "STREAM_HEADERS", "MercureStreams", "wanted_id"]

EARLIEST = "earliest"
"""The id that means the beginning of the retained updates."""
STREAM_HEADERS = {
    "Cache-Control": "private, no-cache, no-store, no-transform",
    "X-Accel-Buffering": "no",
}
_WANTED: web.RequestKey[str] = web.RequestKey("wanted id", str)
_NAMES = ("lastEventID", "last_event_id", "Last-Event-ID", "Last-Event-Id", "last-event-id")


def wanted_id(request: web.Request) -> str | None:
    """The id after which the client wants to continue. None if it does not resume."""
    given = [request.headers.get("Last-Event-ID"), *(last(request, name) for name in _NAMES)]
    return next(filter(None, given), None)


class _Unavailable(Exception):
    """The stream cannot be opened now.

    :param reason: a sentence that says why.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MercureStreams(Streams):
    """The open streams of the Mercure protocol.

    :param hub: the hub of all updates.
    :param sibling: the other streams, which share the limits with these.
    :param subscriptions: gets each subscription that begins or ends.
    """

    ping = b":\n"

    def __init__(
        self,
        hub: UpdateHub,
        settings: Settings,
        metrics: Metrics,
        worker: Worker,
        sibling: Streams,
        subscriptions: Subscriptions,
    ) -> None:
        super().__init__(hub, settings, metrics, worker, sibling)
        self._templates = TemplateSlots(settings.mercure_templates_per_address)
        self._labels = Labels(hub, settings.mercure_history)
        self._subscriptions = subscriptions
        self._connections_of: dict[Subscriber, Connection] = {}
        self._lossy = Soon(self._end_lossy, CLOSED)
        hub.on_loss = self._end_after_loss

    async def follow(
        self, request: web.Request, topics: Sequence[str], subscription: TopicSubscription, grant: TopicGrant
    ) -> web.StreamResponse:
        """Answer this request with a stream of these topics."""
        wanted = wanted_id(request)
        if wanted is not None:
            request[_WANTED] = wanted
        try:
            start = Start() if wanted is None else await self._resumption(subscription, wanted)
            return await self.open(request, topics, subscription, grant, start)
        except StoreUnavailable as error:
            self._metrics.store_errors.inc()
            return self.unavailable_answer(request, error.reason)
        except _Unavailable as unavailable:
            return self.unavailable_answer(request, unavailable.reason)

    def _refusal(self, address: str, names: Sequence[str]) -> Refusal | None:
        return super()._refusal(address, names) or self._templates.refusal(address, names)

    def _acquire(self, address: str, names: Sequence[str]) -> None:
        super()._acquire(address, names)
        self._templates.acquire(address, names)

    def _release(self, address: str, names: Sequence[str]) -> None:
        super()._release(address, names)
        self._templates.release(address, names)

    def unavailable(self, reason: str, subscription: Subscription | None = None) -> web.Response:
        """Refuse a stream that cannot be opened now; `follow` answers.

        :raises _Unavailable: always, because the answer depends on the request.
        """
        raise _Unavailable(reason)

    async def _resumption(self, subscription: Subscription, wanted: str) -> Start:
        """The start after the first update with this id that is retained. If there is none, it is the beginning."""
        if wanted == EARLIEST or not self._hub.ready:
            return Start(True)
        ids = await self._labels.find(wanted, pause)
        # All updates are of one channel, so if one is gone, all older ones are, too. An id can be that of all updates.
        first, end = 0, len(ids)
        while first < end:
            middle = (first + end) // 2
            if (await Start(True, ids[middle]).locate(self._hub, subscription, pause)).lost:
                first = middle + 1
            else:
                end = middle
        return Start(True, ids[first] if first < len(ids) else cursor_of(wanted))

    def unavailable_answer(self, request: web.Request, reason: str) -> web.Response:
        """The answer for a state that will pass."""
        retry_ms = self._retry_ms()
        if not quality(listed(request, "Accept"), "text/event-stream"):
            detail = f"{reason} Try again in {retry_ms / 1000:.1f} s."
            return Problem(503, detail, {"Retry-After": str(-(-retry_ms // 1000))}).response()
        # A browser reconnects after no other status than 200 (WHATWG HTML 9.2.3).
        headers = {"Content-Type": "text/event-stream", **STREAM_HEADERS}
        if (wanted := request.get(_WANTED)) is not None and wanted.isprintable():
            headers["Last-Event-ID"] = headers["Mercure-Last-Event-ID"] = wanted
        return web.Response(body=f"retry: {retry_ms}\n".encode(), headers=headers)

    def _add_headers(self, handshake: Handshake, request: web.Request, position: StartPosition) -> None:
        handshake.headers.update(STREAM_HEADERS)
        if (wanted := request.get(_WANTED)) is not None:
            known = EARLIEST if position.lost else wanted
            handshake.headers["Last-Event-ID"] = handshake.headers["Mercure-Last-Event-ID"] = known

    def _register(
        self, connection: Connection, subscription: Subscription, start: Start, position: StartPosition
    ) -> Subscriber:
        # As if no replay was asked for: there is no event `live`.
        subscriber = self._hub.subscribe(subscription, connection, position)
        self._connections_of[subscriber] = connection
        subscriber.resumed = start.resumes and not subscriber.lost
        return subscriber

    def _begin(self, connection: Connection, subscription: Subscription, start: Start, position: StartPosition) -> None:
        super()._begin(connection, subscription, start, position)
        assert isinstance(connection.info.grant, TopicGrant)
        if connection.subscriber.state is not State.GONE:
            self._subscriptions.begin(connection.info.id, connection.info.channels, connection.info.grant)

    def _ends_at_once(self, subscriber: Subscriber, position: StartPosition) -> bool:
        # Updates that the headers have promised may be gone by now.
        return self.draining or (subscriber.lost and not position.lost)

    def _forget(self, connection: Connection) -> None:
        super()._forget(connection)
        self._connections_of.pop(connection.subscriber, None)
        self._subscriptions.end(connection.info.id)

    def _end_after_loss(self, subscriber: Subscriber) -> None:
        """End the stream of a subscriber that has lost updates."""
        self._hub.unsubscribe(subscriber)
        self._lossy.add(self._connections_of[subscriber])

    def _end_lossy(self, connection: Connection) -> None:
        connection.end(self._retry_field(), "lost")

    def _end(self, connection: Connection, problem: Problem, reason: str) -> None:
        self._end_with(connection, self._retry_field(), reason)

    def _end_drained(self, connection: Connection) -> None:
        self._end_with(connection, self._retry_field(), "drained")

    def _connected(self, subscriber: Subscriber, names: Sequence[str], cursor: EventId) -> bytes:
        return b":\n" + self._retry_field()

    def _retry_field(self) -> bytes:
        """The reconnection time, without an empty line, which some clients would take for an event."""
        return f"retry: {self._retry_ms()}\n".encode()


MERCURE_STREAMS: web.AppKey[MercureStreams] = web.AppKey("mercure streams", MercureStreams)
