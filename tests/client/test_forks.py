"""Processes that are forked, and event loops that come one after the other."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from eventually import PATIENCE
from forks import in_a_child
from hubs import Server
from programs import Program

from sse_client import EventSource, NotAcknowledged, SSEClient, SyncClient, merge

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


@pytest.fixture
def client(client: SyncClient) -> SyncClient:
    """A client whose thread and connection are there before anything is forked."""
    client.publish("before", channel="c")
    return client


def data(client: SyncClient) -> list[str]:
    return [event.data for event in client.history("c", limit=1000).events]


def test_a_client_of_the_parent_publishes_in_a_child(client: SyncClient) -> None:
    assert in_a_child(lambda: client.publish("in the child", channel="c", deadline=10)) == 0
    client.publish("after", channel="c")
    assert data(client) == ["before", "in the child", "after"]


def test_after_a_fork_a_stream_continues_in_parent_and_child(client: SyncClient) -> None:
    def the_rest() -> None:
        assert [next(events).data for _ in range(2)] == ["b", "c"]

    client.publish_many(["a", "b"], channel="c")
    with client.stream("c", replay=2) as events:
        assert next(events).data == "a"
        children = [threading.Thread(target=lambda: statuses.append(in_a_child(the_rest))) for _ in range(2)]
        statuses: list[int] = []
        for child in children:
            child.start()
        client.publish("c", channel="c")
        the_rest()
        for child in children:
            child.join()
        client.publish("d", channel="c")
        assert next(events).data == "d"
    assert statuses == [0, 0]


def test_finalizers_in_a_child_do_not_disturb_its_parent(client: SyncClient) -> None:
    def leave() -> None:
        nonlocal client
        del client

    client.publish("a", channel="c")
    with client.stream("c", replay=1) as events:
        next(events)
        context = multiprocessing.get_context("fork")
        child = context.Process(target=leave)
        child.start()
        child.join()
        assert child.exitcode == 0
        assert in_a_child(lambda: finalize(events)) == 0
        client.publish("b", channel="c")
        assert next(events).data == "b"


def finalize(stream: object) -> None:
    """Forget everything that an object holds."""
    vars(stream).clear()
    gc.collect()


def test_a_deadline_bounds_a_publish_in_a_child(hub: Program) -> None:
    with SSEClient.sync(hub.url) as client:
        client.publish("a")
        hub.process.kill()
        hub.process.wait()

        def publish() -> None:
            with pytest.raises(NotAcknowledged):
                client.publish("b", deadline=0.5)

        assert in_a_child(publish) == 0


def test_ten_children_at_once_publish_each_event_once(client: SyncClient) -> None:
    def publish() -> None:
        for number in range(10):
            client.publish(f"{os.getpid()} {number}", channel="c")

    context = multiprocessing.get_context("fork")
    children = [context.Process(target=publish) for _ in range(10)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    published = data(client)[1:]
    assert len(published) == len(set(published)) == 100


def test_a_client_is_used_in_one_event_loop_after_the_other(hub: Program) -> None:
    client = SSEClient(hub.url)
    for text in "ab":
        asyncio.run(client.publish(text, channel="c"))
    stream = client.stream("c", replay=2)
    assert [asyncio.run(_next(stream)) for _ in range(2)] == ["a", "b"]
    asyncio.run(client.close())


async def _next(stream: object) -> str:
    return (await anext(stream)).data  # type: ignore[call-overload, no-any-return]


class Count:
    """An asynchronous iterator of numbers, which a cancellation does not end."""

    def __init__(self) -> None:
        self.number = 0

    def __aiter__(self) -> Count:
        return self

    async def __anext__(self) -> int:
        await asyncio.sleep(0)
        self.number += 1
        return self.number


def test_a_merge_is_used_in_one_event_loop_after_the_other(hub: Program) -> None:
    client = SSEClient(hub.url)
    for channel in "ab":
        asyncio.run(client.publish_many([f"{channel}{number}" for number in range(3)], channel=channel))
    events = merge(*(client.stream(channel, replay=3) for channel in "ab"))
    received = [asyncio.run(_next(events)) for _ in range(6)]
    asyncio.run(client.close())
    assert sorted(received) == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_what_has_come_to_a_merge_is_handed_out_in_the_next_event_loop() -> None:
    numbers = merge(*(Count() for _ in range(3)))

    async def take() -> int:
        number = await anext(numbers)
        for _ in range(9):  # turns, in which the other numbers come
            await asyncio.sleep(0)
        return number

    received = [asyncio.run(take()) for _ in range(6)]
    assert sorted(received) == [1, 1, 1, 2, 2, 2]


def test_a_merge_that_was_used_before_a_fork_continues_in_parent_and_child(client: SyncClient, hub: Program) -> None:
    client.publish_many(["a0", "a1"], channel="a")
    client.publish_many(["b0", "b1"], channel="b")
    events = merge(*(SSEClient(hub.url).stream(channel, replay=2) for channel in "ab"))

    async def take(count: int) -> list[str]:
        return [await _next(events) for _ in range(count)]

    def the_rest() -> None:
        assert sorted(first + asyncio.run(take(3))) == ["a0", "a1", "b0", "b1"]

    with asyncio.Runner() as runner:
        first = runner.run(take(1))
        assert in_a_child(the_rest) == 0
        assert sorted(first + runner.run(take(3))) == ["a0", "a1", "b0", "b1"]


def run_and_shut_down(act: Coroutine[Any, Any, object]) -> None:
    asyncio.run(act)


def run_and_only_close(act: Coroutine[Any, Any, object]) -> None:
    """As programs do that know nothing of `loop.shutdown_asyncgens`."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(act)
    loop.close()


