"""An iteration that is left closes its connection when nothing holds it any more."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

import pytest
from eventually import PATIENCE, eventually
from hubs import Server
from programs import ROOT, Program, Start, complaints
from scripted import Script, held, scripted, status

import sse_client
from sse_client import Event, EventSource, Publisher, Refused, SSEClient, SyncClient, merge

T = TypeVar("T")


async def leave_a_hundred_times(server: Server, client: SSEClient) -> None:
    for _ in range(100):
        async for _ in client.stream(replay=1):
            break


async def test_an_iteration_that_is_left_leaves_no_subscriber(server: Server) -> None:
    await server.hub.publish("a")
    async with SSEClient(server.url) as client:
        await leave_a_hundred_times(server, client)
        gc.collect()
        await server.until_subscribers(0)


async def test_a_source_that_is_left_closes_its_connection_and_its_session() -> None:
    async with scripted(held("data: a\n\n")) as server:
        async for _ in EventSource(server.url):
            break
        gc.collect()
        await asyncio.wait_for(server.left.wait(), 30)


async def test_a_wait_that_is_left_leaves_no_attempt(server: Server) -> None:
    async with SSEClient(server.url) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await anext(client.stream())
        await eventually(lambda: gc.collect() >= 0 and not server.hub.statistics().subscribers and not others())


def others() -> set[asyncio.Task[object]]:
    """Tasks of the client library that are left."""
    return {task for task in asyncio.all_tasks() if file_of(task) == sse_client.__file__}


def file_of(task: asyncio.Task[object]) -> str:
    """The file with the coroutine of a task."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code.co_filename if code is not None else ""


ACKNOWLEDGED = status(
    200, "Content-Type: application/json\r\n", '{"id":"1-0","channel":"c","event":"message","subscribers":0}'
)
REFUSED = status(403, "", "{}")


async def read_once(url: str, left: Left) -> None:
    async for _ in left(left(SSEClient(url)).stream()):
        break


async def read_a_source_once(url: str, left: Left) -> None:
    async for _ in left(EventSource(url)):
        break


async def publish(url: str, left: Left) -> None:
    await left(SSEClient(url)).publish("a")


async def write(url: str, left: Left) -> None:
    async with left(left(SSEClient(url)).run("c")) as run:
        await run.write("a")


def publish_without_await(url: str, left: Left) -> None:
    client = left(SSEClient.sync(url))
    left(client.client)
    client.publish("a")


def publish_without_waiting(url: str, left: Left) -> None:
    publisher = left(Publisher(url))
    publisher.publish("a")
    publisher.flush()


class Left:
    """Notes objects that are used and then left."""

    def __init__(self) -> None:
        self.objects: list[weakref.ref[Any]] = []

    def __call__(self, thing: T) -> T:
        self.objects.append(weakref.ref(thing))
        return thing

    def alive(self) -> list[str]:
        return [type(thing).__name__ for each in self.objects if (thing := each()) is not None]


VALUE = '{"id":"1-0","channel":"main","event":"message","data":"a","timestamp":"2026-11-24T12:00:00Z"}'
USES = {
    "a stream": (read_once, held(f"id: 1-0\ndata: {VALUE}\n\n")),
    "a stream that is refused": (read_once, REFUSED),
    "a source": (read_a_source_once, held("data: a\n\n")),
    "a source that is refused": (read_a_source_once, REFUSED),
    "a publish": (publish, ACKNOWLEDGED),
    "a publish that is refused": (publish, REFUSED),
    "a run": (write, ACKNOWLEDGED),
    "a run that is refused": (write, REFUSED),
    "a publish without await": (publish_without_await, ACKNOWLEDGED),
    "a publish without await that is refused": (publish_without_await, REFUSED),
    "a publisher": (publish_without_waiting, ACKNOWLEDGED),
    "a publisher that is refused": (publish_without_waiting, REFUSED),
}


@pytest.fixture
def no_garbage_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collector")
@pytest.mark.parametrize(("use", "script"), USES.values(), ids=USES)
async def test_what_is_left_is_freed_and_disconnected_without_the_garbage_collector(
    use: Callable[[str, Left], Any], script: Script
) -> None:
    left = Left()
    async with scripted(*[script] * 3) as server:
        with contextlib.suppress(Refused):
            await (
                use(server.url, left) if inspect.iscoroutinefunction(use) else asyncio.to_thread(use, server.url, left)
            )
        await eventually(lambda: not left.alive() and not others())
        await asyncio.wait_for(server.left.wait(), PATIENCE)


