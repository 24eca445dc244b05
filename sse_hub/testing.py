"""For the tests of programs that publish: a real hub on a free port, and assertions on what was published.

    # conftest.py
    pytest_plugins = ["sse_hub.testing"]

    # test_orders.py
    def test_an_order_is_announced(sse_hub):
        place_order("apples", hub_url=sse_hub.url)
        sse_hub.expect({"sold": "apples"}, channel="orders")

It needs pytest. The hub runs in a thread of its own, so tests may be synchronous or not.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, Self

import pytest
from aiohttp import web

from sse_client import Event, SSEClient, Stream, SyncClient
from sse_server import Settings, create_app, make_runner

__all__ = ["LocalHub", "sse_hub"]

_FENCE = "sse-hub-testing"
"""A channel for events that show that all earlier ones have arrived."""


class LocalHub:
    """A hub on a free port of this machine. Use `with`, or call `close()`.

    :param settings: settings of the hub, by the names of `Settings`: `jwt_key`, `history` …
    :param token: a token that may subscribe and publish everything. It is needed if the hub has a key.
    :raises RuntimeError: if the hub cannot begin, for example because its store is impossible.
    """

    def __init__(self, *, token: str | None = None, **settings: Any) -> None:
        self._settings = Settings(**{"no_demo": True, "drain": 1.0, **settings})
        self._token = token
        self._arrived = threading.Condition()
        self._events: list[Event] = []
        self._fences: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._ending = asyncio.Event()
        started: Future[str] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="sse_hub.testing", daemon=True)
        self._thread.start()
        self.url = started.result()
        """The URL of the hub, without a slash at the end."""
        self.client: SyncClient = SSEClient.sync(self.url, token=token)
        """A client of the hub."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the hub; a second call does nothing."""
        self.client.close()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ending.set)
            self._thread.join()

    def events(self, channel: str | None = None) -> list[Event]:
        """The events published until now in this channel, or in all channels, oldest first; ephemeral events, too."""
        fence = uuid.uuid4().hex
        self.client.publish(fence, channel=_FENCE, ephemeral=True)
        with self._arrived:
            if not self._arrived.wait_for(lambda: fence in self._fences, timeout=30):
                raise AssertionError("the hub has not delivered an event within 30 s")
            return [event for event in self._events if channel in (None, event.channel)]

    def expect(
        self, data: object, *, channel: str = "main", event: str | None = None, count: int = 1, within: float = 5.0
    ) -> list[Event]:
        """Wait until events with this data are published; return them.

        :param data: a text is compared with the data of an event, any other value with the JSON value of the data.
        :param event: the type; None for any type.
        :param count: the exact number of these events.
        :param within: seconds to wait.
        :raises AssertionError: if the number is another one. The message shows the published events.
        """

        def found() -> list[Event]:
            return [
                each
                for each in self._events
                if each.channel == channel and event in (None, each.type) and _is(each, data)
            ]

        with self._arrived:
            self._arrived.wait_for(lambda: len(found()) >= count, timeout=within)
        published = self.events()
        matching = found()
        if len(matching) != count:
            lines = "".join(f"\n  {each.channel} {each.type} {each.data}" for each in published) or " nothing"
            wanted = f"{data!r} in channel {channel}" + ("" if event is None else f" of type {event}")
            raise AssertionError(f"{wanted} was published {len(matching)} times, not {count}. All events:{lines}")
        return matching

    def expect_nothing(self, channel: str | None = None) -> None:
        """Check that nothing was published until now, in this channel or in any.

        :raises AssertionError: if an event was published.
        """
        published = self.events(channel)
        if published:
            raise AssertionError(f"{len(published)} events were published; the first is {published[0].data!r}")

    def clear(self) -> None:
        """Forget the events published until now."""
        self.events()
        with self._arrived:
            self._events.clear()
            self._fences.clear()

    def _run(self, started: Future[str]) -> None:
        try:
            self._loop.run_until_complete(self._serve(started))
        except SystemExit:
            started.set_exception(RuntimeError("the hub cannot begin; standard error has the reason"))
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _serve(self, started: Future[str]) -> None:
        runner = make_runner(create_app(self._settings))
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            async with SSEClient(url, token=self._token) as client, client.stream("*") as stream:
                following = asyncio.create_task(self._follow(stream))
                started.set_result(url)
                await self._ending.wait()
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
        finally:
            await runner.cleanup()

    async def _follow(self, stream: Stream) -> None:
        async for event in stream:
            with self._arrived:
                if event.channel == _FENCE:
                    self._fences.add(event.data)
                else:
                    self._events.append(event)
                self._arrived.notify_all()


def _is(event: Event, data: object) -> bool:
    if isinstance(data, str):
        return event.data == data
    try:
        return bool(event.json() == data)
    except ValueError:
        return False


@pytest.fixture
def sse_hub() -> Iterator[LocalHub]:
    """A hub for one test."""
    with LocalHub() as hub:
        yield hub
