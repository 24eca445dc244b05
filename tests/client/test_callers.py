"""The caller's functions: in whose thread they are called, and what happens when they raise."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import pytest
from eventually import PATIENCE, eventually
from hubs import Server
from programs import ROOT, Program
from scripted import held, scripted, status, stream

from sse_client import Event, EventSource, GaveUp, NotAcknowledged, SSEClient, SSEError, SyncClient

T = TypeVar("T")
LOSS = 'event: lost\ndata: {"after":"1-0","next":"5-0"}\n\n'


def data(client: SyncClient, channel: str) -> list[str]:
    return [event.data for event in client.history(channel, limit=1000).events]


class Interrupting:
    """A callback that raises this error at its first call, as Ctrl-C does, and counts its calls."""

    def __init__(self, error: BaseException) -> None:
        self.calls = 0
        self._error = error

    def __call__(self, *_: object) -> str:
        self.calls += 1
        if self.calls == 1:
            raise self._error
        return "a"


# In whose thread


def test_items_are_drawn_and_callbacks_called_in_the_callers_thread(client: SyncClient) -> None:
    threads: set[threading.Thread] = set()

    def note(*_: object) -> None:
        threads.add(threading.current_thread())

    def items() -> Iterator[str]:
        for number in range(1200):
            note()
            yield str(number)

    assert client.publish_many(items(), channel="c", on_batch=note) == 1200
    callbacks: dict[str, Any] = dict.fromkeys(("on_open", "on_message", "on_notice", "on_lost"), note)
    with client.stream("c", last_event_id="1-0", **callbacks) as events:
        next(events)
    assert threads == {threading.current_thread()}
    assert data(client, "c") == [str(number) for number in range(200, 1200)]


def test_a_token_function_is_called_in_the_callers_thread(hub: Program) -> None:
    threads = []

    def token() -> str:
        threads.append(threading.current_thread())
        return "a"

    with SSEClient.sync(hub.url, token=token) as client:
        client.publish("a")
    assert set(threads) == {threading.current_thread()}


def test_a_function_for_headers_is_called_in_the_callers_thread(hub: Program) -> None:
    threads = []

    def headers() -> dict[str, str]:
        threads.append(threading.current_thread())
        return {"X-Gateway": "a"}

    with SSEClient.sync(hub.url, headers=headers) as client:
        client.publish("a", channel="c")
        with client.stream("c", replay=1, headers=headers) as events:
            next(events)
    assert len(threads) == 3
    assert set(threads) == {threading.current_thread()}


def test_a_cursor_of_sqlite_can_be_published(client: SyncClient) -> None:
    database = sqlite3.connect(":memory:")
    database.execute('CREATE TABLE t AS SELECT value FROM json_each(\'["a","b","c"]\')')
    assert client.publish_many((row[0] for row in database.execute("SELECT value FROM t")), channel="c") == 3
    database.close()
    assert data(client, "c") == ["a", "b", "c"]


def test_an_iterable_that_waits_holds_up_nothing_else(client: SyncClient) -> None:
    published = threading.Event()

    def items() -> Iterator[str]:
        yield "first"
        assert published.wait(30)
        yield "last"

    publishing = threading.Thread(target=client.publish_many, args=(items(),), kwargs={"channel": "c"})
    publishing.start()
    with client.stream("c", replay=1) as events:
        assert next(events).data == "first"
        client.publish("between", channel="c")
        published.set()
        assert [next(events).data, next(events).data] == ["between", "last"]
    publishing.join()


def test_an_error_of_an_iterable_is_raised_after_its_events(client: SyncClient) -> None:
    def items() -> Iterator[str]:
        yield "a"
        raise LookupError("the source is broken")

    with pytest.raises(LookupError, match="the source is broken"):
        client.publish_many(items(), channel="c")
    assert data(client, "c") == ["a"]


DJANGO = """
import django
from django.conf import settings
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)
django.setup()
from django.core.management import call_command
from django.contrib.auth.models import Group
call_command("migrate", verbosity=0)
for name in ("a", "b", "c"):
    Group.objects.create(name=name)

