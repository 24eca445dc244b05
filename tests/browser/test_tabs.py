"""One connection for all tabs of a browser."""

from __future__ import annotations

import asyncio

from eventually import eventually
from hubs import Server
from playwright.async_api import BrowserContext, Page
from tabs import LIVE, follow, follow_more, got, tab


async def live_tab(context: BrowserContext, server: Server, *channels: str) -> Page:
    """A tab that follows channels, and is live."""
    page = await follow(await tab(context, server.url), *channels)
    await page.wait_for_function(LIVE)
    return page


async def test_eight_tabs_share_one_connection_and_all_get_everything(context: BrowserContext, server: Server) -> None:
    tabs = [await live_tab(context, server) for _ in range(8)]
    await server.until_subscribers(1)
    for n in range(20):
        await server.hub.publish(str(n))
    for page in tabs:
        await got(page, *(str(n) for n in range(20)))
    assert [await page.evaluate("hub.leads") for page in tabs].count(True) == 1


async def test_when_the_leading_tab_is_closed_another_goes_on_without_loss(
    context: BrowserContext, server: Server
) -> None:
    tabs = [await live_tab(context, server) for _ in range(3)]
    await server.hub.publish("before")
    for page in tabs:
        await got(page, "before")
    leader = [await page.evaluate("hub.leads") for page in tabs].index(True)
    await tabs.pop(leader).close()
    await server.hub.publish("meanwhile")
    for page in tabs:
        await got(page, "before", "meanwhile")
    await server.until_subscribers(1)
    await server.hub.publish("after")
    for page in tabs:
        await got(page, "before", "meanwhile", "after")


async def test_tabs_get_the_channels_that_they_follow_and_no_others(context: BrowserContext, server: Server) -> None:
    first, second = await live_tab(context, server, "a"), await live_tab(context, server, "b.*")
    await server.until_subscribers(1)
    await server.hub.publish("1", channel="a")
    await server.hub.publish("2", channel="b.c")
    await server.hub.publish("3", channel="c")
    await got(first, "1")
    await got(second, "2")


async def test_a_channel_that_is_added_costs_no_event_of_the_others(context: BrowserContext, server: Server) -> None:
    page = await live_tab(context, server, "a")
    publishing = asyncio.create_task(_publish(server, 200))
    await live_tab(context, server, "b")
    await publishing
    await got(page, *(str(n) for n in range(200)))


async def _publish(server: Server, count: int) -> None:
    for n in range(count):
        await server.hub.publish(str(n), channel="a")
        await asyncio.sleep(0.005)


async def test_a_following_can_begin_in_the_past_and_after_a_cursor(context: BrowserContext, server: Server) -> None:
    ids = [await server.hub.publish(data) for data in "abc"]
    page = await follow(await tab(context, server.url), "other")
    await follow_more(page, "replayed", "main", replay=2)
    await got(page, "b", "c", name="replayed")
    await follow_more(page, "resumed", "main", after=str(ids[0]))
    await got(page, "b", "c", name="resumed")
    await server.hub.publish("d")
    for name in ("replayed", "resumed"):
        await got(page, "b", "c", "d", name=name)


async def test_a_tab_that_keeps_to_itself_has_a_connection_of_its_own(context: BrowserContext, server: Server) -> None:
    await live_tab(context, server)
    await follow(await tab(context, server.url), shared=False)
    await server.until_subscribers(2)


async def test_a_token_is_asked_for_and_sent(context: BrowserContext, server: Server) -> None:
    asked: list[str] = []
    page = await tab(context, server.url)
    page.on("request", lambda request: asked.append(request.headers.get("authorization", "")))
    await follow(page, token="secret")
    await server.until_subscribers(1)
    await eventually(lambda: "Bearer secret" in asked)


async def test_the_end_of_a_hub_ends_its_connection(context: BrowserContext, server: Server) -> None:
    page = await live_tab(context, server)
    await server.until_subscribers(1)
    await page.evaluate("hub.close()")
    await server.until_subscribers(0)


async def test_ids_are_compared_as_integers_and_patterns_as_the_hub_compares_them(page: Page, server: Server) -> None:
    await page.goto(server.url + "/web/app/icon.svg")
    answer = await page.evaluate(
        """async base => {
             const { covers, isAfter } = await import(base + "/web/client/sse.js");
             return [isAfter("10-0", "9-0"), isAfter("9-10", "9-9"), isAfter("9-9", "9-9"), isAfter("1-0", null),
                     covers("a.*", "a.b.c"), covers("a.*", "a"), covers("*", "x"), covers("a*b*c", "abc"),
                     covers("a*bc*c", "abc"), covers("ab", "ab"), covers("a*a", "a")];
           }""",
        server.url,
    )
    assert answer == [True, True, False, True, True, False, True, True, False, True, False]


async def test_a_channel_that_is_refused_does_not_cost_the_others_theirs(
    context: BrowserContext, server: Server
) -> None:
    page = await follow(await tab(context, server.url))
    await page.evaluate(
        """() => {
             window.refused = null;
             hub.follow(["no/channel"], { state: ({ name, reason }) => { if (name === "closed") refused = reason; } });
           }"""
    )
    await page.wait_for_function("refused !== null")
    assert "is neither a channel name nor a pattern" in await page.evaluate("refused")
    await page.wait_for_function(LIVE)
    await server.hub.publish("a")
    await got(page, "a")


async def test_nothing_is_missed_between_the_past_and_the_shared_connection(
    context: BrowserContext, server: Server
) -> None:
    await server.hub.publish("first", channel="a")
    publishing = asyncio.create_task(_publish(server, 300))
    page = await follow(await tab(context, server.url), "a", start={"replay": 1000})
    await publishing
    await got(page, "first", *(str(n) for n in range(300)))
