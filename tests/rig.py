"""A hub without an event loop: its clock, its loop and its connections are turned by hand."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from wire import Received, parse

from sse_hub.core.events import Draft, EventId
from sse_hub.core.hub import Hub, Subscriber
from sse_hub.core.log import Log
from sse_hub.core.rules import Rule, Rules
from sse_hub.core.start import Start
from sse_hub.core.subscription import Subscription
from sse_hub.stores.memory import MemoryStore

ORIGIN = EventId(1000, 0)


Result = TypeVar("Result")


def done(publish: Coroutine[None, None, Result]) -> Result:
    """The result of a coroutine that does not wait: the memory store needs no event loop."""
    try:
        publish.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    raise AssertionError("it waited")


async def no_pause() -> None:
    pass


class Connection:
    """Keeps what it is given; refuses more on request."""

    def __init__(self, *, gzip: bool = False) -> None:
        self.written: list[bytes] = []
        self.can_take = True
        self.finished: bool | None = None
        """Whether the stream that has ended is complete."""
        self._gzip = gzip

    def write(self, data: bytes) -> bool:
        self.written.append(data)
        return self.can_take

    def finish(self, *, complete: bool) -> None:
        assert self.finished is None
        self.finished = complete

    @property
    def received(self) -> list[Received]:
        data = b"".join(self.written)
        return parse(zlib.decompressobj(-15).decompress(data) if self._gzip else data)

    @property
    def data(self) -> list[str]:
        return [event.data for event in self.received if event.type == "message"]


class Rig:
    """A hub with a clock and a loop that a test turns by hand."""

    def __init__(self, *rules: Rule, **bounds: Any) -> None:
        self.now_ms = 2000
        self.turns: list[Callable[[], None]] = []
        self.hub = Hub(Log(ORIGIN, Rules(Rule(**bounds), rules)), self.turns.append)
        self.hub.store = MemoryStore(self.hub, lambda: self.now_ms)

    def publish(self, *data: str, channel: str = "main", type: str = "message", ephemeral: bool = False) -> None:
        self.now_ms += 1
        for each in data:  # several at once may be delivered in slices, which takes an event loop
            if self.hub.delivery.is_full:
                self.turn()  # a publisher waits for it
            done(self.hub.publish_all([Draft(channel, type, each, ephemeral)]))

    def ping(self) -> None:
        for _ in self.hub.delivery.ping(b": ping\n\n"):
            pass

    def turn(self) -> None:
        while self.turns:
            self.turns.pop()()

    def subscribe(
        self,
        *names: str,
        types: Sequence[str] = (),
        envelope: bool = False,
        cursor: EventId | None = None,
        replay: int | None = None,
        resume: bool = False,
        live: bool = True,
        gzip: bool = False,
        latest: bool = False,
        from_start: bool = False,
        plain: bool = False,
        conflate_ms: int = 0,
    ) -> tuple[Connection, Subscriber]:
        connection = Connection(gzip=gzip)
        subscription = Subscription(
            frozenset(names or ("main",)),
            frozenset(types),
            envelope,
            chunked=False,
            gzip=gzip,
            plain=plain,
            conflate_ms=conflate_ms,
        )
        if gzip:  # as it is subscribed over HTTP
            subscription = replace(subscription, unshared=True)
        start = Start(resume or cursor is not None, cursor, replay, latest, from_start)
        position = done(start.locate(self.hub, subscription, no_pause))
        subscriber = self.hub.subscribe(
            subscription, connection, position, resumes=start.resumes, replays=start.replays
        )
        while live and self.hub.advance(subscriber):
            pass
        if live and gzip:
            self.join_shared()
        return connection, subscriber

    def join_shared(self) -> None:
        for _ in self.hub.join_shared():
            pass
