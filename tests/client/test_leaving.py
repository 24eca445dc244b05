"""An iteration that is left closes its connection when nothing holds it any more."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys

import pytest
from eventually import eventually
from hubs import Server
from programs import ROOT, Program, Start, complaints
from scripted import held, scripted

from sse_client import EventSource, SSEClient, merge


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
    found = asyncio.all_tasks() - {asyncio.current_task()}
    return {task for task in found if "sse_client" in str(task.get_coro())}


async def test_merged_streams_that_are_left_leave_no_subscriber(server: Server) -> None:
    await server.hub.publish("a")
    async with SSEClient(server.url) as client:
        async for _ in merge(client.stream(replay=1), client.stream("b")):
            break
        await eventually(lambda: gc.collect() >= 0 and not server.hub.statistics().subscribers)


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
