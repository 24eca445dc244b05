"""The page in a real browser, at a real server: its streams and its connection."""

from __future__ import annotations

import re
import signal
from contextlib import AsyncExitStack

import pytest
from aiohttp import web
from hubs import Server, mounted, serving
from network import Network
from playwright.async_api import BrowserContext, Page, expect
from programs import Start
from screen import figure, inspector, lines, newest, opened, rows, stream, the_state

from sse_server import Settings, create_app


async def test_the_page_shows_every_kind_of_the_demonstration_feed(page: Page) -> None:
    async with serving(no_demo=False) as server:
        await opened(page, server.url, "main", "metrics")
        await page.get_by_role("button", name="hidden: metrics").click()
        for type in ("message", "sensor", "heartbeat", "notification", "metrics"):
            await expect(page.locator(f'.row[data-type="{type}"]').first).to_be_visible()


async def test_live_events_are_in_sight_at_once_on_a_desktop(page: Page, server: Server) -> None:
    await page.set_viewport_size({"width": 1440, "height": 900})
    await opened(page, server.url)
    await server.hub.publish("seen")
    await expect(newest(page)).to_be_in_viewport(ratio=1)
    for pane in ("#streams", "#events", "#inspector", "#timeline", "#connection"):
        await expect(page.locator(pane)).to_be_in_viewport(ratio=1)


async def test_twenty_streams_fit_on_a_desktop(page: Page, server: Server) -> None:
    await page.set_viewport_size({"width": 1440, "height": 900})
    names = [f"c{n}" for n in range(18)]
    await opened(page, server.url, *names)
    await expect(stream(page, names[-1])).to_be_in_viewport(ratio=1)
    height = await stream(page, "c0").evaluate("row => row.getBoundingClientRect().height")
    assert height <= 37


async def test_a_stream_tells_its_figures_in_the_inspector(page: Page, server: Server) -> None:
    await opened(page, server.url)
    id = await server.hub.publish("12345")
    await expect(await figure(page, "total")).to_have_text("1")
    await expect(await figure(page, "last")).to_have_text(str(id))
    await expect(await figure(page, "delay")).to_have_text("0 ms")
    await expect(await figure(page, "rate")).to_have_text("0.2")


async def test_received_bytes_are_those_of_the_wire_and_not_of_utf_16(page: Page, server: Server) -> None:
    await opened(page, server.url, "main?replay=0&plain=1")
    await server.hub.publish("€")
    # `id: ` and the id, `data: €` and three line ends
    size = len(f"id: {await _last_id(server)}\ndata: €\n\n".encode())
    await expect(await figure(page, "received", "main?replay=0&plain=1")).to_have_text(f"{size} bytes")


async def _last_id(server: Server) -> str:
    _, answer = await server.get("/api/channels/main/events")
    return str(answer["events"][-1]["id"])


async def test_streams_and_patterns_are_added_and_removed_and_kept_over_a_reload(page: Page, server: Server) -> None:
    await opened(page, server.url)
    await page.locator("#add input").fill("logs sensors.*")
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(stream(page, "sensors.*")).to_have_attribute("data-state", "live")
    await server.hub.publish("21", channel="sensors.kitchen")
    await expect(newest(page)).to_have_text("21")
    await stream(page, "main").locator(".stream").click()
    await inspector(page).get_by_role("button", name="Remove").click()
    assert "streams=logs&streams=sensors.*" in page.url
    await expect(stream(page, "logs").locator(".stream")).to_be_focused()
    await page.reload()
    await expect(page.locator("#stream-rows .name")).to_have_text(["logs", "sensors.*"])


async def test_a_view_is_shared_by_its_address(context: BrowserContext, server: Server) -> None:
    first, second = await context.new_page(), await context.new_page()
    await opened(first, server.url, "a", "b")
    await first.get_by_role("searchbox").fill("needle")
    await second.goto(first.url)
    await expect(second.locator("#stream-rows .name")).to_have_text(["a", "b"])
    await expect(second.get_by_role("searchbox")).to_have_value("needle")


async def test_another_address_changes_the_page_without_a_reload(page: Page, server: Server) -> None:
    await opened(page, server.url, "a")
    await page.evaluate("location.hash = '#streams=b&theme=dark&text=x&view=figures'")
    await expect(page.locator("#stream-rows .name")).to_have_text(["b"])
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await expect(page.locator("#figures")).to_be_visible()
    await page.go_back()
    await expect(page.locator("#figures")).to_be_hidden()
    await expect(page.locator("#stream-rows .name")).to_have_text(["a"])


