"""Tabs open, close, hang, sign in and out; connections are cut, and the hub is killed. Nothing is lost unseen."""

from __future__ import annotations

import asyncio
import random
import signal

import pytest
from eventually import eventually
from hubs import Remote, remote
from network import Network
from playwright.async_api import BrowserContext, Page
from programs import Program, Start
from tabs import follow, tab
from tokens import SECRET, bearer, mint

STEPS = 40
MOST_TABS = 6
COMMON = ("all", "both")
_SIGN_IN = """async token => {
  const headers = { Authorization: `Bearer ${token}` };
  const sign = () => fetch("/api/session", { method: "POST", headers }).then(({ ok }) => ok, () => false);
  while (!(await sign()));
  hub.renew();
}"""
_HANG = "ms => void setTimeout(() => { const end = Date.now() + ms; while (Date.now() < end); })"


class World:
    """A hub behind a relay, a browser with tabs, and a person who is signed in."""

    def __init__(self, context: BrowserContext, start: Start, arguments: tuple[str, ...], relay: Network) -> None:
        self.context = context
        self.relay = relay
        self.tabs: list[Page] = []
        self.who = "anna"
        self.sent: dict[str, int] = {}
        self.forbidden: set[str] = set()
        """What was published for somebody else since the last one has signed in."""
        self._start = start
        self._arguments = arguments
        self.hub: Program = start(*arguments)

    async def publish(self, client: Remote) -> None:
        for channel in (*COMMON, "users.anna", "users.bob"):
            number = self.sent[channel] = self.sent.get(channel, 0) + 1
            data = f"{channel} {number}"
            if channel.startswith("users.") and channel != f"users.{self.who}":
                self.forbidden.add(data)
            assert await client.status(f"/realtime/{channel}", "POST", data=data, headers=bearer([], ["*"])) == 200

    async def open(self) -> None:
        page = await tab(self.context, self.relay.url)
        await follow(page, *COMMON, "users.*", silence=3)
        self.tabs.append(page)

    async def sign_in(self, page: Page, name: str) -> None:
        await self.check_nothing_forbidden()
        self.forbidden.clear()
        self.who = name
        await page.evaluate(_SIGN_IN, mint([*COMMON, f"users.{name}"], sub=name))

    async def check_nothing_forbidden(self) -> None:
        for page in self.tabs:
            assert not self.forbidden.intersection(await page.evaluate("got"))

    async def kill(self) -> None:
        self.hub.end(signal.SIGKILL)
        self.hub = await asyncio.to_thread(self._start, *self._arguments)

    async def cut(self) -> None:
        self.relay.reset()
        await self.relay.mend()

    async def step(self, choose: random.Random) -> None:
        """One thing that happens."""
        what = choose.choice(["open", "open", "close", "hang", "sign in", "cut", "kill", "nothing", "nothing"])
        page = choose.choice(self.tabs)
        if what == "open" and len(self.tabs) < MOST_TABS:
            await self.open()
        elif what == "close" and len(self.tabs) > 1:
            self.tabs.remove(page)
            await page.close()
        elif what == "hang":
            await page.evaluate(_HANG, choose.choice([100, 1000, 6000]))
        elif what == "sign in":
            await self.sign_in(page, choose.choice(["anna", "bob"]))
        elif what == "cut":
            await self.cut()
        elif what == "kill":
            await self.kill()


def numbers(got: list[str], channel: str) -> list[int]:
    return [int(data.split()[1]) for data in got if data.startswith(f"{channel} ")]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [1, 2])
async def test_each_tab_has_each_event_once_and_in_order_or_knows_of_the_loss(
    context: BrowserContext, program: Start, unused_tcp_port: int, sqlite_store: str, seed: int
) -> None:
    choose = random.Random(seed)
    settings = ("--jwt-key", SECRET, "--store", sqlite_store, "--retry", "100", "--ping", "0.5", "--history", "10000")
    arguments = ("--port", str(unused_tcp_port), "--no-demo", *settings)
    async with Network(unused_tcp_port) as relay, remote(f"http://127.0.0.1:{unused_tcp_port}") as client:
        world = World(context, program, arguments, relay)
        await world.open()
        await world.sign_in(world.tabs[0], "anna")
        for _ in range(STEPS):
            await world.step(choose)
            for _ in range(5):
                await world.publish(client)
        await world.check_nothing_forbidden()
        await world.sign_in(world.tabs[0], "anna")
        for page in world.tabs:
            await eventually(lambda page=page: _ends_with(page, world, client))  # type: ignore[misc]
            await check(page)
        for page in world.tabs:
            await page.close()


async def _ends_with(page: Page, world: World, client: Remote) -> bool:
    """Whether the newest event has come; one more is published for each look, as a tab may just have opened."""
    await world.publish(client)
    got = await page.evaluate("got")
    return all(numbers(got, channel)[-1:] >= [world.sent[channel] - 2] for channel in COMMON)


async def check(page: Page) -> None:
    got, losses = await page.evaluate("[got, losses]")
    for channel in (*COMMON, "users.anna", "users.bob"):
        found = numbers(got, channel)
        assert found == sorted(set(found)), f"{channel}: twice, or out of order: {found}"
        if channel in COMMON and not losses:
            assert found == list(range(found[0], found[-1] + 1)), f"{channel}: something is missing: {found}"
