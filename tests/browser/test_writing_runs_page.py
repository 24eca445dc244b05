"""An answer in a page: it survives a reload, is the same in two tabs, and its *Stop* button stops the producer."""

from __future__ import annotations

import asyncio

import pytest
from eventually import PATIENCE
from hubs import Server
from playwright.async_api import BrowserContext, Page

from sse_client import Ended, SSEClient

PAGE = """<!doctype html><title>Answer</title><p id="answer"></p><p id="state"></p>
<button id="stop">Stop</button>
<script type="module">
  const url = "/realtime/chat.42";
  const source = new EventSource(`${url}?from=start`);
  source.onmessage = ({ data }) => { answer.textContent += data; };
  source.addEventListener("end", ({ data }) => { state.textContent = JSON.parse(data).reason; });
  document.querySelector("#stop").onclick = () => fetch(`${url}?end=cancelled`, { method: "POST" });
</script>"""


async def produce(server: Server, limit: int, go_on: asyncio.Event) -> str:
    """Write so many tokens, half of them before `go_on` is set; how the run has ended."""
    async with SSEClient(server.url) as client:
        try:
            async with client.run("chat.42", interrupt=True) as run:
                for number in range(limit):
                    if number == limit // 2:
                        await go_on.wait()
                    await run.write(f"{number} ")
        except Ended as ended:
            return f"stopped: {ended.reason}"
        return "written"


@pytest.fixture
async def tabs(context: BrowserContext, server: Server) -> tuple[Page, Page]:
    """Two tabs of one person."""
    pages = await context.new_page(), await context.new_page()
    for page in pages:
        await page.route("**/chat", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        await page.goto(f"{server.url}/chat")
    return pages


async def shows(page: Page, text: str, state: str = "") -> None:
    await page.wait_for_function(
        "([text, state]) => answer.textContent === text && document.getElementById('state').textContent === state",
        arg=[text, state],
    )


async def test_an_answer_is_whole_after_a_reload_in_its_middle_and_in_a_second_tab(
    tabs: tuple[Page, Page], server: Server
) -> None:
    first, second = tabs
    go_on = asyncio.Event()
    producing = asyncio.create_task(produce(server, 40, go_on))
    half = "".join(f"{number} " for number in range(20))
    await shows(first, half)
    await first.reload()
    await shows(first, half)
    await shows(second, half)
    go_on.set()
    whole = "".join(f"{number} " for number in range(40))
    for page in tabs:
        await shows(page, whole, "done")
    assert await producing == "written"
    await first.reload()
    await shows(first, whole, "done")


async def test_the_stop_button_of_one_tab_stops_the_producer_and_ends_both(
    tabs: tuple[Page, Page], server: Server
) -> None:
    first, second = tabs
    producing = asyncio.create_task(produce(server, 40, asyncio.Event()))
    half = "".join(f"{number} " for number in range(20))
    await shows(second, half)
    await second.click("#stop")
    async with asyncio.timeout(PATIENCE):
        assert await producing == "stopped: cancelled"
    for page in (first, second):
        await shows(page, half, "cancelled")
