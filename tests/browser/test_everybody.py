"""The page for all people: by keyboard and screen reader, in both themes, on a phone, in another language."""

from __future__ import annotations

import pytest
from hubs import NDJSON, Server, serving
from playwright.async_api import Browser, Page, expect
from programs import ROOT, npm_package
from screen import inspector, lines, newest, opened, rows, stream, the_state

# The contrast of text and ground (WCAG 2.2, 1.4.3 and the definition of relative luminance), of everything that can be
# seen and has text of its own.
CONTRASTS = """
() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const part = (value) => ((value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parse(getComputedStyle(each).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.matches(":disabled, option, :has(:disabled)")) continue;
    const [a, b] = [parse(getComputedStyle(element).color), ground(element)].map(luminance);
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) low.push(`${element.tagName} ${element.className}: ${contrast.toFixed(2)}`);
  }
  return low;
}
"""


async def violations(page: Page) -> list[str]:
    """What axe has against the page as it stands."""
    await page.evaluate((npm_package("axe-core") / "axe.min.js").read_text())
    found: list[str] = await page.evaluate(
        """async () => (await axe.run()).violations.flatMap(({ id, help, nodes }) =>
             nodes.map(({ target }) => `${id}: ${help}: ${target}`))"""
    )
    return found


# Sight


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("view", ["events", "streams", "figures", "lab", "publish", "case"])
async def test_axe_finds_nothing(page: Page, theme: str, width: int, view: str) -> None:
    await page.set_viewport_size({"width": width, "height": 900})
    more = f"&theme={theme}" + ("&case=sensors" if view == "case" else f"&view={view}")
    async with serving(no_demo=False) as server:
        await page.goto(f"{server.url}/#streams=main&streams=metrics{more}")
        await expect(the_state(page)).to_have_attribute("data-state", "live")
        assert await violations(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
async def test_axe_finds_nothing_in_the_inspector_and_the_dialogs(page: Page, theme: str, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 900})
    async with serving(no_demo=False) as server:
        await opened(page, server.url, more=f"&theme={theme}")
        await rows(page).first.click()
        for name in ("On the wire", "Parsed", "Headers", "As code"):
            await inspector(page).get_by_role("tab", name=name).click()
            assert await violations(page) == []
        await page.keyboard.press("Escape")
        await page.keyboard.press("?")
        assert await violations(page) == []
        await page.keyboard.press("Escape")
        await the_state(page).get_by_role("button", name="Disconnect").click()
        assert await violations(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_text_stands_out_from_its_ground(page: Page, theme: str) -> None:
    async with serving(no_demo=False) as server:
        await opened(page, server.url, "main", "metrics", more=f"&theme={theme}")
        await expect(page.locator('.row[data-type="notification"]').first).to_be_visible()
        await rows(page).first.click()
        assert await page.evaluate(CONTRASTS) == []


async def test_the_theme_is_that_of_the_system_unless_chosen(browser: Browser, server: Server) -> None:
    context = await browser.new_context(color_scheme="dark")
    page = await context.new_page()
    await page.goto(server.url)
    ground = "getComputedStyle(document.body).backgroundColor"
    assert await page.evaluate(ground) == "rgb(14, 18, 19)"
    await page.get_by_role("button", name="Settings").click()
    await page.get_by_label("Theme").select_option("light")
    assert await page.evaluate(ground) == "rgb(244, 245, 246)"
    await page.reload()
    assert await page.evaluate(ground) == "rgb(244, 245, 246)"
    await context.close()


async def test_no_other_theme_is_seen_before_the_page_is_there(browser: Browser, server: Server) -> None:
    context = await browser.new_context(color_scheme="light")
    page = await context.new_page()
    await page.route("**/dress.js", lambda route: route.abort())  # the modules of the page never come
    await page.goto(f"{server.url}/#theme=dark")
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 18, 19)"
    await context.close()


@pytest.mark.parametrize("width", [320, 390, 768, 1024])
@pytest.mark.parametrize("view", ["events", "streams", "figures", "lab", "publish"])
async def test_nothing_is_wider_than_the_window(browser: Browser, width: int, view: str) -> None:
    context = await browser.new_context(viewport={"width": width, "height": 800})
    page = await context.new_page()
    async with serving() as server:
        await server.hub.publish("w" * 3000, event="e" * 100)
        await page.goto(f"{server.url}/#streams=main&view={view}")
        await expect(the_state(page)).to_have_attribute("data-state", "live")
        if view == "events":
            await rows(page).first.click()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
    await context.close()


async def test_nothing_moves_if_the_system_asks_for_reduced_motion(browser: Browser, server: Server) -> None:
    context = await browser.new_context(reduced_motion="reduce")
    page = await context.new_page()
    await opened(page, server.url)
    assert await page.evaluate("document.getAnimations().length") == 0
    await context.close()


