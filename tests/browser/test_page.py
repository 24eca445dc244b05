"""The page in a real browser, at a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web
from hubs import Server, serving
from network import Network
from playwright.async_api import BrowserContext, Locator, Page, expect
from programs import Program

from sse_server import Settings, create_app


async def connected(page: Page, url: str, *streams: str) -> None:
    """Open the page on these streams and wait until it is live."""
    query = "&".join(f"streams={stream}" for stream in streams or ("main",))
    await page.goto(f"{url}/#{query}")
    for stream in streams or ("main",):
        await expect(state(page, stream)).to_have_attribute("data-state", "live")


def card(page: Page, stream: str) -> Locator:
    return page.locator(f'.card[data-stream="{stream}"]')


def state(page: Page, stream: str = "main") -> Locator:
    return card(page, stream).locator(".state")


def figure(page: Page, name: str, stream: str = "main") -> Locator:
    return card(page, stream).locator(f'[data-figure="{name}"]')


def rows(page: Page) -> Locator:
    return page.locator(".row:visible")


def newest(page: Page) -> Locator:
    return page.locator(".row:visible").first.locator(".data")


# Streams


async def test_the_page_shows_every_kind_of_the_demonstration_feed(page: Page) -> None:
    async with serving(no_demo=False) as server:
        await page.goto(server.url)
        for stream in ("main", "metrics"):
            await expect(state(page, stream)).to_have_attribute("data-state", "live")
        for type in ("message", "sensor", "heartbeat", "notification", "metrics"):
            await expect(page.locator(f'.row[data-type="{type}"]').first).to_be_visible(timeout=12_000)


async def test_a_card_tells_state_rate_total_cursor_and_latency(page: Page, server: Server) -> None:
    await connected(page, server.url)
    id = await server.hub.publish("12345")
    await expect(figure(page, "last")).to_have_text(str(id))
    await expect(figure(page, "total")).to_have_text("1")
    await expect(figure(page, "bytes")).to_have_text("5")
    await expect(figure(page, "latency")).to_contain_text(" ms")
    await expect(figure(page, "rate")).to_have_text("0.2")


async def test_streams_and_patterns_are_added_and_removed_and_kept_over_a_reload(page: Page, server: Server) -> None:
    await connected(page, server.url)
    await page.get_by_label("Channel or pattern").fill("logs sensors.*")
    await page.get_by_role("button", name="Add").click()
    await expect(state(page, "sensors.*")).to_have_attribute("data-state", "live")
    await server.hub.publish("21", channel="sensors.kitchen")
    await expect(newest(page)).to_have_text("21")
    await card(page, "main").get_by_role("button", name="Remove").click()
    assert "streams=logs&streams=sensors.*" in page.url
    await page.reload()
    await expect(page.locator(".card h3")).to_have_text(["logs", "sensors.*"])


async def test_a_view_is_shared_by_its_address(context: BrowserContext, server: Server) -> None:
    first, second = await context.new_page(), await context.new_page()
    await connected(first, server.url, "a", "b")
    await first.get_by_role("searchbox").fill("needle")
    await second.goto(first.url)
    await expect(second.locator(".card h3")).to_have_text(["a", "b"])
    await expect(second.get_by_role("searchbox")).to_have_value("needle")


async def test_channels_that_exist_are_offered(page: Page, server: Server) -> None:
    await server.hub.publish("a", channel="somewhere")
    await connected(page, server.url)
    await expect(page.locator('#channels option[value="somewhere"]')).to_have_count(1)


async def test_a_paused_stream_loses_nothing(page: Page, server: Server) -> None:
    await connected(page, server.url)
    await card(page, "main").get_by_role("button", name="Pause").click()
    await expect(state(page)).to_have_text("paused")
    for data in "abc":
        await server.hub.publish(data)
    await expect(figure(page, "total")).to_have_text("3")
    assert await rows(page).count() == 0
    await card(page, "main").get_by_role("button", name="Go on").click()
    await expect(rows(page).locator(".data")).to_have_text(["c", "b", "a"])


async def test_a_disconnected_stream_goes_on_where_it_was(page: Page, server: Server) -> None:
    await connected(page, server.url)
    await server.hub.publish("a")
    await expect(figure(page, "total")).to_have_text("1")
    await card(page, "main").get_by_role("button", name="Disconnect").click()
    await expect(state(page)).to_have_attribute("data-state", "closed")
    await server.hub.publish("b")
    await card(page, "main").get_by_role("button", name="Connect", exact=True).click()
    await expect(rows(page).locator(".data")).to_have_text(["b", "a"])


async def test_all_streams_are_disconnected_and_connected_at_once(page: Page, server: Server) -> None:
    await connected(page, server.url, "a", "b")
    every = page.get_by_role("group", name="All streams")
    await every.get_by_role("button", name="Disconnect").click()
    for stream in ("a", "b"):
        await expect(state(page, stream)).to_have_attribute("data-state", "closed")
    await every.get_by_role("button", name="Connect", exact=True).click()
    for stream in ("a", "b"):
        await expect(state(page, stream)).to_have_attribute("data-state", "live")


async def test_a_cut_connection_comes_back_without_loss(page: Page, server: Server) -> None:
    await connected(page, server.url)
    await server.hub.publish("before")
    await expect(rows(page)).to_have_count(1)
    await page.get_by_role("button", name="Cut my connection").click()
    await expect(state(page)).to_have_text("back in 1 s")
    await server.hub.publish("meanwhile")
    await expect(rows(page).locator(".data")).to_have_text(["meanwhile", "before"])
    await expect(figure(page, "reconnects")).to_have_text("1")


async def test_a_connection_that_breaks_comes_back_without_loss(page: Page, server: Server) -> None:
    async with Network(server.port) as network:
        await connected(page, network.url)
        await server.hub.publish("before")
        await expect(rows(page)).to_have_count(1)
        network.reset()
        await server.hub.publish("meanwhile")
        await network.mend()
        await expect(rows(page).locator(".data")).to_have_text(["meanwhile", "before"])


async def test_a_restarted_server_is_followed_again_and_the_loss_is_shown(
    page: Page, program: Callable[..., Program], unused_tcp_port: int
) -> None:
    hub = program("--port", str(unused_tcp_port))
    await connected(page, hub.url)
    hub.end()
    await expect(page.locator('.row[data-type="closing"]').first).to_be_visible()
    await expect(state(page)).to_have_attribute("data-state", "waiting")
    program("--port", str(unused_tcp_port))
    await expect(state(page)).to_have_attribute("data-state", "live", timeout=15_000)
    await expect(figure(page, "losses")).to_have_text("1")


async def test_a_full_server_is_waited_for_and_its_reason_shown(page: Page) -> None:
    async with serving(max_subscribers=4) as server:
        async with AsyncExitStack() as places:
            for _ in range(4):
                await places.enter_async_context(server.stream())
            await page.goto(f"{server.url}/#streams=main")
            await expect(page.locator('.row[data-type="error"] .data').first).to_contain_text(
                "slots for subscribers are in use"
            )
        await expect(state(page)).to_have_attribute("data-state", "live", timeout=15_000)


async def test_a_refused_stream_says_why_and_is_not_asked_for_again(page: Page, server: Server) -> None:
    await page.goto(f"{server.url}/#streams=no%2Fchannel")
    await expect(state(page, "no/channel")).to_have_attribute("data-state", "closed")
    await expect(state(page, "no/channel")).to_contain_text("is neither a channel name nor a pattern")


async def test_falling_behind_shows_the_loss_while_no_other_stream_waits(page: Page) -> None:
    async with serving(history=100) as server:
        await connected(page, server.url)
        await page.get_by_role("button", name="Fall behind").click()
        await expect(page.locator("#behind-answer")).to_contain_text("The hub told it of the gap", timeout=20_000)
        await server.hub.publish("still here")
        await expect(newest(page)).to_have_text("still here")


# Events


async def test_events_are_filtered_by_channel_type_and_text(page: Page, server: Server) -> None:
    await connected(page, server.url, "*")
    for channel, type, data in (("a", "x", "one"), ("a", "y", "two"), ("b", "x", "Three")):
        await server.hub.publish(data, channel=channel, event=type)
    filters = page.get_by_role("search")
    await filters.get_by_label("Type").select_option("x")
    await expect(rows(page).locator(".data")).to_have_text(["Three", "one"])
    await filters.get_by_label("Channel").select_option("a")
    await expect(rows(page).locator(".data")).to_have_text(["one"])
    await filters.get_by_label("Channel").select_option("")
    await filters.get_by_label("Text").fill("thr")
    await expect(rows(page).locator(".data")).to_have_text(["Three"])


async def test_an_event_is_read_as_indented_json_and_copied(context: BrowserContext, server: Server) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await context.new_page()
    await connected(page, server.url)
    id = await server.hub.publish('{"a":[1,2]}', event="t")
    await rows(page).first.click()
    details = page.get_by_role("complementary")
    await expect(details).to_contain_text(str(id))
    assert json.loads(await details.locator("pre").inner_text()) == {"a": [1, 2]}
    await details.get_by_role("button", name="Copy").click()
    assert await page.evaluate("navigator.clipboard.readText()") == '{\n  "a": [\n    1,\n    2\n  ]\n}'


async def test_events_are_walked_through_with_the_keyboard(page: Page, server: Server) -> None:
    await connected(page, server.url)
    for data in "abc":
        await server.hub.publish(data)
    await expect(rows(page)).to_have_count(3)
    await page.get_by_role("listbox").focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowDown")
    await expect(page.locator("#details pre")).to_have_text("b")
    await expect(page.locator('.row[aria-selected="true"] .data')).to_have_text("b")


async def test_a_paused_log_stands_still_and_has_all_of_it_afterwards(page: Page, server: Server) -> None:
    await connected(page, server.url)
    await server.hub.publish("a")
    await expect(rows(page)).to_have_count(1)
    await page.locator("#pause-log").click()
    await server.hub.publish("b")
    await expect(page.locator("#log-status")).to_contain_text("paused, 1 more have come")
    await expect(rows(page)).to_have_count(1)
    await page.locator("#pause-log").click()
    await expect(rows(page).locator(".data")).to_have_text(["b", "a"])


@pytest.mark.parametrize("form", ["NDJSON", "CSV"])
async def test_the_shown_events_are_exported(page: Page, server: Server, tmp_path: Path, form: str) -> None:
    await connected(page, server.url)
    id = await server.hub.publish('=1+"x",\n', event="t")
    await expect(rows(page)).to_have_count(1)
    async with page.expect_download() as download:
        await page.get_by_role("group", name="Export").get_by_role("button", name=form).click()
    await (await download.value).save_as(tmp_path / "file")
    text = (tmp_path / "file").read_bytes().decode()
    if form == "NDJSON":
        value = json.loads(text)
        assert (value["id"], value["channel"], value["event"], value["data"]) == (str(id), "main", "t", '=1+"x",\n')
    else:
        head, rest = text.split("\r\n", 1)
        assert head == "id,timestamp,channel,event,data"
        assert rest.startswith(f"{id},")
        assert rest.endswith(',main,t,"\'=1+""x"",\n"\r\n')


async def test_thousands_of_events_are_kept_but_only_those_in_sight_are_drawn(page: Page) -> None:
    async with serving(history=10_000) as server:
        await connected(page, server.url)
        lines = "\n".join(f"line {n}" for n in range(1000))
        for _ in range(8):
            headers = {"Content-Type": "application/x-ndjson"}
            await server.post("/realtime/main", data=lines, headers=headers)
        await expect(page.locator("#log-status")).to_contain_text("8,000 in all")
        await expect(page.locator("#log-status")).to_contain_text("passed undrawn")
        await expect(newest(page)).to_have_text("line 999")
        assert await page.locator(".row").count() < 40
        kept = await page.locator("#log-status").inner_text()
        assert 5000 <= int(kept.split(" of ")[1].split(" ")[0].replace(",", "")) <= 6000


async def test_two_thousand_events_a_second_do_not_freeze_the_page(page: Page, server: Server) -> None:
    await connected(page, server.url)
    frames = page.evaluate(
        "async () => { for (let frame = 0; frame < 50; frame += 1) await new Promise(requestAnimationFrame); }"
    )
    drawing = asyncio.ensure_future(frames)
    while not drawing.done():
        for _ in range(100):
            await server.hub.publish('{"value": 1}', event="sensor")
        await asyncio.wait([drawing], timeout=0.05)  # 2,000 events a second
    await drawing
    total = server.hub.statistics().published
    await expect(figure(page, "total")).to_have_text(f"{total:,}")


@pytest.mark.parametrize(
    "evil", ["<img src=x onerror=alert(1)>", "<script>alert(1)</script>", "'\"><svg onload=alert(1)>"]
)
async def test_markup_in_channel_type_and_data_is_text(page: Page, server: Server, evil: str) -> None:
    await connected(page, server.url, "*")
    name = evil.replace(" ", "").replace("/", "")
    await server.hub.publish(evil, channel=name, event=evil)
    row = page.locator(".row:visible").first
    await expect(row.locator(".data")).to_have_text(evil)
    await expect(row.locator(".channel")).to_have_text(name)
    await row.click()
    await expect(page.locator("#details h3")).to_have_text(f"{name} · {evil}")
    assert await page.locator("#log img, #log script, #log svg, #details svg, #details img").count() == 0


# Figures


async def test_figures_are_charted_from_the_past_on(page: Page) -> None:
    async with serving(no_demo=False) as server:
        async with server.stream("/metrics?replay=0") as stream:
            await stream.until("metrics")
            await stream.until("metrics")
        await page.goto(server.url)
        chart = page.locator('.chart[data-figure="cpu_percent"]')
        await expect(chart.locator(".value")).not_to_have_text("–")
        await expect(page.locator('#sensor-charts .chart[data-figure="humidity"] .value')).not_to_have_text("–")
        assert await ink(chart) > 100
        box = await chart.locator("canvas").bounding_box()
        assert box is not None
        await page.mouse.move(box["x"] + box["width"] - 10, box["y"] + 40)
        await expect(chart.locator(".value")).to_contain_text("·")


async def ink(chart: Locator) -> int:
    """The number of drawn pixels on the canvas."""
    drawn: int = await chart.locator("canvas").evaluate(
        """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
             .filter((_, at) => at % 4 === 3).filter(alpha => alpha > 0).length"""
    )
    return drawn


# Publishing


async def test_a_broadcast_arrives_and_is_answered(page: Page, server: Server) -> None:
    await connected(page, server.url)
    await page.locator("#publish textarea").fill('{"celsius": 21}')
    await page.locator("#send").click()
    await expect(page.locator("#answer")).to_contain_text("reached 1 subscribers")
    await expect(newest(page)).to_contain_text('"message":{"celsius":21}')


async def test_data_is_published_as_it_stands_ephemeral_if_wanted(page: Page, server: Server) -> None:
    await connected(page, server.url)
    await page.get_by_label("Form").select_option("raw")
    await page.locator("#publish textarea").fill("two\nlines")
    await page.get_by_label("ephemeral").check()
    await page.locator("#send").click()
    await expect(page.locator("#answer")).to_contain_text("ephemeral reached 1")
    await expect(newest(page)).to_have_text("two\nlines")
    assert server.hub.statistics().retained == 0


async def test_a_refused_publish_shows_the_servers_message(page: Page, server: Server) -> None:
    await connected(page, server.url)
    await page.locator("#publish").get_by_label("Type").fill("live")
    await page.locator("#send").click()
    await expect(page.locator("#answer")).to_contain_text("the hub's own")


async def test_the_curl_line_does_the_same(page: Page, server: Server) -> None:
    await connected(page, server.url)
    await page.locator("#publish textarea").fill("it's 5 o'clock $HOME")
    line = await page.locator("#curl").inner_text()
    process = await asyncio.create_subprocess_exec("sh", "-c", line + " -s", stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    await expect(newest(page)).to_contain_text("it's 5 o'clock $HOME")


# Around


async def test_the_page_works_below_a_prefix_of_another_application(page: Page) -> None:
    outer = web.Application()
    outer.add_subapp("/events", create_app(Settings(no_demo=True)))
    runner = web.AppRunner(outer, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await connected(page, f"http://127.0.0.1:{runner.addresses[0][1]}/events")
        await page.locator("#send").click()
        await expect(page.locator("#answer")).to_contain_text("reached")
        await page.close()
    finally:
        await runner.cleanup()