async def test_unknown_values_in_an_address_are_passed_over(page: Page, server: Server) -> None:
    await page.goto(f"{server.url}/#view=nowhere&theme=mauve&language=xx&constructor=x&__proto__=x&streams=main")
    await expect(stream(page, "main")).to_have_attribute("data-state", "live")
    await page.get_by_role("button", name="Settings").click()
    await expect(page.get_by_label("Theme")).to_have_value("system")
    await expect(page.get_by_label("Language")).to_have_value("en")
    await expect(page.locator("#events")).to_be_visible()


async def test_channels_that_exist_are_offered(page: Page, server: Server) -> None:
    await server.hub.publish("a", channel="somewhere")
    await opened(page, server.url)
    await expect(page.locator('#channels option[value="somewhere"]')).to_have_count(1)


async def test_a_hidden_stream_still_counts_and_is_shown_again(page: Page, server: Server) -> None:
    await opened(page, server.url, "a", "b")
    await stream(page, "a").hover()
    await stream(page, "a").locator(".mute").click()
    await server.hub.publish("from a", channel="a")
    await server.hub.publish("from b", channel="b")
    await expect(lines(page)).to_have_text(["from b"])
    await expect(await figure(page, "total", "a")).to_have_text("1")
    await page.get_by_role("button", name="hidden: a").click()
    await expect(lines(page)).to_have_text(["from b", "from a"])


async def test_metrics_are_hidden_at_first(page: Page, server: Server) -> None:
    await opened(page, server.url, "main", "metrics")
    await server.hub.publish("{}", channel="metrics", event="metrics")
    await server.hub.publish("seen")
    await expect(lines(page)).to_have_text(["seen"])
    await expect(page.get_by_role("button", name="hidden: metrics")).to_be_visible()


async def test_a_disconnected_stream_goes_on_where_it_was(page: Page, server: Server) -> None:
    await opened(page, server.url)
    await server.hub.publish("a")
    await expect(await figure(page, "total")).to_have_text("1")
    await inspector(page).get_by_role("button", name="Disconnect").click()
    await expect(stream(page)).to_have_attribute("data-state", "off")
    await server.hub.publish("b")
    await inspector(page).get_by_role("button", name="Connect", exact=True).click()
    await expect(lines(page)).to_have_text(["b", "a"])


@pytest.mark.parametrize("view", ["events", "figures", "case"])
async def test_disconnect_leaves_no_stream_open_in_any_view(page: Page, server: Server, view: str) -> None:
    await opened(page, server.url, "a", "b", more="&case=sensors" if view == "case" else f"&view={view}")
    await server.until_subscribers(1)
    await the_state(page).get_by_role("button", name="Disconnect").click()
    await expect(the_state(page)).to_have_attribute("data-state", "off")
    await server.until_subscribers(0)
    await the_state(page).get_by_role("button", name="Connect", exact=True).click()
    await expect(the_state(page)).to_have_attribute("data-state", "live")


# The connection


async def test_the_bar_tells_cursor_ping_and_retry(page: Page) -> None:
    async with serving(ping=0.2) as server:
        await opened(page, server.url)
        id = await server.hub.publish("a")
        await expect(page.locator("#connection-cursor")).to_have_text(str(id))
        await expect(page.locator("#connection-ping")).to_contain_text("ago")
        await expect(page.locator("#connection-retry")).to_contain_text(" ms")


async def test_a_cut_connection_comes_back_without_loss(page: Page, server: Server) -> None:
    await opened(page, server.url)
    await server.hub.publish("before")
    await expect(rows(page)).to_have_count(1)
    await page.get_by_role("button", name="Cut").click()
    await expect(the_state(page)).to_contain_text(re.compile("Waiting attempt 2 in . s · The connection broke off."))
    await server.hub.publish("meanwhile")
    await expect(lines(page)).to_have_text(["meanwhile", "before"])
    await expect(await figure(page, "reconnects")).to_have_text("1")


async def test_a_connection_that_breaks_comes_back_without_loss(page: Page, server: Server) -> None:
    async with Network(server.port) as network:
        await opened(page, network.url)
        await server.hub.publish("before")
        await expect(rows(page)).to_have_count(1)
        network.reset()
        await server.hub.publish("meanwhile")
        await network.mend()
        await expect(lines(page)).to_have_text(["meanwhile", "before"])