async def test_states_can_be_told_apart_in_forced_colours(browser: Browser, server: Server) -> None:
    context = await browser.new_context(forced_colors="active", viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    await opened(page, server.url)
    await server.hub.publish("a")
    await rows(page).first.click()
    style = await page.locator('[aria-selected="true"]').first.evaluate("row => getComputedStyle(row).outlineStyle")
    assert style == "solid"
    await context.close()


async def test_on_paper_there_are_the_events_and_nothing_to_press(page: Page, server: Server) -> None:
    await opened(page, server.url)
    await server.hub.publish("on paper")
    await expect(lines(page)).to_have_text(["on paper"])
    await page.emulate_media(media="print")
    await expect(newest(page)).to_be_visible()
    await expect(page.locator("#views")).to_be_hidden()
    await expect(page.locator("#filters")).to_be_hidden()
    assert await page.evaluate("document.documentElement.scrollHeight") < 3000


async def test_without_scripts_the_page_says_how_to_read_a_stream(browser: Browser, server: Server) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(server.url)
    await expect(page.locator(".noscript")).to_contain_text("curl -N")
    await context.close()


# On a telephone


async def test_a_telephone_has_tabs_and_shows_an_event_as_a_sheet(browser: Browser, server: Server) -> None:
    context = await browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = await context.new_page()
    await opened(page, server.url, *[f"c{n}" for n in range(20)])
    await server.hub.publish("in sight", channel="c3")
    await expect(newest(page)).to_be_in_viewport(ratio=1)
    await expect(inspector(page)).to_be_hidden()
    await rows(page).first.tap()
    await expect(inspector(page)).to_be_visible()
    await expect(page.locator("#close-sheet")).to_be_focused()
    await page.locator("#close-sheet").tap()
    await expect(inspector(page)).to_be_hidden()
    assert await page.evaluate("document.activeElement !== document.body")
    views = page.get_by_role("navigation", name="Views")
    for name, place in (("Streams", "#streams"), ("Figures", "#figures"), ("Publish", "#publish-view")):
        await views.get_by_role("button", name=name).tap()
        await expect(page.locator(place)).to_be_visible()
        await expect(page.locator("#events")).to_be_hidden()
    await context.close()


async def test_the_subscribers_can_be_read_on_a_telephone(browser: Browser, server: Server) -> None:
    context = await browser.new_context(viewport={"width": 360, "height": 740})
    page = await context.new_page()
    await opened(page, server.url, more="&view=figures")
    cell = page.locator('#subscribers [data-field="channels"]').first
    await expect(cell).to_contain_text("main")
    box = await cell.bounding_box()
    assert box is not None
    assert box["width"] > 120
    await context.close()


# The keyboard, and readers of the screen


async def test_the_keys_find_pause_walk_and_help(page: Page, server: Server) -> None:
    await opened(page, server.url)
    for data in "abc":
        await server.hub.publish(data)
    await expect(rows(page)).to_have_count(3)
    await page.keyboard.press("/")
    await expect(page.get_by_role("searchbox")).to_be_focused()
    await page.keyboard.type("j k?")  # in a field, keys are letters
    await expect(page.get_by_role("searchbox")).to_have_value("j k?")
    await page.get_by_role("searchbox").fill("")
    await page.keyboard.press("Escape")
    await expect(page.locator("#log")).to_be_focused()
    await page.keyboard.press("Space")
    await expect(page.get_by_role("button", name="Pause")).to_have_attribute("aria-pressed", "true")
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await expect(page.locator('.row[aria-selected="true"] .data')).to_have_text("b")
    await page.keyboard.press("k")
    await expect(page.locator('.row[aria-selected="true"] .data')).to_have_text("c")
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Settings and keys")).to_be_visible()


async def test_the_chosen_event_is_the_active_one_of_the_list(page: Page, server: Server) -> None:
    await opened(page, server.url)
    for data in "abc":
        await server.hub.publish(data)
    await page.get_by_role("listbox", name="Events").focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("End")
    active = await page.locator("#log").get_attribute("aria-activedescendant")
    await expect(page.locator(f"#{active} .data")).to_have_text("a")
    await expect(page.locator(f"#{active}")).to_have_attribute("aria-posinset", "3")


async def test_the_page_has_landmarks_and_one_heading_a_section(page: Page, server: Server) -> None:
    await page.goto(server.url)
    for role in ("banner", "main", "search", "complementary"):
        await expect(page.get_by_role(role)).to_have_count(1)
    for name in ("Connection", "Streams", "Events", "Timeline"):
        await expect(page.get_by_role("region", name=name)).to_have_count(1)


async def test_a_change_of_state_is_announced_and_figures_are_not(page: Page, server: Server) -> None:
    await opened(page, server.url, "a", "b")
    await expect(page.locator("#announced[role=status]")).to_have_text("Connection: Live")
    live = await page.evaluate(
        "[...document.querySelectorAll('[aria-live], [role=status], [role=log], [role=alert]')].map(({ id }) => id)"
    )
    assert live == ["announced", "options-note"]  # a dialog hides the rest of the page, so it has its own


async def test_focus_can_be_seen(page: Page, server: Server) -> None:
    await opened(page, server.url)
    for _ in range(12):
        await page.keyboard.press("Tab")
        width = await page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert width == "2px"


# Languages


async def test_the_page_is_in_portuguese_if_the_browser_prefers_it(browser: Browser, server: Server) -> None:
    context = await browser.new_context(locale="pt-BR")
    page = await context.new_page()
    await opened(page, server.url)
    await expect(page.get_by_role("heading", name="Fluxos")).to_be_visible()
    await expect(the_state(page)).to_contain_text("Ao vivo")
    assert await page.evaluate("document.documentElement.lang") == "pt-BR"
    await page.get_by_role("button", name="Ajustes").click()
    await page.get_by_label("Idioma").select_option("en")
    await expect(page.get_by_role("heading", name="Streams", exact=True)).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("heading", name="Streams", exact=True)).to_be_visible()
    await context.close()