async def test_merged_streams_that_are_left_leave_no_subscriber(server: Server) -> None:
    await server.hub.publish("a")
    async with SSEClient(server.url) as client:
        async for _ in merge(client.stream(replay=1), client.stream("b")):
            break
        await eventually(lambda: gc.collect() >= 0 and not server.hub.statistics().subscribers)


class Pair:
    """Streams of the channels a and b, which have three events each. `taken` counts the events that were taken."""

    def __init__(self, client: SSEClient) -> None:
        self.taken = 0
        self.a = client.stream("a", replay=3, on_message=self.note)
        self.b = client.stream("b", replay=3, on_message=self.note)

    def note(self, event: Event) -> None:
        self.taken += event.type == "message"

    async def until_taken(self, count: int) -> None:
        await eventually(lambda: self.taken >= count)


@pytest.fixture
async def pair(server: Server) -> AsyncIterator[Pair]:
    for channel in "ab":
        for number in range(3):
            await server.hub.publish(f"{channel}{number}", channel=channel)
    async with SSEClient(server.url) as client:
        yield Pair(client)


async def take(events: AsyncIterator[Event], count: int) -> list[str]:
    async with asyncio.timeout(PATIENCE):
        return [(await anext(events)).data for _ in range(count)]


async def append_all(events: AsyncIterator[Event], received: list[str]) -> None:
    async for event in events:
        received.append(event.data)


async def test_a_merge_that_is_left_takes_no_event_of_its_sources(pair: Pair) -> None:
    async with merge(pair.a, pair.b) as events:
        first = await take(events, 1)
        await pair.until_taken(2)  # one event is handed out, and one is not
    rest = [*first, *(await take(pair.a, 3 - first.count("a0"))), *(await take(pair.b, 3 - first.count("b0")))]
    assert sorted(rest) == ["a0", "a1", "a2", "b0", "b1", "b2"]


async def test_a_merge_that_is_left_without_a_block_takes_no_event_of_its_sources(pair: Pair) -> None:
    received: list[str] = []
    async for event in merge(pair.a, pair.b):
        received.append(event.data)
        await pair.until_taken(2)
        break
    gc.collect()
    a, b = await take(pair.a, 3 - received.count("a0")), await take(pair.b, 3 - received.count("b0"))
    assert sorted([*received, *a, *b]) == ["a0", "a1", "a2", "b0", "b1", "b2"]


async def test_a_stream_of_a_merge_that_is_left_has_the_cursor_of_its_last_returned_event(
    pair: Pair, server: Server
) -> None:
    async with merge(pair.a, pair.b) as events:
        (first,) = await take(events, 1)
        await pair.until_taken(2)
    for stream, name in ((pair.a, "a"), (pair.b, "b")):
        returned = [name + "0"] if first.startswith(name) else []
        await stream.close()
        async with SSEClient(server.url) as client, client.stream(name, last_event_id=stream.last_event_id) as again:
            assert [*returned, *(await take(again, 3 - len(returned)))] == [f"{name}{number}" for number in range(3)]


async def test_a_stream_that_is_closed_after_a_merge_has_ended(pair: Pair) -> None:
    async with merge(pair.a, pair.b) as events:
        await take(events, 1)
        await pair.until_taken(2)
    for stream in (pair.a, pair.b):
        await stream.close()
        assert [event async for event in stream] == []


async def test_a_source_of_a_merge_goes_on_without_a_gap_when_another_one_fails(pair: Pair) -> None:
    failing = asyncio.Event()

    async def broken() -> AsyncIterator[Event]:
        await failing.wait()
        raise LookupError
        yield

    events = merge(pair.a, pair.b, broken())
    received = await take(events, 1)
    await pair.until_taken(2)
    failing.set()
    with pytest.raises(LookupError):
        await append_all(events, received)
    received += await take(pair.a, 3 - sum(data.startswith("a") for data in received))
    received += await take(pair.b, 3 - sum(data.startswith("b") for data in received))
    assert sorted(received) == ["a0", "a1", "a2", "b0", "b1", "b2"]


async def test_an_item_that_has_come_is_handed_out_before_the_error_of_another_source() -> None:
    gate = asyncio.Event()

    async def items() -> AsyncIterator[str]:
        yield "first"
        await gate.wait()
        yield "second"

    async def broken() -> AsyncIterator[str]:
        await gate.wait()
        raise LookupError
        yield

    for sources in ((items(), broken()), (broken(), items())):
        gate.clear()
        events = merge(*sources)
        received = [await anext(events)]
        waiting = asyncio.create_task(anext(events))
        await asyncio.sleep(0)  # a turn, in which the waits for both begin
        await asyncio.sleep(0)
        gate.set()
        received.append(await waiting)
        assert received == ["first", "second"]
        with pytest.raises(LookupError):
            await anext(events)
        assert await anext(events, None) is None


