"""The client at servers of other makes, and through restarts of our own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from eventually import PATIENCE, eventually
from programs import Program
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from sse_client import EventSource, Lost, SSEClient


async def count(request: Request) -> EventSourceResponse:
    first = int(request.headers.get("last-event-id", "0")) + 1

    async def events() -> AsyncIterator[ServerSentEvent]:
        for n in range(first, first + 3):
            yield ServerSentEvent(f"{n}\n{n}", event="count", id=str(n), retry=10)

    return EventSourceResponse(events(), sep="\r\n")


@pytest.fixture
async def starlette() -> AsyncIterator[str]:
    """An event stream of sse-starlette on uvicorn, which ends after three events."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=[Route("/", count)]), log_config=None, ws="none"))
    serving = asyncio.create_task(server.serve([listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    server.should_exit = True
    await serving


async def test_sse_starlette_is_read_through_reconnects(starlette: str) -> None:
    async with asyncio.timeout(PATIENCE), EventSource(starlette) as events:
        received = [await anext(events) for _ in range(8)]
    assert [(event.type, event.data, event.last_event_id) for event in received] == [
        ("count", f"{n}\n{n}", str(n)) for n in range(1, 9)
    ]


@dataclass
class Outcome:
    """What a client published and received while its hub was killed again and again."""

    published: list[int] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    losses: list[Lost] = field(default_factory=list)


async def through_ten_kills(start: Callable[[], Program]) -> Outcome:
    """Publish numbers without a pause and follow them, while the hub is killed and restarted ten times."""
    outcome = Outcome()
    hub = start()
    async with SSEClient(hub.url) as client:
        ending = asyncio.Event()

        async def publish() -> None:
            while not ending.is_set():
                await client.publish(len(outcome.published))
                outcome.published.append(len(outcome.published))

        async def follow() -> None:
            async with client.stream(on_lost=outcome.losses.append) as events:
                async for event in events:
                    outcome.received.append(event.json())

        async def progress(count: int) -> None:
            seen = len(outcome.received)
            await eventually(lambda: len(outcome.received) >= seen + count)

        following = asyncio.create_task(follow())
        publishing = asyncio.create_task(publish())
        for _ in range(10):
            await progress(50)
            hub.process.kill()
            hub.process.wait()
            hub = start()
        await progress(50)
        ending.set()
        await publishing
        last = outcome.published[-1]
        await eventually(lambda: outcome.received[-1] >= last)
        following.cancel()
        await asyncio.wait([following])
    return outcome


@pytest.mark.timeout(120)
async def test_with_a_store_that_keeps_events_each_comes_once_through_ten_kills(
    program: Callable[..., Program], unused_tcp_port: int, tmp_path: Path
) -> None:
    flags = (
        "--port",
        str(unused_tcp_port),
        "--no-demo",
        "--retry",
        "50",
        "--store",
        f"sqlite:{tmp_path / 'events.db'}",
    )
    outcome = await through_ten_kills(lambda: program(*flags))
    assert outcome.received == outcome.published
    assert outcome.losses == []


@pytest.mark.timeout(120)
async def test_a_hub_that_forgets_is_followed_through_ten_kills_without_an_error(
    program: Callable[..., Program], unused_tcp_port: int
) -> None:
    # What was published and not read is lost with the process, but announced. The keys of publishes are forgotten, too,
    # so one that was delivered and not acknowledged yet comes again: at most one a kill.
    flags = ("--port", str(unused_tcp_port), "--no-demo", "--retry", "50")
    outcome = await through_ten_kills(lambda: program(*flags))
    assert outcome.received == sorted(outcome.received)
    assert len(outcome.received) - len(set(outcome.received)) <= 10
    assert set(outcome.received) <= set(outcome.published)
    assert outcome.losses
