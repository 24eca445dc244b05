"""What the inspector makes of data: the tree and the bytes."""

from __future__ import annotations

from hubs import Server
from playwright.async_api import Locator, Page, expect

TREE = """async (text) => {
  const { tree } = await import("/web/app/inspect/tree.js");
  document.querySelector("#figures-place").replaceChildren(tree(text));
  return document.querySelectorAll("#figures-place *").length;
}"""
WIRE = """async (text) => {
  const { wire } = await import("/web/app/inspect/wire.js");
  document.querySelector("#figures-place").replaceChildren(wire(new TextEncoder().encode(text)));
}"""
MOST_ELEMENTS = 2000


async def shown(page: Page, server: Server, script: str, text: str) -> Locator:
    """The place in which a part shows this text."""
    await page.goto(f"{server.url}/#streams=main&view=figures&language=en")
    await expect(page.locator("#figures-place")).to_be_visible()
    await page.evaluate(script, text)
    return page.locator("#figures-place")


async def elements(page: Page) -> int:
    return await page.locator("#figures-place *").count()


async def test_the_tree_shows_every_digit_and_both_of_two_equal_keys(page: Page, server: Server) -> None:
    place = await shown(
        page, server, TREE, '{"id": 12345678901234567890, "price": 1.10, "id": 1e400, "s": "\\u00e9\\n"}'
    )
    await expect(place.locator(".number")).to_have_text(["12345678901234567890", "1.10", "1e400"])
    await expect(place.locator(".string")).to_have_text(['"\\u00e9\\n"'])
    await expect(place.locator(".key")).to_have_text(["id", "price", "id", "s"])
    await expect(place.locator(".key.again")).to_have_attribute("title", "This key comes more than once.")


async def test_open_brackets_cost_nothing(page: Page, server: Server) -> None:
    place = await shown(page, server, TREE, "[" * 8192)
    await expect(place).to_contain_text("Text. It is no JSON from character 8,193 on.")
    assert await elements(page) < 20
    await shown(page, server, TREE, "[" * 100_000 + "]" * 100_000)
    assert await elements(page) < 50


async def test_the_deep_is_read_when_it_is_opened(page: Page, server: Server) -> None:
    place = await shown(page, server, TREE, '{"a": {"b": "' + "x" * 700 + '", "c": [true]}}')
    await expect(place.locator(".literal")).to_have_count(0)
    await place.get_by_text("a:").click()
    await expect(place.locator(".literal")).to_have_text("true")


async def test_members_come_a_page_at_a_time(page: Page, server: Server) -> None:
    place = await shown(page, server, TREE, f"[{','.join(map(str, range(100_000)))}]")
    await expect(place.locator(".number")).to_have_count(100)
    await expect(place.locator("summary")).to_contain_text("> 1,000 members")
    await place.get_by_role("button", name="more").click()
    await expect(place.locator(".number")).to_have_count(200)
    assert await elements(page) < MOST_ELEMENTS


async def test_a_long_string_comes_a_part_at_a_time(page: Page, server: Server) -> None:
    place = await shown(page, server, TREE, f'["{"x" * 30_000}"]')
    await expect(place.get_by_role("button", name="more")).to_have_attribute("title", "28,002 more characters")
    await place.get_by_role("button", name="more").click()
    await expect(place.get_by_role("button", name="more")).to_have_attribute("title", "10,002 more characters")


async def test_markup_stays_text_and_unseen_characters_are_named(page: Page, server: Server) -> None:
    place = await shown(page, server, TREE, '{"<b>": "<img src=x onerror=alert(1)>\u202e!\u200b"}')
    await expect(place.locator("img")).to_have_count(0)
    await expect(place.locator(".unseen-sign")).to_have_text(["RLO", "ZWSP"])
    place = await shown(page, server, TREE, "plain\0 text\nof two lines")
    await expect(place.locator(".unseen-sign")).to_have_text("NUL")


async def test_the_bytes_of_a_line_are_marked_under_the_pointer(page: Page, server: Server) -> None:
    place = await shown(page, server, WIRE, "id: 7-0\nevent: t\ndata: é\n\n")
    options = place.get_by_role("option")
    await expect(options).to_have_count(4)
    await options.nth(2).hover()
    marked = place.locator(".byte.marked")
    await expect(marked).to_have_text(["64", "61", "74", "61", "3a", "20", "c3", "a9", "0a"])
    await expect(place.locator(".range")).to_have_text("Bytes 17 to 25 of 27")
    await expect(options.nth(2)).to_contain_text("Appended to the data of this event.")


async def test_the_lines_are_one_stop_of_the_keyboard_and_the_arrows_move_in_them(page: Page, server: Server) -> None:
    place = await shown(page, server, WIRE, "id: 7-0\ndata: x\n\n")
    lines = place.get_by_role("listbox")
    await lines.focus()
    await expect(place.locator('[aria-selected="true"]')).to_contain_text("id")
    await page.keyboard.press("ArrowDown")
    await expect(place.locator('[aria-selected="true"]')).to_contain_text("data")
    assert await lines.get_attribute("aria-activedescendant") == await place.locator(
        "[aria-selected=true]"
    ).get_attribute("id")
    await page.keyboard.press("End")
    await expect(place.locator('[aria-selected="true"]')).to_contain_text("An empty line ends the event.")
    await page.keyboard.press("ArrowDown")
    await expect(place.locator(".range")).to_have_text("Bytes 16 to 16 of 17")


async def test_large_events_are_shown_by_their_beginning(page: Page, server: Server) -> None:
    place = await shown(page, server, WIRE, "data: x\n" * 50_000 + "\n")
    await expect(place.get_by_role("option")).to_have_count(100)
    await expect(place).to_contain_text("49,901 more lines")
    assert await elements(page) < 2 * MOST_ELEMENTS
    await place.get_by_text("more", exact=True).click()
    await expect(place.locator(".dump-row")).to_have_count(288)


async def test_a_field_that_the_standard_passes_over_is_said_to_be(page: Page, server: Server) -> None:
    place = await shown(page, server, WIRE, ": ping\nfoo: 1\nid: a\0b\nretry: soon\nretry: 20\n\n")
    for words in (
        "A comment.",
        "has no field of this name",
        "an id must not have a NUL",
        "has only digits",
        "20 ms",
        "The page gets nothing.",
    ):
        await expect(place).to_contain_text(words)