from sse_client import SSEClient
seen = []
with SSEClient.sync(URL) as client:
    rows = Group.objects.order_by("name").values("name")
    client.publish_many(rows, channel="c", on_batch=lambda batch: seen.append(Group.objects.count()))
    note = lambda: seen.append(Group.objects.first().name)
    with client.stream("c", replay=3, on_open=note) as events:
        seen.extend(next(events).json()["name"] for _ in range(3))
print(seen)
"""


def test_djangos_models_can_be_published_and_used_in_callbacks(hub: Program) -> None:
    command = [sys.executable, "-c", f"URL = {hub.url!r}\n{DJANGO}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (run.stdout, run.stderr) == ("[3, 'a', 'a', 'b', 'c']\n", "")


# When they raise


@pytest.mark.parametrize("error", [LookupError, OSError, SSEError, TimeoutError])
@pytest.mark.parametrize("callback", ["on_open", "on_message", "on_error"])
async def test_an_error_of_a_callback_reaches_the_caller_and_leaves_the_source_usable(
    callback: str, error: type[Exception]
) -> None:
    raised: list[type[Exception]] = []

    def fail(*_: object) -> None:
        if not raised:
            raised.append(error)
            raise error("mine")

    scripts = stream("data: a\n\n"), held("data: b\n\n")
    async with scripted(*scripts) as server:
        events = EventSource(server.url, reconnection_time=0.01, **{callback: fail})  # type: ignore[arg-type]
        received: list[str] = []
        errors: list[str] = []
        while "b" not in received:
            try:
                received.append((await anext(events)).data)
            except error as caught:
                errors.append(str(caught))
        await events.close()
    assert errors == ["mine"]
    assert received == (["b"] if callback == "on_message" else ["a", "b"])
    assert len(server.requests) == 2


@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration])
@pytest.mark.parametrize("callback", ["on_open", "on_message", "on_error"])
async def test_a_callback_that_says_that_an_iterator_has_ended_does_not_end_the_stream(
    callback: str, error: type[Exception]
) -> None:
    scripts = stream("data: a\n\n"), held("data: b\n\n")
    async with scripted(*scripts) as server:
        events = EventSource(server.url, reconnection_time=0.01, **{callback: Interrupting(error())})  # type: ignore[arg-type]
        errors = 0
        received: list[str] = []
        while "b" not in received:
            try:
                received.append((await anext(events)).data)
            except RuntimeError:
                errors += 1
        await events.close()
    assert errors == 1


@pytest.mark.parametrize("callback", ["on_lost", "on_notice"])
async def test_an_error_of_a_hubs_callback_reaches_the_caller_and_leaves_the_stream_usable(callback: str) -> None:
    def fail(_: object) -> None:
        raise LookupError("mine")

    value = '{"id":"5-0","channel":"main","event":"message","data":"a","timestamp":"2026-11-24T12:00:00Z"}'
    async with scripted(held(f"{LOSS}id: 5-0\ndata: {value}\n\n")) as server, SSEClient(server.url) as client:
        async with client.stream(**{callback: fail}) as events:
            with pytest.raises(LookupError, match="mine"):
                await anext(events)
            assert (await anext(events)).data == "a"


async def test_an_error_of_on_batch_reaches_the_caller(server: Server) -> None:
    def fail(_: object) -> None:
        raise OSError("mine")

    async with SSEClient(server.url) as client:
        with pytest.raises(OSError, match="mine"):
            await client.publish_many(["a"], on_batch=fail)


def failing(*errors: Exception) -> Any:
    """A function that gives a token after it has raised these errors."""
    left = list(errors)

    def token() -> str:
        if left:
            raise left.pop(0)
        return "a"

    return token


ERRORS = [LookupError("away"), OSError("away"), SSEError("away"), TypeError("away")]


async def test_a_token_function_that_fails_is_a_passing_fault_of_a_stream(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    await server.hub.publish("a")
    async with SSEClient(server.url, token=failing(*ERRORS)) as client:
        options: dict[str, Any] = {"reconnection_time": 0.01, "max_reconnection_time": 0.01}
        async with client.stream(replay=1, **options) as events:
            assert (await anext(events)).data == "a"
    assert caplog.text.count("away") == len(ERRORS)


async def test_a_token_function_that_fails_is_a_passing_fault_of_a_publish(server: Server) -> None:
    async with SSEClient(server.url, token=failing(*ERRORS)) as client:
        assert (await client.publish("a")).channel == "main"


async def test_a_token_function_that_always_fails_is_named_when_the_deadline_has_passed(server: Server) -> None:
    async with SSEClient(server.url, token=failing(*[LookupError("away")] * 99)) as client:
        with pytest.raises(NotAcknowledged, match="LookupError: away"):
            await client.publish("a", deadline=0.3)
        with pytest.raises(SSEError, match="LookupError: away"):
            await client.channels()


@pytest.mark.parametrize("token", ["a\nb", "", 7, "ü\x01"])
async def test_a_token_that_no_header_can_have_is_a_passing_fault_without_the_token(token: Any) -> None:
    tokens = iter([token, "right", "right", "right"])
    async with scripted(held("data: a\n\n")) as server:
        headers = {"reconnection_time": 0.01}
        async with SSEClient(server.url, token=lambda: next(tokens)) as client, client.stream(**headers):
            pass
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer right"]


@pytest.mark.parametrize("token", ["a\nb", "", "a\x00"])
def test_a_constant_token_that_no_header_can_have_is_an_error_at_once(token: str) -> None:
    with pytest.raises(ValueError, match="token") as caught:
        SSEClient(token=token)
    assert repr(token) not in str(caught.value)


def within_patience(function: Callable[[], T]) -> T:
    """The result of a function that must not hang, in a thread of its own."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome.result(PATIENCE)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
