"""Publish the outbox of a Postgres database. Kill it when you like: nothing is lost, nothing comes twice.

Run: DATABASE_URL=postgresql://localhost/feed python bridge.py
"""

import asyncio
import os

import aiohttp
import asyncpg

HUB = os.environ.get("SSE_URL", "http://127.0.0.1:8000")
DATABASE = os.environ["DATABASE_URL"]
POLL = 5.0
"""Seconds after which the outbox is read without a notification: a NOTIFY while nobody listens is lost."""


async def publish(hub: aiohttp.ClientSession, row: asyncpg.Record) -> None:
    """Publish until the hub has it. A repeated publish of the same row has the same key, and is one event."""
    while True:
        try:
            async with hub.post(
                f"{HUB}/realtime/{row['channel']}",
                params={"event": row["event"]},
                data=row["data"].encode(),
                headers={"Idempotency-Key": f"outbox-{row['id']}", "Content-Type": "application/json"},
                raise_for_status=True,
            ):
                return
        except aiohttp.ClientError as error:
            print("the hub did not accept it:", error, flush=True)
            await asyncio.sleep(1)


async def main() -> None:
    wake = asyncio.Event()
    database = await asyncpg.connect(DATABASE)
    await database.add_listener("outbox", lambda *_: wake.set())
    async with aiohttp.ClientSession() as hub:
        while True:
            wake.clear()
            for row in await database.fetch("SELECT * FROM outbox ORDER BY id LIMIT 100"):
                await publish(hub, row)
                # Only now may it be forgotten. If the bridge is killed before this line, the row is published again.
                await database.execute("DELETE FROM outbox WHERE id = $1", row["id"])
                wake.set()
            try:
                await asyncio.wait_for(wake.wait(), POLL)
            except TimeoutError:
                continue


asyncio.run(main())
