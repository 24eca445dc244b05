"""A thousand answers of language models at once, each with two readers, one of them late: `python -m bench answers`.

Each answer is written by `client.run`, 50 tokens a second. One reader follows from the beginning; the other one comes
when half of the answer is written. Both must have every token, in order, and the end. The writers and the readers share
one core, so the figure of the hub is its CPU time.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

from reading import Reading, figure, follow
from servers import MANY, Server, hub, pin_load

from sse_client import SSEClient

__all__ = ["main"]

_DEADLINE = 500.0
"""Seconds; on a machine that others use, a thousand writers may have to wait for one another."""
_TICK = 0.2
"""Seconds between two groups of tokens."""


async def _write(client: SSEClient, channel: str, tokens: Sequence[str], speed: float, half: asyncio.Event) -> None:
    group = max(1, round(speed * _TICK))
    async with client.run(channel, deadline=_DEADLINE) as run:
        began = time.monotonic()
        for number, token in enumerate(tokens):
            if number % group == 0:
                await asyncio.sleep(max(0.0, began + number / speed - time.monotonic()))
            if number == len(tokens) // 2:
                half.set()
            await run.write(token)


async def _answer(server: Server, client: SSEClient, number: int, tokens: Sequence[str], speed: float) -> list[Reading]:
    """Write one answer; what both readers got."""
    channel, half = f"chat.{number}", asyncio.Event()
    path = f"/realtime/{channel}?from=start"
    early = await follow(server, path)
    writing = asyncio.create_task(_write(client, channel, tokens, speed, half))
    await half.wait()
    readings = [early, await follow(server, path)]
    await writing
    for reading in readings:
        await reading.ended.wait()
    return readings


async def _measure(server: Server, answers: int, count: int, speed: float) -> bool:
    tokens = [f"token {number} " for number in range(count)]
    before, cpu, began = server.resident_bytes(), server.cpu(), time.monotonic()
    async with SSEClient(f"http://{server.address[0]}:{server.address[1]}") as client:
        found = await asyncio.gather(*(_answer(server, client, n, tokens, speed) for n in range(answers)))
    took, cpu = time.monotonic() - began, server.cpu() - cpu
    expected = [*tokens, "end"]
    wrong = 0
    for reading in (reading for readings in found for reading in readings):
        seen = [event.data if event.type != "end" else "end" for event in reading.events()]
        wrong += [each for each in seen if not each.startswith("{")] != expected
    written = answers * count
    requests = figure(server, "sse_publish_seconds_count")
    print(f"{answers:,} answers of {count} tokens at {speed:g} a second, {2 * answers:,} readers: {wrong} not whole")
    print(f"written and read in {took:.1f} s (the slowest is {count / speed:.1f} s); {written / took:,.0f} tokens/s")
    print(f"{requests:,.0f} requests, {written / requests:.1f} tokens in each; {2 * written / took:,.0f} deliveries/s")
    print(f"CPU of the hub: {cpu:.1f} s, {100 * cpu / took:.0f} % of a core, {cpu / written * 1e6:.1f} µs a token")
    print(f"memory: {(server.resident_bytes() - before) / 1e6:.1f} MB more, all answers retained")
    return not wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit status."""
    parser = argparse.ArgumentParser(description="Measure many answers at once, written by the client.")
    parser.add_argument("--answers", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=500, help="of each answer (500)")
    parser.add_argument("--speed", type=float, default=50.0, help="tokens a second of each answer (50)")
    given = parser.parse_args(arguments)
    pin_load()
    with hub(*MANY) as server:
        if asyncio.run(_measure(server, given.answers, given.tokens, given.speed)):
            return 0
        print("an answer was not whole", file=sys.stderr)
    return 1
