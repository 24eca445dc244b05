"""The inspector and the form for publishing on the page."""

from __future__ import annotations

import asyncio

import pytest
from hubs import Server
from mercures import update
from playwright.async_api import BrowserContext, Page, expect
from screen import inspector, lines, newest, opened, rows


async def tab(page: Page, name: str) -> None:
    await inspector(page).get_by_role("tab", name=name).click()


async def test_before_anything_is_chosen_it_explains_events_breaks_and_publishing(page: Page, server: Server) -> None:
    await opened(page, server.url)
    for text in ("data: Hello", "Press “Cut” above", "curl -N", "--data-raw"):
        await expect(inspector(page)).to_contain_text(text)


async def test_an_event_is_shown_as_it_came_on_the_wire(page: Page, server: Server) -> None:
    await opened(page, server.url)
    id = await server.hub.publish("Hello", event="t")
    await rows(page).first.click()
    await expect(inspector(page)).to_contain_text(str(id))
    plain, envelope = inspector(page).locator(".wire").first, inspector(page).locator(".wire").nth(1)
    await expect(plain).to_contain_text(f"id: {id}")
    await expect(plain).to_contain_text("event: t")
    await expect(envelope).to_contain_text('"event":"t"')


async def test_every_digit_and_both_of_two_equal_keys_are_shown(page: Page, server: Server) -> None:
    await opened(page, server.url)
    await server.hub.publish('{"n":12345678901234567890,"x":1.10,"k":1,"k":2}')
    await rows(page).first.click()
    await tab(page, "Parsed")
    tree = inspector(page).locator(".tree")
    for text in ("12345678901234567890", "1.10"):
        await expect(tree).to_contain_text(text)
    await expect(tree.locator(".key", has_text="k")).to_have_count(2)


async def test_deeply_nested_data_cost_nothing(page: Page, server: Server) -> None:
    await opened(page, server.url)
    await server.hub.publish("[" * 8000)
    await server.hub.publish("[" * 4000 + "]" * 4000)
    for row in (0, 1):
        await rows(page).nth(row).click()
        await tab(page, "Parsed")
        await expect(inspector(page).locator(".tree")).to_be_visible()
        assert len(await inspector(page).locator(".tree").inner_text()) < 20_000


async def test_the_headers_are_those_of_the_response(page: Page, server: Server) -> None:
    await opened(page, server.url)
    await server.hub.publish("a")
    await rows(page).first.click()
    await tab(page, "Headers")
    await expect(inspector(page)).to_contain_text("text/event-stream")
    await expect(inspector(page)).to_contain_text("/stream?channel=main&envelope=1")


async def test_a_replayed_event_came_by_another_response(page: Page, server: Server) -> None:
    await server.hub.publish("old")
    await opened(page, server.url)
    await rows(page).first.click()
    await expect(inspector(page)).to_contain_text("replayed from the log")
    await tab(page, "Headers")
    await expect(inspector(page)).to_contain_text("a response that has ended")


