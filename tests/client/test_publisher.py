"""Publishing from code that must not wait."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eventually import eventually
from network import Network
from programs import ROOT, Program, Start, complaints, free_port
from scripted import Connection, scripted, silent, status

from sse_client import Dropped, Event, Publisher, SSEClient

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


@pytest.fixture
def hub(program: Start) -> Program:
    return program("--no-demo", "--history", "5000")


@pytest.fixture
def publisher(hub: Program) -> Iterator[Publisher]:
    publisher = Publisher(hub.url)
    yield publisher
    publisher.close()


def events(hub: Program, channel: str) -> list[Event]:
    with SSEClient.sync(hub.url) as client:
        return client.history(channel, limit=1000).events


def data(hub: Program, channel: str = "c") -> list[str]:
    return [event.data for event in events(hub, channel)]


def test_events_are_published_in_order_within_a_channel(hub: Program, publisher: Publisher) -> None:
    for number in range(300):
        for channel in "ab":
            assert publisher.publish(number, channel=channel, event=["even", "odd"][number % 2])
    assert publisher.flush(30)
    for channel in "ab":
        published = events(hub, channel)
        assert [event.json() for event in published] == list(range(300))
        assert [event.type for event in published[:2]] == ["even", "odd"]


def test_values_that_cannot_be_published_are_an_error_at_once(publisher: Publisher) -> None:
    with pytest.raises(ValueError, match="JSON"):
        publisher.publish(float("nan"))
    with pytest.raises(ValueError, match="UTF-8"):
        publisher.publish("a", channel="\ud800")


def test_publishing_never_waits_and_a_full_queue_says_what_it_drops(caplog: pytest.LogCaptureFixture) -> None:
    dropped: list[Dropped] = []
    publisher = Publisher(f"http://127.0.0.1:{free_port()}", limit=3, on_drop=dropped.append)
    assert [publisher.publish(text) for text in "abcd"] == [True, True, True, False]
    assert [(each.data, each.channel) for each in dropped] == [(("d",), "main")]
    assert "the queue is full: 3 events" in dropped[0].reason
    publisher.close(0.1)
    assert [text for each in dropped for text in each.data] == ["d", "a", "b", "c"]
    assert publisher.dropped == 4
    publisher = Publisher(f"http://127.0.0.1:{free_port()}", limit_bytes=10)
    assert not publisher.publish("x" * 11)
    assert "1 events for channel main were dropped" in caplog.text


def test_events_that_the_hub_refuses_are_dropped_and_the_others_are_published(hub: Program) -> None:
    dropped: list[Dropped] = []
    publisher = Publisher(hub.url, on_drop=dropped.append)
    publisher.publish("a", channel="c")
    publisher.publish("b", channel="c", event="live")
    publisher.publish("c", channel="c")
    publisher.close(30)
    assert data(hub) == ["a", "c"]
    assert [(each.event, each.data) for each in dropped] == [("live", ("b",))]
    assert "the hub's own" in dropped[0].reason


async def test_events_wait_for_a_hub_that_is_away_and_come_once(hub: Program, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sse_client")
    async with Network(hub.port) as network:
        publisher = Publisher(network.url)
        network.lose_answers = 2
        for number in range(100):
            publisher.publish(number, channel="c")
        await eventually(lambda: publisher.flush(0))
        publisher.close()
    assert data(hub) == [str(number) for number in range(100)]


async def test_a_publisher_that_is_closed_drops_each_event_once(caplog: pytest.LogCaptureFixture) -> None:
    dropped: list[Dropped] = []
    async with scripted(*[silent] * 3) as server:
        publisher = Publisher(server.url, on_drop=dropped.append)
        for data in "abc":
            publisher.publish(data, channel=data)
        await eventually(lambda: server.requests)
        await asyncio.to_thread(publisher.close, 0)
    assert sorted(text for each in dropped for text in each.data) == ["a", "b", "c"]
    assert publisher.dropped == 3
    assert {each.reason for each in dropped} == {"the publisher was closed before the hub had acknowledged them"}


def test_a_signal_handler_publishes_while_the_program_does(hub: Program, publisher: Publisher) -> None:
    handled = 0

    def handle(*_: object) -> None:
        nonlocal handled
        handled += 1
        publisher.publish("signal", channel="signals")

    publisher.publish("first", channel="c")
    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        count = 0
        while handled < 50:
            count += publisher.publish("program", channel="c")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert publisher.flush(30)
    assert publisher.dropped == 0
    assert data(hub, "signals") == ["signal"] * handled
    assert count > 0


def publishing_threads() -> int:
    return [thread.name for thread in threading.enumerate()].count("sse_client")


def test_a_signal_handler_that_publishes_during_the_first_publish_uses_the_same_thread(
    hub: Program, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, before = threading.Thread.start, publishing_threads()

    def interrupted_start(thread: threading.Thread) -> None:
        monkeypatch.undo()
        signal.raise_signal(signal.SIGALRM)
        start(thread)

    handler = signal.signal(signal.SIGALRM, lambda *_: publisher.publish("signal", channel="c"))
    monkeypatch.setattr(threading.Thread, "start", interrupted_start)
    try:
        publisher.publish("program", channel="c")
    finally:
        signal.signal(signal.SIGALRM, handler)
    assert publishing_threads() == before + 1
    assert publisher.flush(30)
    assert data(hub) == ["signal", "program"]


class LatePublisher(Publisher):
    """Publishes an event at the moment at which `close` has seen that everything is published."""

    late = True

    def flush(self, timeout: float | None = None) -> bool:
        done = super().flush(timeout)
        if self.late:
            self.late = False
            self.publish("late", channel="c")
        return done


def test_an_event_that_is_published_while_the_publisher_is_closed_is_not_lost(hub: Program) -> None:
    publisher = LatePublisher(hub.url)
    publisher.publish("early", channel="c")
    publisher.close(30)
    assert data(hub) == ["early", "late"]
    publisher.publish("after", channel="c")
    publisher.close(30)
    assert data(hub) == ["early", "late", "after"]


def test_events_that_are_published_while_the_publisher_is_closed_come_once_and_in_order(
    hub: Program, publisher: Publisher
) -> None:
    publishing = threading.Thread(target=lambda: [publisher.publish(number, channel="c") for number in range(1000)])
    publishing.start()
    while publishing.is_alive():
        publisher.close()
    publisher.close()
    assert data(hub) == [str(number) for number in range(1000)]
    assert publisher.dropped == 0


async def test_a_publisher_that_is_closed_drops_no_event_that_was_acknowledged_and_none_twice() -> None:
    begun, queued, waiting = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def answer(connection: Connection) -> None:
        path, body = connection.request.path, connection.request.body
        if "/refused?" in path:
            await status(403)(connection)
        elif "/first?" in path or body.startswith(b"0\n"):
            begun.set()
            await queued.wait()
            count = len(body.splitlines())
            text = f'{{"id":"1-0","channel":"c","event":"message","subscribers":0,"count":{count}}}'
            await status(200, "Content-Type: application/json\r\n", text)(connection)
        else:
            waiting.set()
            await connection.gone()

    dropped: list[Dropped] = []
    async with scripted(*[answer] * 4) as server:
        publisher = Publisher(server.url, on_drop=dropped.append)
        publisher.publish("a", channel="first")
        await begun.wait()  # so that all others come into one batch
        publisher.publish("a", channel="refused")
        for number in range(700):
            publisher.publish(number, channel="c")
        queued.set()
        await waiting.wait()
        await eventually(lambda: dropped)
        await asyncio.to_thread(publisher.close, 0)
    assert [(each.channel, each.data) for each in dropped] == [
        ("refused", ("a",)),
        ("c", tuple(str(number) for number in range(500, 700))),
    ]
    assert publisher.dropped == 201


def test_a_publisher_does_not_wait_for_itself(hub: Program) -> None:
    errors: list[str] = []
    publisher: Publisher

    def wait(_: Dropped) -> None:
        for wait in (publisher.flush, publisher.close):
            with pytest.raises(RuntimeError) as caught:
                wait(0.1)
            errors.append(str(caught.value))

    publisher = Publisher(hub.url, on_drop=wait)
    publisher.publish("a", event="live")  # a type of the hub's own, which it refuses
    publisher.close(30)
    assert errors == ["a Publisher cannot wait in its own thread"] * 2


SCRIPT = """
import sys
from sse_client import Publisher
publisher = Publisher(sys.argv[1].replace("127.0.0.1", "localhost"))
for number in range(100):
    publisher.publish(number, channel="c")