async def test_an_error_that_a_merge_has_not_raised_is_raised_by_its_source() -> None:
    async with scripted(status(404, "", "{}"), status(404, "", "{}")) as server:
        sources = [EventSource(server.url) for _ in range(2)]
        async with merge(*sources) as events:
            with pytest.raises(Refused):
                await anext(events)
        raised = 1
        for source in sources:
            try:
                assert await anext(source, None) is None
            except Refused:
                raised += 1
    assert raised == 2


async def test_a_merge_takes_an_item_of_a_source_only_when_one_is_asked_for() -> None:
    taken = []

    async def count() -> AsyncIterator[int]:
        for number in range(9):
            taken.append(number)
            yield number

    async with merge(count()) as numbers:
        assert await anext(numbers) == 0
        for _ in range(9):  # turns, in which a wait that has begun would end
            await asyncio.sleep(0)
        assert taken == [0]


async def test_a_stream_without_await_that_is_left_after_its_client_begins_no_thread(server: Server) -> None:
    await server.hub.publish("a")

    def leave() -> list[Event]:
        before = threading.active_count()
        client = SSEClient.sync(server.url)
        with client.stream(replay=1) as stream:
            assert next(stream).data == "a"
            client.close()
            rest = list(stream)
            assert threading.active_count() == before
        assert threading.active_count() == before
        return rest

    assert await asyncio.to_thread(leave) == []


async def test_a_stream_without_await_that_is_left_leaves_no_subscriber(server: Server) -> None:
    await server.hub.publish("a")

    def leave(client: object) -> None:
        for _ in range(10):
            for _ in client.stream(replay=1):  # type: ignore[attr-defined]
                break
        gc.collect()

    client = SSEClient.sync(server.url)
    await asyncio.to_thread(leave, client)
    await server.until_subscribers(0)
    await asyncio.to_thread(client.close)


SCRIPTS = {
    "a client that is not closed": "asyncio.run(SSEClient(URL).publish('a'))",
    "a stream that is left": """
async def main():
    async with SSEClient(URL) as client:
        async for event in client.stream(replay=1):
            break
asyncio.run(main())
""",
    "a stream and its client that are left": """
async def main():
    async for event in SSEClient(URL).stream(replay=1):
        break
asyncio.run(main())
""",
    "a client without await that is not closed": """
client = SSEClient.sync(URL)
client.publish("a")
for event in client.stream(replay=1):
    break
""",
    "a client in one loop after the other": """
client = SSEClient(URL)
asyncio.run(client.publish("a"))
asyncio.run(client.publish("b"))
stream = client.stream(replay=2)
print(asyncio.run(anext(stream, None)).data, asyncio.run(anext(stream, None)).data)
asyncio.run(client.close())
""",
    "a run": """
async def main():
    async with SSEClient(URL) as client, client.run("run", interrupt=True) as run:
        await run.write("a")
asyncio.run(main())
""",
    "a run that nobody ends": """
async def main():
    await SSEClient(URL).run("run").write("a")
asyncio.run(main())
""",
    "a run that is interrupted": """
import signal
async def main():
    async with SSEClient(URL) as client, client.run("run", interrupt=True) as run:
        await run.write("a")
        signal.raise_signal(signal.SIGINT)
        await asyncio.Event().wait()
try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
""",
    "a run without await that nobody ends": """
client = SSEClient.sync(URL)
client.run("run").write("a")
""",
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_python_has_nothing_to_complain_about(script: str, program: Start) -> None:
    hub: Program = program("--no-demo")
    text = f"import asyncio\nfrom sse_client import SSEClient\nURL = {hub.url!r}\n"
    subprocess.run([sys.executable, "-c", f"{text}SSEClient.sync(URL).publish('first')"], cwd=ROOT, check=True)
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", text + script]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, complaints(run.stderr)) == (0, [])


AT_EXIT = """
import asyncio, atexit, sys
from sse_client import SSEClient
client = SSEClient.sync(sys.argv[1].replace("127.0.0.1", "localhost"))
atexit.register(lambda: client.publish("a", channel="c"))
client.wait(lambda: asyncio.sleep(0))  # begins its thread
"""


def test_a_client_without_await_publishes_at_the_end_of_the_program(client: SyncClient, hub: Program) -> None:
    """Python starts no more threads then, so the name of the host is resolved without one."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", AT_EXIT, hub.url]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, complaints(run.stderr)) == (0, [])
    assert [event.data for event in client.history("c").events] == ["a"]
