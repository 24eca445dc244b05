"""One run, from a seed; and several, one after the other."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
import time
from collections.abc import Sequence

import aiohttp

from .check import Id, Published, check
from .load import Follower, Publisher, parse_id
from .world import World

__all__ = ["main"]

CHANNELS = ("a.0", "a.1", "a.2", "b.0", "b.1", "quiet")
FOLLOWED = (
    (("a.0",), 0.0),
    (("a.0", "a.1", "quiet"), 0.0),
    (("a.*",), 0.0),
    (("*",), 0.0),
    (("b.0", "quiet"), 4.0),
    (("a.*", "b.1"), 4.0),
    (("*",), 15.0),
    (("quiet",), 40.0),
)
"""The channels of each follower, and the longest time in seconds for which it is away. The history is 25 s long."""
_TURN = 2.0
_RECOVERY = 40.0
"""Seconds after the last fault in which everything has to work again."""


async def run(store: str, loop: str, seed: int, seconds: float) -> list[str]:
    """A sentence for each failure; empty if there are none."""
    world = World(store, loop, seed)
    sequence = random.Random(seed)
    weights = [*CHANNELS[:-1] * 3, CHANNELS[-1]]
    await world.begin()
    wrong: list[str] = []
    try:
        wrong = await _live(world, sequence, weights, seconds)
    finally:
        wrong += await world.end()
    return wrong


async def _live(world: World, sequence: random.Random, weights: Sequence[str], seconds: float) -> list[str]:
    publishers = [
        Publisher(
            f"p{n}",
            lambda: [node.url for node in world.nodes],
            weights,
            sequence.randrange(1 << 30),
            keys=world.store != "memory",
        )
        for n in range(4)
    ]
    followers = [
        Follower(
            f"follower {n} of {','.join(names)}",
            names,
            lambda: [node.far_url for node in world.nodes],
            lambda: world.amnesia,
            sequence.randrange(1 << 30),
            away=away,
        )
        for n, (names, away) in enumerate(FOLLOWED)
    ]
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=15)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=aiohttp.TCPConnector(limit=0), read_bufsize=1 << 18
    ) as client:
        if not await _well(client, world):
            return ["the nodes did not begin"]
        following = [asyncio.create_task(follower.run(client)) for follower in followers]
        await asyncio.sleep(0.5)
        publishing = [asyncio.create_task(publisher.run(client)) for publisher in publishers]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await sequence.choice(world.faults())()
            await asyncio.sleep(sequence.uniform(0, 2))
        world.mend()
        wrong = (
            []
            if await _well(client, world)
            else [f"not well {_RECOVERY:g} s after the last fault: {await _state(client, world)}"]
        )
        for publisher in publishers:
            publisher.ending = True
        for follower in followers:
            follower.staying = True
        await asyncio.wait(publishing, timeout=_RECOVERY)
        wrong += await _settle(client, world, publishers, followers)
        for task in (*publishing, *following):
            if task.done() and (error := task.exception()) is not None:
                wrong.append(f"a client met {error!r}")
            task.cancel()
        await asyncio.gather(*publishing, *following, return_exceptions=True)
    published = [each for publisher in publishers for each in publisher.published]
    count = sum(each.count for each in published)
    got = sum(len(follower.story.entries) for follower in followers)
    print(f"  {count} events published, {got} entries in the followers' stories", flush=True)
    return wrong + check(published, [follower.story for follower in followers])


async def _settle(
    client: aiohttp.ClientSession, world: World, publishers: list[Publisher], followers: list[Follower]
) -> list[str]:
    """Publish in all channels until every follower has got one of these events. The first ones may have expired when a
    follower comes back."""
    first: list[Published] = []
    until = time.monotonic() + 2 * _RECOVERY
    for turn in itertools.count():
        for channel in CHANNELS:
            data = f"end {turn} {channel}."
            async with client.post(f"{world.nodes[0].url}/realtime/{channel}", data=data) as answer:
                if answer.status != 200:
                    return [f"nothing can be published after the last fault: {answer.status} {await answer.text()}"]
                id = parse_id((await answer.json())["id"])
            publishers[0].published.append(Published(data, channel, (id, id), sent_ms=time.time_ns() // 1_000_000))
        first = first or publishers[0].published[-len(CHANNELS) :]
        due = [
            max(each.ids for each in first if each.ids and follower.story.covers(each.channel))[1]
            for follower in followers
        ]
        late = [follower for follower, id in zip(followers, due, strict=True) if follower.reached < id]
        if not late:
            break
        if time.monotonic() > until:
            return [f"{each.story.name} is late: at {each.reached}, cursor {each.last}" for each in late]
        await asyncio.sleep(_TURN)
    while any(each.reached < _newest(publishers[0], each) for each in followers) and time.monotonic() < until:
        await asyncio.sleep(0.05)  # all of them stay connected now
    return []


def _newest(publisher: Publisher, follower: Follower) -> Id:
    """The id of the newest event of a publisher that a follower should have."""
    return max(each.ids[1] for each in publisher.published if each.ids and follower.story.covers(each.channel))


async def _well(client: aiohttp.ClientSession, world: World) -> bool:
    """Whether all nodes work again in time."""
    until = time.monotonic() + _RECOVERY
    while time.monotonic() < until:
        if all(state.startswith("200") for state in await _state(client, world)):
            return True
        await asyncio.sleep(0.2)
    return False


async def _state(client: aiohttp.ClientSession, world: World) -> list[str]:
    states = []
    for node in world.nodes:
        try:
            async with client.get(f"{node.url}/health", timeout=aiohttp.ClientTimeout(5)) as answer:
                states.append(f"{answer.status} {await answer.text()}")
        except (aiohttp.ClientError, TimeoutError) as error:
            states.append(repr(error))
    return states


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the faults; return 1 if a check failed."""
    parser = argparse.ArgumentParser(description="Cause faults of nodes, stores and networks, and count lost events.")
    parser.add_argument("--seconds", type=float, default=60.0, help="seconds of faults in each run (60)")
    parser.add_argument("--seed", type=int, default=None, help="of the first run (taken from the clock)")
    parser.add_argument("--runs", type=int, default=1, help="runs of each store and loop, with seeds that follow (1)")
    parser.add_argument(
        "--store", choices=["memory", "sqlite", "redis", "all"], default="all", help="which store (all)"
    )
    parser.add_argument("--loop", choices=["asyncio", "uvloop", "both"], default="both", help="which event loop (both)")
    given = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    stores = ["memory", "sqlite", "redis"] if given.store == "all" else [given.store]
    loops = ["asyncio", "uvloop"] if given.loop == "both" else [given.loop]
    first = int(time.time()) if given.seed is None else given.seed
    failed = 0
    for seed in range(first, first + given.runs):
        for store in stores:
            for loop in loops:
                print(f"{store}, {loop}, seed {seed}, {given.seconds:g} s", flush=True)
                wrong = asyncio.run(run(store, loop, seed, given.seconds))
                failed += bool(wrong)
                for each in wrong[:20]:
                    print(f"  WRONG: {each}", flush=True)
    print(f"{failed} runs went wrong" if failed else "all checks are good")
    return 1 if failed else 0
