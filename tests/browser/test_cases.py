"""The use cases of the page, each opened by a link."""

from __future__ import annotations

import json

import pytest
from eventually import eventually
from hubs import Server, serving
from playwright.async_api import BrowserContext, Page, expect
from tokens import SECRET

NAMES = ["dashboard", "notifications", "monitoring", "sensors", "activity", "answer"]


async def opened(page: Page, url: str, name: str, *, language: str = "en") -> None:
    await page.goto(f"{url}/#case={name}&language={language}")
    await expect(page.locator(f".case-{name}")).to_be_visible()


async def publish(server: Server, data: object, *, channel: str = "main", event: str = "message") -> None:
    await server.hub.publish(json.dumps(data), channel=channel, event=event)


@pytest.mark.parametrize("name", NAMES)
async def test_a_case_is_opened_by_its_link_in_both_languages(page: Page, server: Server, name: str) -> None:
    await opened(page, server.url, name)
    english = await page.locator(".case-about").inner_text()
    await opened(page, server.url, name, language="pt-BR")
    await expect(page.locator(".case-about")).not_to_have_text(english)
    await page.locator(".case-code summary").click()
    await expect(page.locator(".case-code pre")).to_contain_text("hub.follow(")


async def test_a_case_follows_nothing_any_more_when_it_is_left(page: Page, server: Server) -> None:
    await page.goto(f"{server.url}/#streams=main")
    await server.until_subscribers(1)
    await page.evaluate("location.hash = '#case=dashboard&streams=main'")
    await expect(page.locator(".case-dashboard")).to_be_visible()
    await eventually(lambda: server.hub.subscribers("metrics") > 0)
    await page.evaluate("location.hash = '#streams=main'")
    await eventually(lambda: server.hub.subscribers("metrics") == 0)


async def test_the_dashboard_shows_figures_and_the_newest_event_of_each_channel(page: Page) -> None:
    async with serving(no_demo=False) as server:
        await publish(server, {"message": "hello"}, channel="somewhere")
        await opened(page, server.url, "dashboard")
        await expect(page.locator(".tile-value").first).not_to_have_text("–")
        row = page.locator(".newest tr", has_text="somewhere")
        await expect(row).to_contain_text("hello")
        await publish(server, {"message": "later"}, channel="somewhere")
        await expect(row).to_contain_text("later")


async def test_a_dashboard_without_figures_says_so(page: Page, server: Server) -> None:
    await opened(page, server.url, "dashboard")
    await expect(page.locator(".case")).to_contain_text("No figures come from this hub.")


async def test_new_notifications_are_unread_and_stand_in_the_title(page: Page, server: Server) -> None:
    await publish(server, {"level": "info", "title": "Old", "message": "one"}, event="notification")
    await opened(page, server.url, "notifications")
    await expect(page.locator(".notices li")).to_have_count(1)
    await expect(page.locator(".case")).to_have_attribute("data-state", "live")
    title = await page.title()
    await publish(server, {"level": "error", "title": "New", "message": "two"}, event="notification")
    await expect(page.locator(".toast")).to_contain_text("New: two")
    await expect(page).to_have_title(f"(1) {title}")
    await expect(page.locator(".notices li[data-unread]")).to_have_count(1)
    await page.get_by_role("button", name="Mark all as read").click()
    await expect(page).to_have_title(title)


async def test_a_test_notification_goes_to_the_hub_and_comes_back(page: Page, server: Server) -> None:
    await opened(page, server.url, "notifications")
    await page.get_by_role("button", name="Send a test").click()
    await expect(page.locator(".notices li")).to_contain_text("went from your browser to the hub and back")


async def test_a_visitor_who_may_not_publish_is_told_so(page: Page) -> None:
    async with serving(jwt_key=SECRET, anonymous="subscribe") as server:
        await opened(page, server.url, "notifications")
        await page.get_by_role("button", name="Send a test").click()
        await expect(page.locator(".case")).to_contain_text("You may not publish here:")


async def test_a_hidden_page_notifies_by_the_browser_where_it_may(context: BrowserContext, server: Server) -> None:
    await context.grant_permissions(["notifications"], origin=server.url)
    page = await context.new_page()
    await page.add_init_script(
        "window.shown = []; Notification = class { static permission = 'granted';"
        " constructor(text) { shown.push(text); } };"
        "Object.defineProperty(document, 'hidden', { get: () => true });"
    )
    await opened(page, server.url, "notifications")
    await expect(page.locator(".case")).to_have_attribute("data-state", "live")
    await publish(server, {"title": "Look", "message": "here"}, event="notification")
    assert await eventually(lambda: page.evaluate("shown")) == ["Look: here"]


