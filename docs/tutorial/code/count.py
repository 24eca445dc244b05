import asyncio
import itertools

from sse_client import SSEClient


async def main() -> None:
    async with SSEClient("http://127.0.0.1:8000") as hub:
        for number in itertools.count(1):
            published = await hub.publish(f"number {number}", channel="news")
            print(published.id)
            await asyncio.sleep(1)


asyncio.run(main())
