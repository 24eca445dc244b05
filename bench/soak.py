"""Hours of everything at once: `python -m bench soak --seconds 3600`.

Readers that stay and check every event, others that come and go, some that never read, publishes all the while. It
looks at the server's memory and descriptors, and fails if an event was lost, or if either keeps growing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import Sequence

import aiohttp
from servers import Server, hub

__all__ = ["main"]

_STEADY, _CHURNING, _FROZEN = 50, 20, 5
_RATE = 100.0
_STAY = 0.1
"""Seconds for which a visitor that has read its replay stays: 20 of them make some 150 visits a second."""
_DATA_BYTES = 2000
_GROWTH_BYTES = 24 << 20
"""Growth after the first quarter that the log, the buffers of frozen readers and the allocator may cause."""
_GROWTH_FILES = 10


class _Reader:
    """Follows the channel and checks that numbers come one after the other."""

    def __init__(self) -> None:
        self.last = -1
        self.wrong = 0

    async def run(self, client: aiohttp.ClientSession, url: str) -> None:
        async with client.get(f"{url}/realtime/soak") as response:
            async for line in response.content:
                if line.startswith(b"data: ") and line[6:7] != b"{":
                    number = int(line[6:].split()[0])
                    self.wrong += self.last >= 0 and number != self.last + 1
                    self.last = number


async def _churn(client: aiohttp.ClientSession, url: str, stop: float) -> int:
    visits = 0
    while time.monotonic() < stop:
        async with client.get(f"{url}/realtime/soak?replay=3") as response:
            for _ in range(12):
                await response.content.readline()
            await asyncio.sleep(_STAY)
        visits += 1
    return visits


async def _freeze(server: Server, stop: float) -> None:
    while time.monotonic() < stop:
        reader, writer = await asyncio.open_connection(*server.address, limit=1024)
        writer.write(b"GET /realtime/soak HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(min(20.0, max(stop - time.monotonic(), 0)))
        writer.transport.abort()
        del reader


async def _publish(client: aiohttp.ClientSession, url: str, stop: float) -> int:
    number, began = 0, time.monotonic()
    while time.monotonic() < stop:
        async with client.post(f"{url}/realtime/soak", data=f"{number} ".ljust(_DATA_BYTES, "x")) as response:
            assert response.status == 200
        number += 1
        await asyncio.sleep(max(0.0, began + number / _RATE - time.monotonic()))
    return number


async def _soak(server: Server, seconds: float) -> bool:
    url = f"http://{server.address[0]}:{server.address[1]}"
    stop = time.monotonic() + seconds
    readers = [_Reader() for _ in range(_STEADY)]
    samples: list[tuple[int, int]] = []
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(None)
    ) as client:
        steady = [asyncio.create_task(reader.run(client, url)) for reader in readers]
        others = [asyncio.create_task(_churn(client, url, stop)) for _ in range(_CHURNING)]
        frozen = [asyncio.create_task(_freeze(server, stop)) for _ in range(_FROZEN)]
        publishing = asyncio.create_task(_publish(client, url, stop))
        while time.monotonic() < stop:
            await asyncio.sleep(min(seconds / 40, max(stop - time.monotonic(), 0.05)))
            samples.append((server.resident_bytes(), server.files()))
        published = await publishing
        visits = sum(await asyncio.gather(*others))
        await asyncio.gather(*frozen)
        async with asyncio.timeout(30):
            while any(reader.last < published - 1 for reader in readers):
                await asyncio.sleep(0.05)
        for task in steady:
            task.cancel()
        await asyncio.gather(*steady, return_exceptions=True)
    wrong = sum(reader.wrong for reader in readers)
    print(f"{published:,} events to {_STEADY} readers, {wrong} lost or doubled; {visits:,} visits of others")
    quarters = [samples[len(samples) * part // 4] for part in (1, 2, 3)] + samples[-1:]
    print("memory after each quarter: " + ", ".join(f"{memory / 1e6:.1f} MB" for memory, _ in quarters))
    print("descriptors after each quarter: " + ", ".join(str(files) for _, files in quarters))
    grown_bytes, grown_files = (quarters[-1][i] - quarters[0][i] for i in (0, 1))
    return not wrong and grown_bytes < _GROWTH_BYTES and grown_files < _GROWTH_FILES


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Everything at once, for as long as you like.")
    parser.add_argument("--seconds", type=float, default=3600.0)
    given = parser.parse_args(arguments)
    with hub("--log-level", "warning", "--send-timeout", "5") as server, contextlib.suppress(KeyboardInterrupt):
        if asyncio.run(_soak(server, given.seconds)):
            return 0
        print("it leaks, or loses events", file=sys.stderr)
    return 1
