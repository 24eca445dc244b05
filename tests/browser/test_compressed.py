"""A browser reads streams with shared compression."""

from __future__ import annotations

from eventually import eventually
from hubs import Server, serving
from playwright.async_api import BrowserContext, Page

FOLLOW = """() => {
    window.got = [];
    const source = new EventSource("/stream");
    source.onmessage = ({ data }) => window.got.push(data);
    return new Promise((connected) => source.addEventListener("connected", connected, { once: true }));
}"""


async def join(context: BrowserContext, server: Server) -> Page:
    """A page that follows the stream and shares its bytes with earlier followers."""
    page = await context.new_page()
    await page.goto(server.url + "/health")
    await page.evaluate(FOLLOW)
    await eventually(lambda: not server.hub.statistics().unshared)
    return page


async def test_pages_that_join_one_after_the_other_read_the_same_compressed_bytes(context: BrowserContext) -> None:
    async with serving(compress=True) as server:
        pages = []
        for round in range(3):
            pages.append(await join(context, server))
            for number in range(5):
                await server.hub.publish(f"reading {round} of {number}")
        assert (server.hub.statistics().subscribers, server.hub.statistics().subscriptions) == (3, 1)
        await server.hub.publish("last")
        for page, count in zip(pages, (16, 11, 6), strict=True):
            await page.wait_for_function("window.got.at(-1) === 'last'")
            assert await page.evaluate("window.got.length") == count
        await context.close()
