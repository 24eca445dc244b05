"""The savings and costs of shared compression, beside none and beside a compressor for each connection.

`python -m bench compress`: sensor events as JSON, published one at a time; bytes on the wire and CPU of the server for
each delivered event. With `--storm`, subscribers come and go all the while, and each arrival is a key frame.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aiohttp
from servers import Server, deflate_each, hub, pin_load

__all__ = ["main"]

_REQUEST = "GET /realtime/bench HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {}\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one delivered event."""

    bytes: float
    cpu_us: float


class _Counting(asyncio.Protocol):
    """A subscriber that counts bytes."""

    def __init__(self) -> None:
        self.received_bytes = 0
        self.begun = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        self.begun.set()


async def _follow(server: Server, coding: str) -> _Counting:
    _, follower = await asyncio.get_running_loop().create_connection(_Counting, *server.address)
    follower.transport.write(_REQUEST.format(coding).encode())
    await follower.begun.wait()
    return follower


def _reading(number: int) -> str:
    value = round(21 + 2 * math.sin(number / 40) + random.gauss(0, 0.1), 2)
    room = ("kitchen", "hall", "attic", "cellar")[number % 4]
    told = {"sensor": f"temperature-{room}", "value": value, "unit": "°C", "sequence": number, "simulated": True}
    return json.dumps(told, ensure_ascii=False)


async def _churn(server: Server, coding: str) -> None:
    while True:
        (await _follow(server, coding)).transport.close()
        await asyncio.sleep(0.02)


async def _measure(server: Server, coding: str, subscribers: int, rate: float, seconds: float, *, storm: bool) -> Cost:
    followers = [await _follow(server, coding) for _ in range(subscribers)]
    churning = asyncio.create_task(_churn(server, coding)) if storm else None
    url = f"http://{server.address[0]}:{server.address[1]}/realtime/bench"
    async with aiohttp.ClientSession() as client:
        await asyncio.sleep(1.5)  # within a second they share a stream
        before_bytes, before_cpu = sum(f.received_bytes for f in followers), server.cpu()
        began = time.monotonic()
        count = round(rate * seconds)
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            async with client.post(url, data=_reading(number).encode()) as response:
                assert response.status == 200
        await asyncio.sleep(0.5)
        cpu, received = server.cpu() - before_cpu, sum(f.received_bytes for f in followers) - before_bytes
    if churning is not None:
        churning.cancel()
        await asyncio.wait([churning])
    for follower in followers:
        follower.transport.close()
    return Cost(received / count / subscribers, cpu * 1e6 / count / subscribers)


Run = Callable[[], contextlib.AbstractContextManager[Server]]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Shared compression, beside none and a compressor for each connection."
    )
    parser.add_argument("--subscribers", type=int, default=500)
    parser.add_argument("--rate", type=float, default=40.0, help="events a second (40)")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--storm", action="store_true", help="50 subscribers a second come and go meanwhile")
    given = parser.parse_args(arguments)
    pin_load()
    sides: list[tuple[str, Run, str]] = [
        ("none", hub, "identity"),
        ("once for everybody", lambda: hub("--compress"), "gzip"),
        ("for each connection", deflate_each, "gzip"),
    ]
    print(f"{'compression':22}{'bytes an event':>16}{'saved':>8}{'CPU, µs an event':>20}")
    plain = 0.0
    for name, run, coding in sides:
        with run() as server:
            how = (given.subscribers, given.rate, given.seconds)
            cost = asyncio.run(_measure(server, coding, *how, storm=given.storm))
        plain = plain or cost.bytes
        print(f"{name:22}{cost.bytes:16.1f}{plain / cost.bytes:7.1f}×{cost.cpu_us:20.2f}")
    return 0
