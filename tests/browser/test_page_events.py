"""The list of events on the page: one order, standing still, filters, bounds, and export."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hubs import NDJSON, Server, serving
from playwright.async_api import Browser, Page, expect
from screen import figure, lines, newest, opened, rows, stream


async def test_events_of_all_streams_stand_in_the_order_of_their_ids(page: Page, server: Server) -> None:
    for n in range(3):
        for channel in ("a", "b"):
            await server.hub.publish(f"{channel}{n}", channel=channel)
    await opened(page, server.url, "b", "a")
    await expect(lines(page)).to_have_text(["b2", "a2", "b1", "a1", "b0", "a0"])


async def test_an_event_that_two_streams_bring_is_shown_once(page: Page, server: Server) -> None:
    await opened(page, server.url, "a", "*")
    await server.hub.publish("once", channel="a")
    await server.hub.publish("last", channel="b")
    await expect(lines(page)).to_have_text(["last", "once"])


async def test_events_are_filtered_by_channel_type_and_text(page: Page, server: Server) -> None:
    await opened(page, server.url, "*")
    for channel, type, data in (("a", "x", "one"), ("a", "y", "two"), ("b", "x", "Three")):
        await server.hub.publish(data, channel=channel, event=type)
    filters = page.get_by_role("search")
    await filters.get_by_label("Type").fill("x")
    await expect(lines(page)).to_have_text(["Three", "one"])
    await filters.get_by_label("Channel").fill("a")
    await expect(lines(page)).to_have_text(["one"])
    await filters.get_by_label("Channel").fill("")
    await filters.get_by_label("Text").fill("thr")
    await expect(lines(page)).to_have_text(["Three"])
    await filters.get_by_label("Text").fill("nothing")
    await page.get_by_role("button", name="Remove the filters").click()
    await expect(rows(page)).to_have_count(3)


async def test_a_long_type_makes_no_filter_wider(page: Page, server: Server) -> None:
    await opened(page, server.url)
    width = await page.locator("#filters [name=type]").evaluate("field => field.offsetWidth")
    await server.hub.publish("a", event="t" * 120)
    await expect(rows(page)).to_have_count(1)
    assert await page.locator("#filters [name=type]").evaluate("field => field.offsetWidth") == width


async def test_a_paused_list_stands_still_and_has_all_of_it_afterwards(page: Page, server: Server) -> None:
    await opened(page, server.url)
    await server.hub.publish("a")
    await expect(rows(page)).to_have_count(1)
    await page.get_by_role("button", name="Pause").click()
    await server.hub.publish("b")
    await expect(page.locator("#newer")).to_have_text("1 new ↑")
    await expect(rows(page)).to_have_count(1)
    await page.locator("#newer").click()
    await expect(lines(page)).to_have_text(["b", "a"])


async def test_the_list_stands_still_while_somebody_reads_further_down(page: Page, server: Server) -> None:
    await opened(page, server.url)
    for n in range(100):
        await server.hub.publish(f"old {n}")
    await expect(newest(page)).to_have_text("old 99")
    await page.locator("#log").evaluate("log => { log.scrollTop = 640; }")
    await expect(newest(page)).to_have_text("old 79")
    for n in range(12):
        await server.hub.publish(f"new {n}")
    await expect(page.locator("#newer")).to_have_text("12 new ↑")
    await expect(newest(page)).to_have_text("old 79")
    await page.locator("#newer").click()
    await expect(newest(page)).to_have_text("new 11")


async def test_a_chosen_event_stays_where_it_is(page: Page, server: Server) -> None:
    await opened(page, server.url)
    await server.hub.publish("chosen")
    await rows(page).first.click()
    await server.hub.publish("later")
    await expect(page.locator("#newer")).to_have_text("1 new ↑")
    await expect(newest(page)).to_have_text("chosen")
    await page.keyboard.press("Escape")
    await expect(lines(page)).to_have_text(["later", "chosen"])


@pytest.mark.parametrize("paused", [False, True])
async def test_five_thousand_events_are_kept_also_while_paused(page: Page, paused: bool) -> None:
    async with serving(history=10_000) as server:
        await opened(page, server.url)
        await server.hub.publish("first")
        await expect(rows(page)).to_have_count(1)
        if paused:
            await page.get_by_role("button", name="Pause").click()
        lines_of_a_batch = "\n".join(f"line {n}" for n in range(1000))
        for _ in range(7):
            await server.post("/realtime/main", data=lines_of_a_batch, headers=NDJSON)
        status = page.locator("#log-status")
        await expect(status).to_contain_text("5,000 of at most 5,000 kept")
        await expect(status).to_contain_text("7,001 in all")
        await expect(newest(page)).to_have_text("first" if paused else "line 999")
        assert await page.locator(".row").count() < 40


@pytest.mark.parametrize("form", ["NDJSON", "CSV"])
async def test_exported_are_the_events_that_the_list_shows(
    page: Page, server: Server, tmp_path: Path, form: str
) -> None:
    await opened(page, server.url)
    id = await server.hub.publish('=1+"x",\n', event="t")
    await expect(rows(page)).to_have_count(1)
    await page.get_by_role("button", name="Pause").click()
    await server.hub.publish("not shown")
    await expect(page.locator("#newer")).to_be_visible()
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


async def test_five_hundred_events_a_second_leave_fifty_frames_a_second(page: Page, server: Server) -> None:
    await opened(page, server.url)
    frames = page.evaluate(
        "async () => { for (let frame = 0; frame < 50; frame += 1) await new Promise(requestAnimationFrame); }"
    )
    drawing = asyncio.ensure_future(frames)
    while not drawing.done():
        for _ in range(25):
            await server.hub.publish('{"value": 1}', event="sensor")
        await asyncio.wait([drawing], timeout=0.05)
    await drawing
    total = server.hub.statistics().published
    await expect(await figure(page, "total")).to_have_text(f"{total:,}")


@pytest.mark.parametrize(
    "evil", ["<img src=x onerror=alert(1)>", "<script>alert(1)</script>", "'\"><svg onload=alert(1)>"]
)
async def test_markup_in_channel_type_and_data_is_text(page: Page, server: Server, evil: str) -> None:
    await opened(page, server.url, "*")
    name = evil.replace(" ", "").replace("/", "")
    await server.hub.publish(evil, channel=name, event=evil)
    row = rows(page).first
    await expect(row.locator(".data")).to_have_text(evil)
    await expect(row.locator(".channel")).to_have_text(name)
    await row.click()
    await expect(page.locator("#inspected .title")).to_have_text(f"{name} {evil}")
    assert await page.locator("#log img, #log script, #log svg, #inspected svg, #inspected img").count() == 0


async def test_control_characters_are_shown_and_directions_stay_in_their_cell(page: Page, server: Server) -> None:
    await opened(page, server.url)
    await server.hub.publish("abc\u202edef\x1b", event="a\u202eb")
    row = rows(page).first
    await expect(row.locator(".data")).to_have_text("abcRLOdefESC")
    await expect(row.locator(".type")).to_have_text("aRLOb")
    assert await row.locator(".data").evaluate("cell => getComputedStyle(cell).unicodeBidi") == "isolate"


async def test_a_new_day_has_its_date(page: Page) -> None:
    async with serving() as server:
        await opened(page, server.url)
        # Events of yesterday come only from a store that was there. The page is given one, as the model takes it.
        await server.hub.publish("today")
        await expect(rows(page)).to_have_count(1)
        await page.evaluate(
            """async () => {
                 const { Rows } = await import(new URL("web/app/rows.js", document.baseURI).href);
                 const scroller = document.querySelector("#log"), place = document.createElement("div");
                 scroller.append(place);
                 const entry = (timestamp, id) => ({ id, timestamp, channel: "c", event: "message", data: timestamp });
                 const two = [entry("2026-11-25T12:00:00Z", "1-0"), entry("2026-11-26T12:00:00Z", "2-0")];
                 new Rows(place).draw(scroller, two, null);
               }"""
        )
        await expect(page.locator(".row .day:visible")).to_have_text("Wednesday 25 November")


async def test_times_are_of_one_zone_which_is_named(browser: Browser, server: Server) -> None:
    context = await browser.new_context(locale="pt-BR", timezone_id="America/Sao_Paulo")
    page = await context.new_page()
    await opened(page, server.url)
    await expect(page.locator("#log-zone")).to_have_text("America/Sao_Paulo")
    await server.hub.publish("agora")
    await expect(rows(page).first.locator("time")).to_contain_text(",")
    await context.close()


async def test_an_empty_list_says_how_to_publish_from_a_shell(page: Page, server: Server) -> None:
    await opened(page, server.url)
    command = await page.locator("#log-empty code").inner_text()
    process = await asyncio.create_subprocess_exec("sh", "-c", f"{command} -s", stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    await expect(lines(page)).to_have_text(["Hello"])
    await expect(page.locator("#log-empty")).to_be_hidden()


async def test_a_stream_has_one_colour_in_its_row_and_in_its_events(page: Page, server: Server) -> None:
    await opened(page, server.url, "a", "b")
    await server.hub.publish("1", channel="b")
    await expect(rows(page)).to_have_count(1)
    colour = await stream(page, "b").get_attribute("data-colour")
    assert await rows(page).first.get_attribute("data-colour") == colour
    assert await stream(page, "a").get_attribute("data-colour") != colour