async def test_a_change_of_language_leaves_no_label_in_the_other(page: Page, server: Server) -> None:
    await opened(page, server.url, "main", "metrics", more="&view=publish")
    await server.hub.publish("a")
    await page.get_by_role("button", name="Pause").click()
    await the_state(page).get_by_role("button", name="Disconnect").click()
    await page.evaluate("location.hash += '&language=pt-BR'")
    await expect(page.locator("#pause-log")).to_have_attribute("title", "Continuar (espaço)")
    await expect(page.locator("#power")).to_have_text("Conectar")
    await expect(page.locator("#log-status")).to_contain_text("pausado")
    await expect(stream(page).locator(".rate")).to_have_text("Desconectado")
    await expect(page.locator("#send span")).to_have_text("Publicar")


async def test_errors_are_in_the_language_of_the_page_and_the_servers_words_are_marked(
    page: Page, server: Server
) -> None:
    await opened(page, server.url, more="&view=publish&language=pt-BR")
    await page.locator("#publish [name=event]").fill("live")
    await page.locator("#send").click()
    await expect(page.locator("#answer")).to_contain_text("O servidor não entende isto.")
    await expect(page.locator("#answer [lang=en]")).to_contain_text("the hub's own")


async def test_a_server_that_is_away_is_said_to_be_in_the_language_of_the_page(page: Page, server: Server) -> None:
    await page.route("**/stream?*", lambda route: route.abort())
    await page.goto(f"{server.url}/#streams=main&language=pt-BR")
    await expect(the_state(page)).to_have_attribute("data-state", "waiting")
    await expect(the_state(page)).to_contain_text("Não foi possível alcançar o servidor.")


async def test_every_word_of_the_page_is_in_the_dictionary_in_both_languages(page: Page, server: Server) -> None:
    await page.goto(server.url)
    missing = await page.evaluate(
        """async () => {
             const { LANGUAGES, keys, say, speak } = await import(new URL("web/app/words.js", document.baseURI).href);
             const known = new Set(keys());
             const roots = [document, ...[...document.querySelectorAll("template")].map(({ content }) => content)];
             const names = ["words", "label", "hint", "title", "placeholder"];
             const used = roots.flatMap((root) => [...root.querySelectorAll("*")])
               .flatMap(({ dataset }) => names.map((name) => dataset?.[name])).filter(Boolean);
             const gaps = used.filter((key) => !known.has(key));
             for (const language of LANGUAGES) {
               speak(language);
               gaps.push(...[...known].filter((key) => !say(key).trim()).map((key) => `${language} ${key}`));
             }
             return gaps;
           }"""
    )
    assert missing == []


async def test_no_word_is_in_two_dictionaries(page: Page, server: Server) -> None:
    names = sorted(path.stem for path in (ROOT / "web" / "app" / "words").glob("*.js") if path.stem != "parts")
    await page.goto(server.url)
    twice = await page.evaluate(
        """async names => {
             const files = await Promise.all(names.map((name) =>
               import(new URL(`web/app/words/${name}.js`, document.baseURI).href)));
             const all = files.flatMap((file) => Object.values(file).flatMap((words) => Object.keys(words)));
             return all.filter((key, at) => all.indexOf(key) !== at);
           }""",
        names,
    )
    assert twice == []


# Long use


async def test_tens_of_thousands_of_events_leave_the_heap_flat(page: Page, server: Server) -> None:
    await opened(page, server.url)
    session = await page.context.new_cdp_session(page)

    async def heap() -> float:
        await session.send("HeapProfiler.collectGarbage")
        return float((await session.send("Runtime.getHeapUsage"))["usedSize"])

    async def publish(events: int) -> None:
        lines = "\n".join(f'{{"n": {n}, "padding": "{"x" * 200}"}}' for n in range(1000))
        for _ in range(events // 1000):
            await server.post("/realtime/main", data=lines, headers=NDJSON)
            shown = f"{server.hub.statistics().published:,} in all"  # a page that lags would lose some, as it should
            await expect(page.locator("#log-status")).to_contain_text(shown)

    await publish(10_000)  # as many as are kept, and more
    before = await heap()
    await publish(30_000)
    assert await heap() < before * 1.5