@pytest.mark.parametrize("name", ["on_open", "on_message", "on_lost", "on_notice"])
async def test_a_stream_goes_on_after_ctrl_c_in_a_callback(name: str, error: BaseException) -> None:
    value = '{"id":"5-0","channel":"main","event":"message","data":"a","timestamp":"2026-11-24T12:00:00Z"}'
    callback = Interrupting(error)

    def follow(url: str) -> str:
        with SSEClient.sync(url) as client:
            events = client.stream(**{name: callback})
            with pytest.raises(type(error)):
                next(events)
            return next(events).data

    async with scripted(held(f"{LOSS}id: 5-0\ndata: {value}\n\n")) as server:
        assert await asyncio.to_thread(within_patience, lambda: follow(server.url)) == "a"
    assert callback.calls > 1


def test_a_stream_goes_on_after_ctrl_c_in_on_error(unused_tcp_port: int) -> None:
    callback = Interrupting(KeyboardInterrupt())

    def follow() -> None:
        with SSEClient.sync(f"http://127.0.0.1:{unused_tcp_port}") as client:
            events = client.stream(on_error=callback, max_retries=1, reconnection_time=0.01)
            with pytest.raises(KeyboardInterrupt):
                next(events)
            next(events)

    with pytest.raises(GaveUp):
        within_patience(follow)


def test_a_stream_goes_on_after_ctrl_c_in_a_token_function(hub: Program) -> None:
    token = Interrupting(KeyboardInterrupt())

    def follow() -> str:
        with SSEClient.sync(hub.url, token=token) as client:
            events = client.stream("c", replay=1)
            with pytest.raises(KeyboardInterrupt):
                next(events)
            return next(events).data

    with SSEClient.sync(hub.url) as client:
        client.publish("a", channel="c")
    assert within_patience(follow) == "a"


async def test_a_call_that_was_given_up_is_not_made(server: Server) -> None:
    callback = Interrupting(KeyboardInterrupt())

    def follow() -> list[Event]:
        with SSEClient.sync(server.url) as client:
            events = client.stream("c", on_open=callback)
            with pytest.raises(KeyboardInterrupt):
                events.__enter__()
            client.health()  # the thread of the client has cancelled the call
            return list(events)

    assert await asyncio.to_thread(within_patience, follow) == []
    assert callback.calls == 1


@pytest.mark.parametrize("name", ["on_open", "on_message", "on_lost", "on_notice"])
async def test_a_callback_that_raises_stop_iteration_ends_the_wait_with_an_error(name: str) -> None:
    callback = Interrupting(StopIteration())
    value = '{"id":"5-0","channel":"main","event":"message","data":"a","timestamp":"2026-11-24T12:00:00Z"}'

    def follow(url: str) -> str:
        with SSEClient.sync(url) as client:
            events = client.stream(**{name: callback})
            with pytest.raises(RuntimeError, match="StopIteration"):
                next(events)
            return next(events).data if name != "on_message" else "a"

    async with scripted(held(f"{LOSS}id: 5-0\ndata: {value}\n\n")) as server:
        assert await asyncio.to_thread(within_patience, lambda: follow(server.url)) == "a"