"""


def test_the_end_of_the_program_publishes_waiting_events_without_a_message(hub: Program) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", SCRIPT, hub.url]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (run.returncode, complaints(run.stderr)) == (0, [])
    assert data(hub) == [str(number) for number in range(100)]


def test_the_end_of_a_program_does_not_wait_for_ever_and_names_lost_events() -> None:
    script = SCRIPT.replace('"localhost")', '"localhost"), exit_deadline=0.3')
    command = [sys.executable, "-c", script, f"http://127.0.0.1:{free_port()}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0
    assert "100 events for channel c were dropped" in run.stderr


def test_a_child_publishes_its_own_events_and_not_those_of_its_parent(hub: Program, publisher: Publisher) -> None:
    def publish(name: str) -> None:
        for number in range(10):
            publisher.publish(f"{name} {number}", channel="c")

    context = multiprocessing.get_context("fork")
    children = [context.Process(target=publish, args=(f"child {number}",)) for number in range(4)]
    publish("before")
    for child in children:
        child.start()
    publish("parent")
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert publisher.flush(30)
    published = data(hub)
    assert len(published) == len(set(published)) == 60
    for name in ("before", "parent", *(f"child {number}" for number in range(4))):
        mine = [text for text in published if text.startswith(name)]
        assert mine == [f"{name} {number}" for number in range(10)]


def test_threads_publish_at_once(hub: Program, publisher: Publisher) -> None:
    def publish(name: int) -> None:
        for number in range(100):
            publisher.publish(f"{name} {number}", channel="c")

    threads = [threading.Thread(target=publish, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert publisher.flush(30)
    assert len(set(data(hub))) == 800


DJANGO = """
import os, sys
import django
from django.conf import settings
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}, ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
)
django.setup()
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from sse_client import Publisher

