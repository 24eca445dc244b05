"""The pages of docs/frameworks, each with the real package of its library, at a hub of another origin."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiohttp import web
from hubs import Server, mounted, serving
from network import Network
from playwright.async_api import Browser, Page, expect
from programs import ROOT, npm_package, tool
from shells import ADDRESS, shell

from sse_hub import Ended

PAGES = ROOT / "docs" / "frameworks"
MODULES = ROOT / "node_modules"
FORMER = {"htmx-2.html": ("node_modules/htmx.org/", "node_modules/htmx-2/")}
"""A page that needs another version than that which other pages have."""


@dataclass(frozen=True)
class FrontEnd:
    """A page, and the guide that has the command for it."""

    page: str
    guide: str
    after_end: tuple[int, ...] = ()
    """Statuses of the answers to requests of the page after the end of its channel. A 204 has it leave the channel."""

    async def order(self, hub: Server, name: str) -> None:
        """Publish an order by the command of the guide."""
        blocks = re.findall(r"^```sh\n(.*?)^```$", (PAGES / self.guide).read_text(), re.MULTILINE | re.DOTALL)
        (command,) = (block for block in blocks if "/realtime/orders" in block)
        command = command.replace(ADDRESS, hub.url).replace("A book", name).replace("order-1", f"order-{name}")
        with shell(command, PAGES) as run:
            await asyncio.to_thread(run.wait)


FRONT_ENDS = [
    FrontEnd("htmx.html", "htmx.md"),
    FrontEnd("htmx-2.html", "htmx.md"),
    FrontEnd("turbo.html", "turbo.md", after_end=(204,)),
    FrontEnd("datastar.html", "datastar.md"),
    FrontEnd("react.jsx", "react.md"),
]
every_front_end = pytest.mark.parametrize("front_end", FRONT_ENDS, ids=lambda each: each.page)


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    """The packages that package.json names are installed."""
    tool("npm", "nodejs npm")
    npm_package("esbuild")


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A tab in which libraries may write to the console: most of them report each stream that fails."""
    page = await browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    await page.close()
    assert errors == []


async def bundle(page: str) -> str:
    """A module with all that it imports, as one script."""
    command = (str(MODULES / ".bin" / "esbuild"), str(PAGES / page), "--bundle", "--jsx=automatic")
    process = await asyncio.create_subprocess_exec(*command, "--log-level=error", stdout=asyncio.subprocess.PIPE)
    script, _ = await process.communicate()
    assert process.returncode == 0
    return script.decode()


class Site:
    """An application that serves a page; its hub is at another origin."""

    def __init__(self, page: str) -> None:
        self._page = page
        self.url = ""
        self.hub: Server
        self.network: Network

    async def show(self, request: web.Request) -> web.Response:
        if self._page.endswith(".jsx"):
            return web.Response(text='<body></body><script src="script.js"></script>', content_type="text/html")
        former, place = FORMER.get(self._page, ("", ""))
        text = (PAGES / self._page).read_text().replace(ADDRESS, self.network.url).replace(former, place)
        return web.Response(text=text, content_type="text/html")

    async def script(self, request: web.Request) -> web.Response:
        text = (await bundle(self._page)).replace(ADDRESS, self.network.url)
        return web.Response(text=text, content_type="text/javascript")


@asynccontextmanager
async def site(page: str, *routes: web.RouteDef, **settings: object) -> AsyncIterator[Site]:
    """The page at an origin that the hub knows."""
    made = Site(page)
    app = web.Application()
    app.add_routes(
        [web.get("/", made.show), web.get(f"/{page}", made.show), web.get("/script.js", made.script), *routes]
    )
    app.router.add_static("/node_modules", MODULES, follow_symlinks=True)
    async with mounted(app) as made.url, serving(**{"cors_origin": (made.url,), "retry": 100, **settings}) as made.hub:
        async with Network(made.hub.port) as made.network:
            yield made


async def cut(shop: Site) -> None:
    """The network fails for a moment."""
    shop.network.reset()
    await shop.hub.until_subscribers(0)
    await shop.network.mend()


async def end(shop: Site) -> None:
    """The hub ends the stream, and says so."""
    _, answer = await shop.hub.get("/api/subscribers")
    (subscriber,) = answer["subscribers"]
    await shop.hub.status(f"/api/subscribers/{subscriber['id']}", method="DELETE")


@every_front_end
async def test_a_page_shows_what_was_published_before_and_after_it_came(front_end: FrontEnd, page: Page) -> None:
    async with site(front_end.page) as shop:
        await front_end.order(shop.hub, "book")
        await page.goto(shop.url)
        await expect(page.locator("#orders li")).to_have_text(["book"])
        await front_end.order(shop.hub, "lamp")
        await expect(page.locator("#orders li")).to_have_text(["book", "lamp"])


