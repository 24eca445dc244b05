import asyncio
import os

import psutil

from sse_client import SSEClient


async def main() -> None:
    async with SSEClient("http://127.0.0.1:8000", token=os.environ.get("SSE_TOKEN")) as hub:
        while True:
            figures = {"cpu": psutil.cpu_percent(), "memory": psutil.virtual_memory().percent}
            await hub.publish(figures, channel="figures")
            await asyncio.sleep(1)


asyncio.run(main())
