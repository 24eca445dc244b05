"""Publish the figures of this host ten times a second. Run one on each host: python host.py"""

import asyncio
import os
import socket

import psutil

from sse_client import SSEClient

HUB = os.environ.get("SSE_URL", "http://127.0.0.1:8000")
HOST = os.environ.get("HOST_NAME", socket.gethostname())


async def main() -> None:
    async with SSEClient(HUB, token=os.environ.get("SSE_TOKEN")) as hub:
        while True:
            figures = {
                "cpu": psutil.cpu_percent(),
                "memory": psutil.virtual_memory().percent,
                "disk": psutil.disk_usage("/").percent,
            }
            await hub.publish(figures, channel=f"hosts.{HOST}", event="figures")
            await asyncio.sleep(0.1)


asyncio.run(main())
