"""Streams with options in the page: where they begin, what they bring, and those with a connection of their own."""

from __future__ import annotations

import re

import pytest
from hubs import Server
from mercures import update
from network import Network
from playwright.async_api import Page, expect
from screen import inspector, lines, newest, opened, rows, stream


async def choose_options(page: Page, name: str, **options: str) -> None:
    await page.get_by_role("button", name="Add a stream with options").click()
    dialog = page.locator("#options")
    for key, value in options.items():
        field = dialog.locator(f"[name={key}]")
        await (field.select_option(value) if key in ("begin", "form", "protocol") else field.fill(value))
    await dialog.locator("[name=name]").fill(name)
    await dialog.get_by_role("button", name="Follow").click()


async def _published(server: Server, *data: str, channel: str = "c", event: str = "message") -> list[str]:
    return [str(await server.hub.publish(each, channel=channel, event=event)) for each in data]


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"begin": "replay", "replay": "2"}, ["c", "b"]),
        ({"begin": "latest"}, ["c"]),
        ({"begin": "start"}, ["c", "b", "a"]),
        ({"begin": "now"}, []),
    ],
)
async def test_a_stream_begins_where_it_is_asked_to(
    page: Page, server: Server, options: dict[str, str], seen: list[str]
) -> None:
    await _published(server, "a", "b", "c")
    await opened(page, server.url)
    await choose_options(page, "c", **options)
    await expect(page.locator("#stream-rows li").nth(1)).to_have_attribute("data-state", "live")
    await server.hub.publish("live", channel="c")
    await expect(lines(page)).to_have_text(["live", *seen])


async def test_a_stream_begins_after_an_id(page: Page, server: Server) -> None:
    _, second, _ = await _published(server, "a", "b", "c")
    await opened(page, server.url)
    await choose_options(page, "c", begin="after", after=second)
    await expect(lines(page)).to_have_text(["c"])


async def test_a_stream_of_some_types_brings_only_these(page: Page, server: Server) -> None:
    await opened(page, server.url)
    await choose_options(page, "c", types="x, y", begin="now")
    await expect(page.locator("#stream-rows li").nth(1)).to_have_attribute("data-state", "live")
    for type in ("x", "z", "y"):
        await server.hub.publish(type, channel="c", event=type)
    await expect(lines(page)).to_have_text(["y", "x"])


async def test_a_conflated_stream_brings_the_newest_value_of_an_interval(page: Page, server: Server) -> None:
    await opened(page, server.url)
    await choose_options(page, "c", conflate="500", begin="now")
    await expect(page.locator("#stream-rows li").nth(1)).to_have_attribute("data-state", "live")
    for n in range(20):
        await server.hub.publish(str(n), channel="c")
    await expect(newest(page)).to_have_text("19")
    assert await rows(page).count() <= 3


async def test_a_plain_stream_has_a_connection_of_its_own_and_goes_on_after_a_cut(page: Page, server: Server) -> None:
    async with Network(server.port) as network:
        await opened(page, network.url, "c?replay=0&plain=1")
        await server.hub.publish("a", channel="c")
        await expect(lines(page)).to_have_text(["a"])
        await stream(page, "c?replay=0&plain=1").locator(".stream").click()
        await expect(inspector(page)).to_contain_text("plain=1")
        network.reset()
        await server.hub.publish("b", channel="c")
        await network.mend()
        await expect(lines(page)).to_have_text(["b", "a"])


async def test_at_most_two_streams_have_a_connection_of_their_own(page: Page, server: Server) -> None:
    await opened(page, server.url)
    for name in ("a", "b", "c"):
        await choose_options(page, name, form="plain")
    await expect(page.locator("#options-note")).to_contain_text("At most 2 streams")
    await expect(page.locator("#stream-rows li")).to_have_count(3)
    await page.locator("#options [name=form]").select_option("envelope")
    await expect(page.locator("#options-note")).not_to_contain_text("At most 2 streams")
    await page.locator("#options").get_by_role("button", name="Follow").click()
    await expect(page.locator("#stream-rows li")).to_have_count(4)


