"""A thousand channels at 50 events a second each, conflated to 5 for a hundred dashboards: `python -m bench values`.

The events of a channel come in batches of ten, as a gateway sends them. Each dashboard follows all channels with
`replay=latest&conflate=200`. At the end, what a dashboard shows must equal what was published last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence

from reading import Reading, figure, follow
from servers import MANY, Server, hub, pin_load

__all__ = ["main"]

_BATCH = 10
_CONNECTIONS = 20
_INTERVAL_MS = 200
_PATIENCE = 30.0


async def _publish(address: tuple[str, int], channels: Sequence[int], rate: float, seconds: float) -> None:
    """Publish to these channels in turn over one connection; a hub that is too slow is waited for."""
    reader, writer = await asyncio.open_connection(*address)
    began, batch = time.monotonic(), 0
    while batch * _BATCH < rate * seconds:
        for channel in channels:
            lines = "\n".join(f'{{"value":{batch * _BATCH + each}}}'.ljust(60) for each in range(_BATCH))
            head = f"POST /realtime/sensors.{channel} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-ndjson\r\n"
            writer.write(f"{head}Content-Length: {len(lines)}\r\n\r\n{lines}".encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in answer:
                raise RuntimeError(f"a batch was answered {answer[:60]!r}")
            length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            await reader.readexactly(length)
        batch += 1
        await asyncio.sleep(max(0.0, began + batch * _BATCH / rate - time.monotonic()))
    writer.close()


def _publish_all(address: tuple[str, int], channels: int, rate: float, seconds: float) -> None:
    async def publish() -> None:
        parts = [range(part, channels, _CONNECTIONS) for part in range(_CONNECTIONS)]
        await asyncio.gather(*(_publish(address, part, rate, seconds) for part in parts))

    asyncio.run(publish())


async def _measure(server: Server, channels: int, rate: float, dashboards: int, seconds: float) -> bool:
    path = f"/stream?channel=sensors.*&replay=latest&conflate={_INTERVAL_MS}&envelope=1"
    checked = await follow(server, path)
    others = [await follow(server, path, keep=False) for _ in range(dashboards - 1)]
    process = multiprocessing.get_context("spawn").Process(
        target=_publish_all, args=(server.address, channels, rate, seconds)
    )
    cpu, began = server.cpu(), time.monotonic()
    process.start()
    await asyncio.to_thread(process.join)
    took, cpu = time.monotonic() - began, server.cpu() - cpu
    published, conflated = (figure(server, f"sse_events_{each}_total") for each in ("published", "conflated"))
    deliveries = checked.count + sum(each.count for each in others)
    last = f'"value":{round(published / channels) - 1}}}'
    right = await _shows(checked, channels, last)
    print(f"{channels:,} channels, {published:,.0f} events in {took:.1f} s: {published / took:,.0f} events/s")
    print(f"{dashboards} dashboards: {deliveries / took:,.0f} deliveries/s, {checked.count / took:,.0f} to each;")
    print(f"of {published:,.0f} events each got {checked.count:,}; {conflated:,.0f} were superseded for all of them")
    print(f"CPU of the hub: {100 * cpu / took:.0f} % of a core, {cpu / published * 1e6:.1f} µs an event")
    print("the last value of each channel was shown" if right else "a dashboard shows an old value")
    for each in (checked, *others):
        if each.transport is not None:
            each.transport.abort()
    return right and process.exitcode == 0


async def _shows(checked: Reading, channels: int, last: str) -> bool:
    """Whether a dashboard soon shows the last value of each channel."""
    stop = time.monotonic() + _PATIENCE
    while time.monotonic() < stop:
        values: dict[str, str] = {}
        for event in checked.events():
            if event.data.startswith('{"id"'):
                value = json.loads(event.data)
                values[value["channel"]] = value["data"]
        if len(values) == channels and all(value.rstrip().endswith(last) for value in values.values()):
            return True
        await asyncio.sleep(0.5)
    return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit status."""
    parser = argparse.ArgumentParser(description="Measure dashboards that show values of many channels.")
    parser.add_argument("--channels", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=50.0, help="events a second of each channel (50)")
    parser.add_argument("--dashboards", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args(arguments)
    pin_load()
    with hub(*MANY) as server:
        if asyncio.run(_measure(server, given.channels, given.rate, given.dashboards, given.seconds)):
            return 0
        print("values are missing", file=sys.stderr)
    return 1
