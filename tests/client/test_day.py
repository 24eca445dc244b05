"""A day in the life of a client: forked, cancelled at random, behind a proxy that cuts, stalls and answers 502."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import multiprocessing
import os
import random
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from bad_proxy import bad_proxy
from eventually import eventually
from programs import Program, Start

from sse_client import Event, Publisher, SSEClient, Stream, SyncClient

SECONDS = float(os.environ.get("SSE_DAY_SECONDS", "20"))
"""How long the day is. By hand: SSE_DAY_SECONDS=3600 pytest tests/client/test_day.py"""
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
    pytest.mark.timeout(SECONDS + 100),
]


RUN = [f"token {number}\n" if number % 5 else f"{number} " for number in range(40)]
"""The tokens of a run. Some cannot share a batch with others."""


async def impatiently(stream: Stream) -> AsyncIterator[Event]:
    """The events of a stream, by waits that are cancelled at random."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(random.uniform(0.001, 0.3)):
                event = await anext(stream)
            yield event


def work_in_a_child(client: SyncClient, publisher: Publisher, name: str) -> None:
    """What a forked worker does with objects that were made before the fork."""
    for number in range(20):
        client.publish(f"{name} {number}", channel="child", deadline=60)
        publisher.publish(f"{name} {number}", channel="child.soon")
    publisher.close(60)


async def children(client: SyncClient, publisher: Publisher, ending: asyncio.Event) -> list[str]:
    """Fork again and again; the names of the children."""
    names: list[str] = []
    context = multiprocessing.get_context("fork")
    while not ending.is_set():
        names.append(f"child {len(names)}")
        child = context.Process(target=work_in_a_child, args=(client, publisher, names[-1]))
        child.start()
        await asyncio.to_thread(child.join)
        assert child.exitcode == 0
    return names


async def test_every_event_comes_once_and_in_order_through_many_failures(program: Start, tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path / 'events.db'}"
    limits = ("--history", "1000000", "--max-replay", "1000000", "--retry", "50")
    hub: Program = program("--no-demo", "--store", store, *limits)
    received: dict[str, list[bytes]] = {}
    sent = {"awaited": 0, "soon": 0}
    ending = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        proxy = stack.enter_context(bad_proxy(hub.port))
        client = await stack.enter_async_context(SSEClient(proxy.url))
        sync, publisher = SSEClient.sync(proxy.url), Publisher(proxy.url)
        await asyncio.to_thread(sync.publish, "made before the forks", channel="other")
        publisher.publish("made before the forks", channel="other")

        async def follow() -> None:
            async for event in impatiently(stream):
                received.setdefault(event.channel, []).append(event.data.encode())  # not what the client has made

        async def publish() -> None:
            while not ending.is_set():
                await client.publish(sent["awaited"], channel="awaited")
                sent["awaited"] += 1
                publisher.publish(sent["soon"], channel="soon")
                sent["soon"] += 1
                await asyncio.sleep(0.005)

        async def write_runs() -> int:
            """Write one run after the other; how many were written."""
            for number in itertools.count():
                async with client.run(f"run.{number}") as run:
                    for token in RUN:
                        await run.write(token)
                        await asyncio.sleep(random.uniform(0, 0.02))
                if ending.is_set():
                    break
            return number + 1

        names_of_channels = ("awaited", "soon", "child", "child.soon", "run.*")
        stream = client.stream(*names_of_channels, idle_timeout=2.0, max_reconnection_time=0.5)
        await stack.enter_async_context(stream)  # what is published before a first connection is not its business
        async with asyncio.TaskGroup() as group:
            following = group.create_task(follow())
            publishing = group.create_task(publish())
            forking = group.create_task(children(sync, publisher, ending))
            writing = group.create_task(write_runs())
            await asyncio.sleep(SECONDS / 2)
            gc.collect()
            tracemalloc.start()
            tasks, files = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
            await asyncio.sleep(SECONDS / 2)
            ending.set()
            proxy.behave()
            await publishing
            names, runs = await forking, await writing
            assert await asyncio.to_thread(publisher.flush, 60)
            expected = {name: [b"%d" % number for number in range(count)] for name, count in sent.items()}
            children_sent = [f"{name} {number}".encode() for name in names for number in range(20)]
            count = sum(sent.values()) + 2 * len(children_sent) + runs * (len(RUN) + 1)  # a run has an end, too
            await eventually(lambda: sum(map(len, received.values())) >= count)
            following.cancel()
        assert received["awaited"] == expected["awaited"]
        assert received["soon"] == expected["soon"]
        assert received["child"] == children_sent
        assert received["child.soon"] == children_sent
        for number in range(runs):
            *tokens, end = received[f"run.{number}"]
            assert ([token.decode() for token in tokens], json.loads(end)["reason"]) == (RUN, "done")
        assert publisher.dropped == 0
        assert len(asyncio.all_tasks()) <= tasks + 5
        assert len(os.listdir("/proc/self/fd")) <= files + 5
        grown = sum(each.size for each in tracemalloc.take_snapshot().filter_traces(CLIENT).traces)
        tracemalloc.stop()
        assert grown < 1 << 20
        await stream.close()
        await asyncio.to_thread(publisher.close)
        await asyncio.to_thread(sync.close)


CLIENT = [tracemalloc.Filter(True, "*/sse_client.py")]
"""What the client library holds; the events that were received are the test's."""