async def test_an_address_opens_at_most_two_connections_of_streams(page: Page, server: Server) -> None:
    own = [f"{name}?plain=1" for name in "abcdef"]
    await opened(page, server.url, own[0], own[1], "main", more="".join(f"&streams={name}" for name in own[2:]))
    await expect(page.locator("#stream-rows .name")).to_have_text(["a", "b", "main"])
    await expect(page.locator("#add-answer")).to_contain_text("At most 2 streams")
    await server.until_subscribers(3)
    await page.evaluate("location.hash = '#streams=c?plain=1&streams=d?plain=1&streams=e?plain=1&streams=main'")
    await expect(page.locator("#stream-rows .name")).to_have_text(["main", "c", "d"])
    await server.until_subscribers(3)
    assert "streams=e" not in page.url


async def test_topics_of_the_mercure_protocol_are_followed(page: Page, server: Server) -> None:
    await opened(page, server.url)
    await choose_options(page, "https://example.com/books/1", protocol="mercure")
    await expect(page.locator("#stream-rows li").nth(1)).to_have_attribute("data-state", "live")
    await server.post("/.well-known/mercure", data={"topic": "https://example.com/books/1", "data": "a book"})
    await expect(newest(page)).to_have_text("a book")


async def test_ids_of_mercure_updates_are_not_taken_for_times(page: Page, server: Server) -> None:
    """Ids of Discord and Twitter, for example, are whole numbers far above the milliseconds of now."""
    await opened(page, server.url, "main", ".well-known/mercure?topic=a")
    await server.hub.publish("of the hub")
    await expect(lines(page)).to_have_text(["of the hub"])
    for id in ("1848284719203840000", "1848284719203840000-0"):
        await update(server, "a", id, id=id)
    await expect(rows(page)).to_have_count(3)
    await server.hub.publish("newer")
    await expect(lines(page)).to_have_text(["newer", "1848284719203840000-0", "1848284719203840000", "of the hub"])
    timeline = page.locator("#timeline canvas")
    await expect(timeline).to_have_attribute("aria-label", re.compile("4 events in 2 channels"))


async def test_a_stream_is_changed_in_its_place(page: Page, server: Server) -> None:
    await opened(page, server.url, "c")
    await stream(page, "c").locator(".stream").click()
    await inspector(page).get_by_role("button", name="Change").click()
    await expect(page.locator("#options [name=name]")).to_have_value("c")
    await page.locator("#options [name=begin]").select_option("start")
    await page.locator("#options").get_by_role("button", name="Follow").click()
    await expect(page.locator("#stream-rows li")).to_have_count(1)
    assert "streams=c%3Ffrom%3Dstart" in page.url


@pytest.mark.parametrize("name", ["a/b", "a b"])
async def test_a_stream_that_is_changed_to_what_is_refused_stays(page: Page, server: Server, name: str) -> None:
    await opened(page, server.url, "c")
    await stream(page, "c").locator(".stream").click()
    await inspector(page).get_by_role("button", name="Change").click()
    await page.locator("#options [name=name]").fill(name)
    await page.locator("#options").get_by_role("button", name="Follow").click()
    await expect(page.locator("#options-note")).to_contain_text("is no channel and no pattern")
    await expect(page.locator("#stream-rows .name")).to_have_text(["c"])
    await page.locator("#options [name=name]").fill("d")
    await page.locator("#options").get_by_role("button", name="Follow").click()
    await expect(page.locator("#options")).to_be_hidden()
    await expect(page.locator("#stream-rows .name")).to_have_text(["d"])


async def test_a_stream_with_a_connection_of_its_own_can_be_changed(page: Page, server: Server) -> None:
    await opened(page, server.url, "a?plain=1", "b?plain=1")
    await stream(page, "a?plain=1").locator(".stream").click()
    await inspector(page).get_by_role("button", name="Change").click()
    await page.locator("#options [name=name]").fill("c")
    await page.locator("#options").get_by_role("button", name="Follow").click()
    await expect(page.locator("#stream-rows .name")).to_have_text(["b", "c"])