def loops_that_stay(run: Callable[[Coroutine[Any, Any, object]], None], act: Callable[[], Awaitable[object]]) -> int:
    """The number of event loops that are kept after ten were used."""
    loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()

    async def noted() -> None:
        loops.add(asyncio.get_running_loop())
        await act()

    for _ in range(10):
        run(noted())
    gc.collect()
    return len(loops)


@pytest.mark.parametrize(
    ("run", "most"),
    [
        (run_and_shut_down, 0),
        # The last one stays until the client is used again.
        pytest.param(run_and_only_close, 1, marks=pytest.mark.filterwarnings("ignore::ResourceWarning")),
    ],
)
def test_a_client_keeps_no_loop_that_has_ended(
    hub: Program, run: Callable[[Coroutine[Any, Any, object]], None], most: int
) -> None:
    def loops_of_a_client() -> int:
        client = SSEClient(hub.url)
        return loops_that_stay(run, lambda: client.publish("a"))

    assert loops_of_a_client() <= most
    gc.collect()  # the connection of the last loop, whose warning belongs to this test


def test_a_stream_keeps_no_loop_that_has_ended_but_the_last(hub: Program) -> None:
    client = SSEClient(hub.url)
    asyncio.run(client.publish_many(["a"] * 10, channel="c"))
    stream = client.stream("c", replay=10)
    assert loops_that_stay(run_and_shut_down, lambda: anext(stream)) <= 1


def test_a_source_keeps_no_loop_that_has_ended_but_the_last(hub: Program) -> None:
    source = EventSource(f"{hub.url}/stream", reconnection_time=0)
    assert loops_that_stay(run_and_shut_down, lambda: anext(source)) <= 1


def test_a_client_keeps_no_loop_of_its_streams(hub: Program) -> None:
    client = SSEClient(hub.url)
    asyncio.run(client.publish("a", channel="c"))

    async def follow() -> None:
        async with client.stream("c", replay=1) as stream:
            await anext(stream)

    assert loops_that_stay(run_and_shut_down, follow) == 0


async def test_a_client_is_used_in_two_event_loops_at_once(server: Server) -> None:
    async with SSEClient(server.url) as client:
        await client.publish("here")
        await asyncio.to_thread(asyncio.run, client.publish("there"))
        assert [event.data for event in (await client.history()).events] == ["here", "there"]


async def test_a_client_that_is_closed_in_one_event_loop_ends_its_streams_in_another(server: Server) -> None:
    client = SSEClient(server.url)

    async def follow() -> object:
        async with asyncio.timeout(PATIENCE):
            return await anext(client.stream(), "ended")

    following = asyncio.create_task(asyncio.to_thread(asyncio.run, follow()))
    await server.until_subscribers(1)
    await client.close()
    assert await following == "ended"


async def test_a_synchronous_client_refuses_to_wait_for_itself(server: Server) -> None:
    def use() -> None:
        with SSEClient.sync(server.url) as client:

            async def in_its_own_loop() -> None:
                client.health()

            client.wait(in_its_own_loop)

    with pytest.raises(RuntimeError, match="use its `client`"):
        await asyncio.to_thread(use)


def test_a_client_that_was_made_before_its_first_use_has_no_thread_yet() -> None:
    before = threading.active_count()
    SSEClient.sync("http://127.0.0.1:9")
    assert threading.active_count() == before