@pytest.mark.parametrize("stop", [cut, end])
@every_front_end
async def test_a_page_gets_what_it_missed_once(
    front_end: FrontEnd, stop: Callable[[Site], Awaitable[None]], page: Page
) -> None:
    async with site(front_end.page) as shop:
        await front_end.order(shop.hub, "book")
        await page.goto(shop.url)
        await expect(page.locator("#orders li")).to_have_text(["book"])
        await stop(shop)
        await front_end.order(shop.hub, "lamp")
        await expect(page.locator("#orders li")).to_have_text(["book", "lamp"])


@every_front_end
async def test_a_page_comes_back_to_a_hub_that_was_full(front_end: FrontEnd, page: Page) -> None:
    async with site(front_end.page, max_subscribers=2) as shop:
        async with shop.hub.stream(), shop.hub.stream():
            await front_end.order(shop.hub, "book")
            async with page.expect_response(lambda answer: "/realtime/orders" in answer.url or "/stream" in answer.url):
                await page.goto(shop.url)
        await expect(page.locator("#orders li")).to_have_text(["book"])


@every_front_end
async def test_a_page_leaves_a_channel_that_has_ended_in_peace(front_end: FrontEnd, page: Page) -> None:
    async with site(front_end.page, ping=0.2) as shop, shop.hub.stream("/stream?channel=clock") as clock:
        await page.goto(shop.url)
        await shop.hub.until_subscribers(2)
        await front_end.order(shop.hub, "book")
        await expect(page.locator("#orders li")).to_have_text(["book"])
        seen: list[int] = []
        page.on("response", lambda answer: seen.append(answer.status))
        await shop.hub.post("/realtime/orders?end=done")
        await shop.hub.until_subscribers(1)
        await clock.comments(10)  # 2 s, and the reconnection time is 0.1 s
        assert seen == list(front_end.after_end)


async def test_a_visit_of_turbo_brings_nothing_twice(page: Page) -> None:
    turbo = FrontEnd("turbo.html", "turbo.md")
    async with site(turbo.page) as shop:
        await page.goto(f"{shop.url}/turbo.html")
        await turbo.order(shop.hub, "book")
        await expect(page.locator("#orders li")).to_have_text(["book"])
        async with page.expect_response("**/realtime/orders?*"):
            await page.get_by_role("link").click()
        await expect(page.locator("#orders li")).to_have_text(["book"])
        await turbo.order(shop.hub, "lamp")
        await expect(page.locator("#orders li")).to_have_text(["book", "lamp"])


@pytest.fixture
def producers() -> Iterator[set[asyncio.Task[None]]]:
    """What writes answers while the test runs."""
    running: set[asyncio.Task[None]] = set()
    yield running
    assert all(task.done() and task.exception() is None for task in running)


def part(type: str, **more: str) -> str:
    return json.dumps({"type": type, "id": "1", **more})


async def test_the_ai_sdk_shows_an_answer_survives_a_reload_and_can_stop_it(
    page: Page, producers: set[asyncio.Task[None]]
) -> None:
    go_on = asyncio.Event()

    async def ask(request: web.Request) -> web.Response:
        producers.add(asyncio.create_task(answer(f"chat.{request.query['chat']}")))
        raise web.HTTPSeeOther(f"{shop.network.url}/realtime/chat.{request.query['chat']}?plain=1&from=start")

    async def answer(channel: str) -> None:
        for text in (part("start"), part("text-start"), part("text-delta", delta="Hello")):
            await shop.hub.hub.publish(text, channel=channel)
        await go_on.wait()
        with pytest.raises(Ended):
            await shop.hub.hub.publish(part("text-delta", delta=", world"), channel=channel)

    async with site("ai-sdk.jsx", web.post("/chat", ask)) as shop:
        await page.goto(f"{shop.url}/?chat=1")
        await expect(page.locator("#state")).to_have_text("ready")
        await page.get_by_role("button", name="Ask").click()
        await expect(page.locator("#answer")).to_have_text("Hello")
        await page.reload()
        await expect(page.locator("#answer")).to_have_text("Hello")
        await expect(page.locator("#state")).to_have_text("streaming")
        await page.get_by_role("button", name="Stop").click()
        await expect(page.locator("#state")).to_have_text("ready")
        go_on.set()
        await asyncio.gather(*producers)
        async with page.expect_response("**/realtime/*") as resumed:
            await page.reload()
        assert (await resumed.value).status == 204  # from now on, the application has the answer


@pytest.mark.parametrize(
    ("page_name", "origins", "shows"),
    [
        ("htmx.html", None, True),
        ("htmx.html", ("*",), True),
        ("htmx-2.html", None, True),
        ("htmx-2.html", ("*",), False),
    ],
)
async def test_htmx_2_needs_a_hub_that_names_its_origin(
    page_name: str, origins: tuple[str, ...] | None, shows: bool, page: Page
) -> None:
    """It always sends cookies, so `*` is refused by the browser (WHATWG Fetch, 4.10, CORS check)."""
    async with site(page_name, **({} if origins is None else {"cors_origin": origins})) as shop:
        async with page.expect_request("**/realtime/orders?*"):
            await page.goto(shop.url)
        await expect(page.locator("#state")).to_have_text("live" if shows else "away")
