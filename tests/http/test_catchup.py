from __future__ import annotations

import asyncio
from pathlib import Path

from hubs import NDJSON, serving


async def test_fifty_that_resume_at_once_get_everything_while_a_live_one_keeps_getting_events(
    tmp_path: Path,
) -> None:
    count = 3000
    store = f"sqlite:{tmp_path / 'events.db'}"
    async with serving(store=store, cache=10, history=100_000) as server, server.stream() as live:
        await live.until("connected")
        start = str(server.hub.log.head)
        lines = "\n".join(f"{number} {'x' * 50}" for number in range(count))
        await server.post("/realtime/old", data=lines.encode(), headers=NDJSON)

        async def resume() -> int:
            async with server.stream("/realtime/old", {"Last-Event-ID": start}) as stream:
                for number in range(count):
                    event = await stream.next() if number else (await stream.until("message"))[-1]
                    assert event.data.startswith(f"{number} ")
                return (await stream.next()).type == "live"

        resuming = [asyncio.create_task(resume()) for _ in range(50)]
        published = 0
        while not all(task.done() for task in resuming):
            await server.hub.publish(str(published))
            assert (await live.next()).data == str(published)
            published += 1
        assert all(await asyncio.gather(*resuming))
        assert published > 10
