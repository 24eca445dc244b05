import asyncio

from sse_client import SSEClient


async def main() -> None:
    async with SSEClient("http://127.0.0.1:8000") as hub:
        async for event in hub.stream("news", "orders.*"):
            print(event.channel, event.data)


asyncio.run(main())