publisher = Publisher(sys.argv[1])

def order(request):
    with transaction.atomic():
        transaction.on_commit(lambda: publisher.publish({"sold": request.GET["what"]}, channel="c"))
        if request.GET["what"] == "nothing":
            transaction.set_rollback(True)
    return HttpResponse("Thank you.")

urlpatterns = [path("order", order)]
for what in ("apples", "nothing", "pears"):
    assert Client().get("/order", {"what": what}).status_code == 200
"""


def test_django_publishes_only_after_the_commit(hub: Program) -> None:
    run = subprocess.run([sys.executable, "-c", DJANGO, hub.url], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert data(hub) == ['{"sold":"apples"}', '{"sold":"pears"}']


CELERY = """
import os
from celery import Celery
from celery.signals import worker_process_shutdown
from sse_client import Publisher, SSEClient

app = Celery("tasks", broker="filesystem://", broker_transport_options={
    "data_folder_in": os.environ["QUEUE"], "data_folder_out": os.environ["QUEUE"]})
app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False)
publisher = Publisher(os.environ["HUB"])
client = SSEClient.sync(os.environ["HUB"])
client.publish("made before the fork", channel="worker")
publisher.publish("made before the fork", channel="worker")
worker_process_shutdown.connect(lambda **_: publisher.close(), weak=False)

@app.task(name="work")
def work(number):
    publisher.publish(f"begun {number}", channel="c")
    client.publish(f"done {number}", channel="done", deadline=10)
"""


@pytest.fixture
def celery(hub: Program, tmp_path: Path) -> Iterator[Callable[[int], None]]:
    """Sends a task to a real worker with two processes."""
    (tmp_path / "queue").mkdir()
    (tmp_path / "tasks.py").write_text(CELERY)
    environment = {**os.environ, "HUB": hub.url, "QUEUE": str(tmp_path / "queue"), "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "prefork", "-c", "2", "-l", "WARNING"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def send(count: int) -> None:
        script = f"import tasks\nfor number in range({count}): tasks.work.delay(number)\ntasks.publisher.close()"
        subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, timeout=60)

    yield send
    worker.terminate()
    worker.wait(30)


@pytest.mark.timeout(120)
def test_a_worker_of_celery_publishes_in_its_processes(hub: Program, celery: Callable[[int], None]) -> None:
    with SSEClient.sync(hub.url) as client, client.stream("done", "c") as following:
        celery(20)
        received = [next(following) for _ in range(40)]
    for channel, word in (("done", "done"), ("c", "begun")):
        found = sorted(event.data for event in received if event.channel == channel)
        assert found == sorted(f"{word} {number}" for number in range(20))