async def test_an_event_as_code_publishes_it_again_byte_for_byte(page: Page, server: Server) -> None:
    await opened(page, server.url)
    text = "@it's\n$HOME `x` \\n"
    await server.hub.publish(text, event="t")
    await rows(page).first.click()
    await tab(page, "As code")
    command = await inspector(page).locator("code").first.inner_text()
    process = await asyncio.create_subprocess_exec("sh", "-c", f"{command} -s", stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    _, answer = await server.get("/api/channels/main/events")
    assert [event["data"] for event in answer["events"]] == [text, text]


async def test_an_update_of_mercure_topics_as_code_names_no_channel(page: Page, server: Server) -> None:
    await opened(page, server.url, ".well-known/mercure?topic=https%3A%2F%2Fexample.com%2Fbooks%2F1")
    await update(server, "https://example.com/books/1", "a book")
    await rows(page).first.click()
    await tab(page, "As code")
    await expect(inspector(page)).to_contain_text("curl -N")
    await expect(inspector(page)).not_to_contain_text("/realtime/")
    await expect(inspector(page)).not_to_contain_text("channel=")


async def test_what_is_copied_is_what_was_sent(context: BrowserContext, server: Server) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await context.new_page()
    await opened(page, server.url)
    text = '{"a": 1.10,\n "k":1,"k":2}'
    await server.hub.publish(text)
    await rows(page).first.click()
    await inspector(page).get_by_role("button", name="Copy the data").click()
    await expect(inspector(page).get_by_role("button", name="Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == text


async def test_tabs_are_walked_through_with_the_arrows(page: Page, server: Server) -> None:
    await opened(page, server.url)
    await server.hub.publish("a")
    await rows(page).first.click()
    await inspector(page).get_by_role("tab", name="On the wire").focus()
    await page.keyboard.press("ArrowRight")
    await expect(inspector(page).get_by_role("tab", name="Parsed")).to_be_focused()
    await expect(inspector(page).get_by_role("tabpanel")).to_contain_text("a")


# Publishing


async def publishing(page: Page, server: Server) -> None:
    await opened(page, server.url, more="&view=publish")


async def test_a_broadcast_arrives_and_is_answered(page: Page, server: Server) -> None:
    await publishing(page, server)
    await page.locator("#publish textarea").fill('{"celsius": 21}')
    await page.locator("#send").click()
    await expect(page.locator("#answer")).to_contain_text("went to 1 subscriber.")
    await rows(page).first.click()
    await expect(inspector(page).locator(".wire").first).to_contain_text('"message":{"celsius":21}')


async def test_a_broadcast_keeps_every_digit(page: Page, server: Server) -> None:
    await publishing(page, server)
    await page.locator("#publish textarea").fill("12345678901234567890")
    await page.locator("#send").click()
    await expect(page.locator("#answer")).to_contain_text("went to 1 subscriber.")
    _, answer = await server.get("/api/channels/main/events")
    assert '"message":12345678901234567890' in answer["events"][0]["data"]


async def test_data_is_published_as_it_stands_ephemeral_if_wanted(page: Page, server: Server) -> None:
    await publishing(page, server)
    await page.locator("#publish [name=form]").select_option("raw")
    await page.locator("#publish textarea").fill("two\nlines")
    await page.get_by_label("ephemeral").check()
    await page.locator("#send").click()
    await expect(page.locator("#answer")).to_contain_text("An ephemeral event went to 1")
    assert server.hub.statistics().retained == 0
    await rows(page).first.click()
    await tab(page, "Parsed")
    await expect(inspector(page).locator(".tree .text")).to_have_text("two\nlines")


async def test_each_line_becomes_an_event(page: Page, server: Server) -> None:
    await publishing(page, server)
    await page.locator("#publish [name=form]").select_option("lines")
    await page.locator("#publish textarea").fill("one\ntwo")
    await page.locator("#send").click()
    await expect(page.locator("#answer")).to_contain_text("2 events")
    await expect(lines(page)).to_have_text(["two", "one"])


async def test_a_channel_is_ended_from_the_page(page: Page, server: Server) -> None:
    await publishing(page, server)
    await page.locator("#publish [name=form]").select_option("raw")
    await page.locator("#publish [name=end]").select_option("cancelled")
    await page.locator("#send").click()
    await expect(page.locator('#stream-rows [data-state="ended"]')).to_be_visible()
    await page.locator("#send").click()
    await expect(page.locator("#answer")).to_contain_text("The channel has ended.")


async def test_a_refused_publish_shows_the_servers_message(page: Page, server: Server) -> None:
    await publishing(page, server)
    await page.locator("#publish").get_by_label("Type").fill("live")
    await page.locator("#send").click()
    await expect(page.locator("#answer")).to_contain_text("The server does not understand this.")
    await expect(page.locator("#answer [lang=en]")).to_contain_text("the hub's own")


@pytest.mark.parametrize("form", ["broadcast", "raw", "lines"])
@pytest.mark.parametrize("text", ["it's 5 o'clock $HOME", "@/etc/hostname", "first\nsecond"])
async def test_the_shell_line_does_the_same(page: Page, server: Server, form: str, text: str) -> None:
    await publishing(page, server)
    await page.locator("#publish [name=form]").select_option(form)
    await page.locator("#publish textarea").fill(text)
    command = await page.locator("#publish-code code").inner_text()
    process = await asyncio.create_subprocess_exec("sh", "-c", f"{command} -s", stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    await page.locator("#send").click()
    await expect(rows(page)).to_have_count(4 if form == "lines" and "\n" in text else 2)
    _, answer = await server.get("/api/channels/main/events")
    data = [event["data"] for event in answer["events"]]
    if form == "broadcast":
        assert all(text.split("\n")[0] in each for each in data)
    else:
        assert data[: len(data) // 2] == data[len(data) // 2 :]
        assert data[0] == (text if form == "raw" else text.split("\n")[0])


async def test_a_server_that_is_away_is_said_to_be(page: Page, server: Server) -> None:
    await publishing(page, server)
    await page.route("**/api/broadcast", lambda route: route.abort())
    await page.locator("#send").click()
    await expect(page.locator("#answer")).to_contain_text("The server cannot be reached.")


async def test_control_and_enter_publish_and_the_event_is_seen_beside_the_form(page: Page, server: Server) -> None:
    await page.set_viewport_size({"width": 1440, "height": 900})
    await publishing(page, server)
    await page.locator("#publish textarea").press("Control+Enter")
    await expect(newest(page)).to_contain_text("Hello from the page")
    await expect(page.locator("#publish")).to_be_visible()
