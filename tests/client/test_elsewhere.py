"""The client at servers of other makes, and through restarts of our own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import pytest
import uvicorn
from conftest import PATIENCE, Program
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


@pytest.mark.timeout(120)
async def test_a_hub_that_is_killed_and_restarted_again_and_again_is_followed_without_an_error(
    program: Callable[..., Program], unused_tcp_port: int
) -> None:
    # The memory store forgets with its process: what was published and not read is lost, but announced. It forgets the
    # keys of publishes, too, so one that was delivered and not acknowledged yet comes again, at most one a kill.
    def start() -> Program:
        return program("--port", str(unused_tcp_port), "--no-demo", "--retry", "50")

    hub = start()
    losses: list[Lost] = []
    received: list[int] = []
    published: list[int] = []
    async with SSEClient(hub.url) as client:

        async def publish() -> None:
            for n in range(100_000):
                await client.publish(n)
                published.append(n)

        async def follow() -> None:
            async for event in client.stream(on_lost=losses.append):
                received.append(event.json())

        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(publish()), tasks.create_task(follow())]
            for _ in range(10):
                seen = len(received)
                async with asyncio.timeout(30):
                    while len(received) < seen + 50:
                        await asyncio.sleep(0.01)
                hub.process.kill()
                hub.process.wait()
                hub = start()
            seen = len(received)
            async with asyncio.timeout(30):
                while len(received) < seen + 50:
                    await asyncio.sleep(0.01)
            for task in running:
                task.cancel()
    assert received == sorted(received)
    assert len(received) - len(set(received)) <= 10
    assert len(losses) >= 1
    assert set(received) - set(published) <= {max(received)}  # its acknowledgement was cancelled