async def test_a_silent_server_turns_everything_grey_within_three_pings(page: Page, program: Start) -> None:
    hub = program("--ping", "1")
    await opened(page, hub.url)
    await expect(page.locator("#connection-ping")).to_contain_text("ago")
    await expect(page.locator("html")).to_have_attribute("data-fresh", "true")
    hub.process.send_signal(signal.SIGSTOP)
    await expect(the_state(page)).to_have_attribute("data-state", "stale")
    await expect(the_state(page)).to_contain_text("a ping is due every 1 s")
    await expect(page.locator("html")).to_have_attribute("data-fresh", "false")
    hub.process.send_signal(signal.SIGCONT)
    await expect(the_state(page)).to_have_attribute("data-state", "live")


async def test_a_restarted_server_is_followed_again_and_the_loss_is_shown(
    page: Page, program: Start, unused_tcp_port: int
) -> None:
    hub = program("--port", str(unused_tcp_port), "--no-demo")
    await opened(page, hub.url)
    hub.end()
    await expect(page.locator('.row[data-type="closing"]').first).to_be_visible()
    await expect(the_state(page)).to_have_attribute("data-state", "waiting")
    await expect(page.locator("html")).to_have_attribute("data-fresh", "false")
    program("--port", str(unused_tcp_port), "--no-demo")
    await expect(stream(page)).to_have_attribute("data-state", "live")
    await expect(page.locator('.row[data-type="lost"]').first).to_contain_text("are gone")
    await expect(await figure(page, "losses")).to_have_text("1")
    await expect(await figure(page, "reconnects")).to_have_text("1")  # and not one for each attempt that failed


async def test_a_full_server_is_waited_for_and_its_reason_shown(page: Page) -> None:
    async with serving(max_subscribers=4) as server:
        async with AsyncExitStack() as places:
            for _ in range(4):
                await places.enter_async_context(server.stream())
            await page.goto(f"{server.url}/#streams=main")
            await expect(page.locator('.row[data-type="error"] .data').first).to_contain_text(
                "slots for subscribers are in use"
            )
        await expect(stream(page)).to_have_attribute("data-state", "live")


async def test_a_refused_stream_says_why_below_its_name(page: Page, server: Server) -> None:
    await page.goto(f"{server.url}/#streams=no%2Fchannel")
    await expect(stream(page, "no/channel")).to_have_attribute("data-state", "closed")
    row = stream(page, "no/channel")
    await expect(row.locator(".why")).to_contain_text("is neither a channel name nor a pattern")
    name, why = await row.locator(".name").bounding_box(), await row.locator(".why").bounding_box()
    assert name is not None
    assert why is not None
    assert name["width"] > 60
    assert why["y"] > name["y"]


async def test_a_name_of_129_characters_stays_inside_the_window(page: Page, server: Server) -> None:
    name = "n" * 129
    await page.goto(f"{server.url}/#streams={name}")
    await expect(stream(page, name)).to_have_attribute("data-state", "closed")
    await stream(page, name).locator(".stream").click()
    width = (page.viewport_size or {"width": 0})["width"]
    assert await page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", ["a/b", "a?b", ""])
async def test_what_is_no_channel_is_refused_with_a_reason(page: Page, server: Server, name: str) -> None:
    await opened(page, server.url)
    await page.locator("#add input").fill(name)
    await page.keyboard.press("Enter")
    await expect(page.locator("#stream-rows li")).to_have_count(1)
    if name == "a/b":
        await expect(page.locator("#add-answer")).to_contain_text("is no channel and no pattern")


async def test_a_channel_that_ends_is_shown_as_ended_with_its_reason(page: Page, server: Server) -> None:
    await opened(page, server.url, "job")
    await server.post("/realtime/job?end=done", data="the result")
    await expect(stream(page, "job")).to_have_attribute("data-state", "ended")
    await expect(stream(page, "job").locator(".why")).to_have_text("the channel has ended: done")
    await expect(rows(page).locator(".type")).to_have_text(["end", "message"])


# Around


async def test_eight_tabs_share_one_connection(context: BrowserContext, server: Server) -> None:
    tabs = [await context.new_page() for _ in range(8)]
    for tab in tabs:
        await opened(tab, server.url, "main")
    await server.until_subscribers(1)
    await server.hub.publish("for all")
    for tab in tabs:
        await expect(newest(tab)).to_have_text("for all")
    assert server.hub.statistics().subscribers == 1


async def test_the_page_works_below_a_prefix_of_another_application(page: Page) -> None:
    outer = web.Application()
    outer.add_subapp("/events", create_app(Settings(no_demo=True)))
    async with mounted(outer) as url:
        await opened(page, f"{url}/events", "main", more="&view=publish")
        await page.locator("#send").click()
        await expect(page.locator("#answer")).to_contain_text("went to")
        await page.close()