def test_a_callback_of_a_batch_that_raises_stop_iteration_is_an_error(client: SyncClient) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        within_patience(lambda: client.publish_many(["a"], on_batch=Interrupting(StopIteration())))


def test_a_token_function_that_raises_stop_iteration_is_a_passing_fault(hub: Program) -> None:
    token = Interrupting(StopIteration())

    def publish() -> str:
        with SSEClient.sync(hub.url, token=token) as client:
            return client.publish("a", channel="c").channel

    assert within_patience(publish) == "c"


def test_a_token_function_of_a_run_that_raises_stop_iteration_is_a_passing_fault(hub: Program) -> None:
    token = Interrupting(StopIteration())

    def write() -> str | None:
        with SSEClient.sync(hub.url, token=token) as client, client.run("c", deadline=PATIENCE) as run:
            run.write("a")
        return run.ended

    assert within_patience(write) == "done"


# Several tasks on one stream


def logged(*ids: str) -> str:
    """Events of a hub with these ids."""
    value = '{{"id":"{0}","channel":"main","event":"message","data":"a","timestamp":"2026-11-24T12:00:00Z"}}'
    return "".join(f"id: {id}\ndata: {value.format(id)}\n\n" for id in ids)


class Slow:
    """A callback that waits for its gate at each call."""

    def __init__(self) -> None:
        self.calls = 0
        self.begun, self.gate = asyncio.Event(), asyncio.Event()

    async def __call__(self, *_: object) -> None:
        self.calls += 1
        self.begun.set()
        await self.gate.wait()


@pytest.mark.parametrize("name", ["on_open", "on_message", "on_lost", "on_notice"])
async def test_several_tasks_get_all_events_in_order_and_each_callback_is_called_once(name: str) -> None:
    slow = Slow()
    received: list[str] = []
    async with scripted(held(LOSS, logged("6-0", "7-0", "8-0"))) as server, SSEClient(server.url) as client:
        stream = client.stream(**{name: slow})

        async def read() -> None:
            async for event in stream:
                received.append(event.last_event_id)

        reading = [asyncio.create_task(read()) for _ in range(3)]
        await asyncio.wait_for(slow.begun.wait(), PATIENCE)
        for _ in range(9):  # turns, in which another task could overtake the one that calls
            await asyncio.sleep(0)
        assert received == []
        slow.gate.set()
        await eventually(lambda: len(received) == 3)
        await stream.close()
        await asyncio.wait_for(asyncio.gather(*reading), PATIENCE)
    assert received == ["6-0", "7-0", "8-0"]
    calls = {"on_message": 4, "on_notice": 1}  # the notice of the loss is a message of the source, too
    assert slow.calls == calls.get(name, 1)


@pytest.mark.parametrize("name", ["on_open", "on_message", "on_lost", "on_notice"])
async def test_a_callback_that_waits_for_its_own_stream_is_an_error(name: str) -> None:
    streams: list[Any] = []

    async def wait(*_: object) -> None:
        await anext(streams[0])

    def follow(url: str) -> None:
        with SSEClient.sync(url) as client:
            events: Any = client.stream(**{name: lambda *_: next(events)})
            next(events)

    async with scripted(*[held(LOSS, logged("6-0"))] * 2) as server, SSEClient(server.url) as client:
        streams.append(client.stream(**{name: wait}))
        with pytest.raises(RuntimeError, match="cannot wait for the stream"):
            await asyncio.wait_for(anext(streams[0]), PATIENCE)
        with pytest.raises(RuntimeError, match="cannot wait for the stream"):
            await asyncio.to_thread(within_patience, lambda: follow(server.url))


async def test_a_callback_may_close_its_stream() -> None:
    async with scripted(stream("data: a\n\n"), status(503)) as server:
        events: list[EventSource] = []
        async with EventSource(server.url, on_error=lambda: events[0].close()) as source:
            events.append(source)
            received: list[Event] = [event async for event in source]
    assert [event.data for event in received] == ["a"]
