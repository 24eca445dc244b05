"""Runs whose task is cancelled while their block is being left: the channel ends, although nobody waits for that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anyio
import pytest
from eventually import PATIENCE, eventually
from following import whole
from hubs import Server
from network import Network
from scripted import Connection, Script, scripted, status

from sse_client import Run, SSEClient


async def text(url: str) -> tuple[list[str], str | None]:
    """The texts of the run, and how its channel has ended."""
    async with SSEClient(url) as client:
        events, ended = await whole(client, "c")
    return [event.data for event in events], ended


@pytest.fixture
async def network(server: Server) -> AsyncIterator[Network]:
    """A network on which nothing arrives until it is mended."""
    async with Network(server.port) as network:
        network.cut()
        yield network


@pytest.mark.parametrize("interrupt", [False, True])
async def test_a_run_that_is_cancelled_while_it_is_left_publishes_all_and_its_own_end(
    server: Server, network: Network, interrupt: bool
) -> None:
    leaving = asyncio.Event()

    async def answer() -> None:
        async with SSEClient(network.url) as client, client.run("c", interrupt=interrupt) as run:
            await run.write("a")
            await run.write("b")
            leaving.set()

    task = asyncio.create_task(answer())
    await leaving.wait()
    task.cancel()
    await asyncio.sleep(0)  # a turn, in which the task is interrupted
    await network.mend()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, PATIENCE)
    assert await text(server.url) == (["a", "b"], "done")


class Waiting:
    """A block that writes "a" and waits for ever."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        """The request with "a" has begun."""

    async def write(self, run: Run) -> None:
        await run.write("a")
        await asyncio.Event().wait()

    def token(self) -> str:
        self.asked.set()
        return "a"


async def test_a_run_that_is_cancelled_twice_ends_as_cancelled(server: Server, network: Network) -> None:
    block = Waiting()

    async def answer() -> None:
        async with SSEClient(network.url, token=block.token) as client, client.run("c") as run:
            await block.write(run)

    task = asyncio.create_task(answer())
    await block.asked.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    await network.mend()
    await asyncio.wait([task])
    assert task.cancelled()
    assert await text(server.url) == (["a"], "cancelled")


@pytest.mark.parametrize("interrupt", [False, True])
async def test_a_run_in_a_scope_of_anyio_that_is_cancelled_ends_as_cancelled(
    server: Server, network: Network, interrupt: bool
) -> None:
    """Starlette and FastAPI cancel so when a client leaves: each wait is interrupted."""
    block = Waiting()

    async def answer(client: SSEClient) -> None:
        async with client.run("c", interrupt=interrupt) as run:
            await block.write(run)

    async with SSEClient(network.url, token=block.token) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer, client)
            await block.asked.wait()
            tasks.cancel_scope.cancel()
        await network.mend()
        assert await text(server.url) == (["a"], "cancelled")


async def test_a_run_ends_as_cancelled_although_its_client_is_closed_in_the_same_scope_of_anyio(
    server: Server, network: Network
) -> None:
    block = Waiting()

    async def answer() -> None:
        async with SSEClient(network.url, token=block.token) as client, client.run("c") as run:
            await block.write(run)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answer)
        await block.asked.wait()
        tasks.cancel_scope.cancel()
    await network.mend()
    assert await text(server.url) == (["a"], "cancelled")


async def test_an_end_for_which_nobody_waits_and_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def refusing(connection: Connection) -> None:
        asked.set()
        await answer.wait()
        await status(403)(connection)

    scripts: list[Script] = [refusing] * 2
    async with scripted(*scripts) as server, SSEClient(server.url) as client:

        async def leave_at_once() -> None:
            async with client.run("c") as run:
                await run.write("a")

        task = asyncio.create_task(leave_at_once())
        await asked.wait()
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        assert task.cancelled()
        answer.set()
        await eventually(lambda: "the end (done) could not be published" in caplog.text)
    assert "403" in caplog.text