async def test_monitoring_shows_alarms_and_does_not_take_silence_for_good(page: Page, server: Server) -> None:
    await opened(page, server.url, "monitoring")
    await expect(page.locator(".overall")).to_have_text("Figures are missing.")
    await expect(page.locator(".checks tr", has_text="Hub")).to_contain_text("good")
    await publish(server, {"level": "error", "title": "Disk", "message": "full"}, event="notification")
    await expect(page.locator(".alarms li")).to_contain_text("Disk: full")


async def test_a_figure_over_its_limit_is_critical(page: Page, server: Server) -> None:
    figures = {"cpu_percent": 99.0, "memory_percent": 10.0, "error_rate": 0.0, "subscribers": 1}
    await publish(server, figures, channel="metrics", event="metrics")
    await opened(page, server.url, "monitoring")
    await expect(page.locator(".checks tr", has_text="CPU")).to_contain_text("critical")
    await expect(page.locator(".overall")).to_have_text("Something is wrong.")


async def test_numbers_are_found_in_data_of_any_shape_on_any_channel(page: Page, server: Server) -> None:
    await publish(server, {"reading": {"temperature": -3.5, "pressures": [1, 2]}}, channel="field.one", event="odd")
    await opened(page, server.url, "sensors")
    await expect(page.locator(".case > .note")).to_have_text("No event with a number in it has come yet.")
    await page.locator(".case").get_by_label("Channel or pattern").fill("field.*")
    await page.locator(".case").get_by_label("Type (empty: all)").fill("")
    await page.get_by_role("button", name="Show", exact=True).click()
    names = page.locator(".case .chart .name")
    await expect(names).to_have_text(
        ["field.one: reading.temperature", "field.one: reading.pressures[0]", "field.one: reading.pressures[1]"]
    )
    await expect(page.locator(".case .chart .value").first).to_have_text("-3.5")


async def test_sensors_of_the_demonstration_have_their_names_and_units(page: Page) -> None:
    async with serving(no_demo=False) as server:
        await opened(page, server.url, "sensors")
        await expect(page.locator(".case .chart .value").first).to_contain_text("%")
        await expect(page.locator(".case .chart .name").first).to_have_text("humidity")


async def test_the_activity_feed_has_the_past_under_its_days_and_goes_on(page: Page, server: Server) -> None:
    for text in ("first", "second"):
        await publish(server, {"message": text})
    await publish(server, {"uptime": 1}, event="heartbeat")
    await opened(page, server.url, "activity")
    words = page.locator(".feed-words")
    await expect(words).to_have_text(["second", "first"])
    await publish(server, {"message": "third"})
    await expect(words).to_have_text(["third", "second", "first"])
    await expect(page.locator(".feed h3")).to_have_count(1)


async def test_an_answer_is_whole_after_a_reload_in_the_middle(page: Page, server: Server) -> None:
    await opened(page, server.url, "answer")
    await page.get_by_role("button", name="Ask", exact=True).click()
    text = page.locator(".answer-text")
    await expect(text).to_contain_text("Server-Sent Events are a way")
    await page.reload()
    await expect(text).to_contain_text("Server-Sent Events are a way for a server to tell a page what happens")
    await expect(text).to_contain_text("by an ordinary request. The server answers")


async def test_stop_ends_an_answer_for_all_and_its_producer(page: Page, server: Server) -> None:
    await opened(page, server.url, "answer")
    await page.get_by_role("button", name="Ask", exact=True).click()
    await expect(page.locator(".answer-text")).to_contain_text("Events")
    await page.get_by_role("button", name="Stop", exact=True).click()
    await expect(page.locator(".answer-state")).to_have_text("The answer has ended: cancelled.")
    channel = await page.locator(".answer-channel").inner_text()
    assert await server.status(f"/realtime/{channel}", "POST", data=b"more") == 409
    await page.reload()
    await expect(page.locator(".answer-state")).to_have_text("The answer has ended: cancelled.")
    await expect(page.get_by_role("button", name="Ask", exact=True)).to_be_enabled()


async def test_an_answer_comes_to_its_end_by_itself(page: Page, server: Server) -> None:
    run = json.dumps({"channel": "answers.short", "words": ["one ", "two"]})
    await page.goto(f"{server.url}/")
    await page.evaluate("run => sessionStorage.setItem('sse-hub answer', run)", run)
    await opened(page, server.url, "answer")
    await expect(page.locator(".answer-text")).to_have_text("one two")
    await expect(page.locator(".answer-state")).to_have_text("The answer has ended: done.")


async def test_a_case_of_another_name_lists_those_that_there_are(page: Page, server: Server) -> None:
    await page.goto(f"{server.url}/#case=other")
    await expect(page.locator(".case-links:visible a")).to_have_count(len(NAMES))
