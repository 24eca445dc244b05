"""The page for all people: by keyboard and screen reader, in both themes, on a phone, in another language."""

from __future__ import annotations

import pytest
from hubs import Server, serving
from playwright.async_api import Browser, Page, expect

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
NAMELESS = """
() => [...document.querySelectorAll("button, input, select, textarea, [role=listbox], [role=group], aside")]
  .filter((element) => element.checkVisibility())
  .filter((element) => {
    const labels = [...(element.labels ?? [])].map((label) => label.innerText).join("");
    const by = document.getElementById(element.getAttribute("aria-labelledby"))?.innerText;
    const text = element.tagName === "BUTTON" ? element.innerText : "";
    return !(element.getAttribute("aria-label") || labels || by || text).trim();
  })
  .map((element) => element.outerHTML)
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_text_stands_out_from_its_ground(page: Page, theme: str) -> None:
    async with serving(no_demo=False) as server:
        await page.goto(f"{server.url}/#theme={theme}&streams=main&streams=metrics")
        await expect(page.locator('.row[data-type="notification"]').first).to_be_visible()
        await page.locator(".row").first.click()
        await page.locator("#pause-all").click()
        assert await page.evaluate(CONTRASTS) == []


async def test_the_theme_is_that_of_the_system_unless_chosen(browser: Browser, server: Server) -> None:
    context = await browser.new_context(color_scheme="dark")
    page = await context.new_page()
    await page.goto(server.url)
    ground = "getComputedStyle(document.body).backgroundColor"
    assert await page.evaluate(ground) == "rgb(16, 20, 21)"
    await page.get_by_label("Theme").select_option("light")
    assert await page.evaluate(ground) == "rgb(246, 247, 247)"
    await page.reload()
    assert await page.evaluate(ground) == "rgb(246, 247, 247)"
    await context.close()


async def test_everything_that_can_be_used_has_a_name(page: Page, server: Server) -> None:
    await page.goto(server.url)
    await expect(page.locator(".card")).to_have_count(2)
    assert await page.evaluate(NAMELESS) == []


async def test_the_page_has_landmarks_and_one_heading_a_section(page: Page, server: Server) -> None:
    await page.goto(server.url)
    for role in ("banner", "main", "search", "complementary"):
        await expect(page.get_by_role(role)).to_have_count(1)
    for name in ("Streams", "Figures", "Publish", "Events"):
        await expect(page.get_by_role("region", name=name)).to_have_count(1)


async def test_a_change_of_state_is_announced_once(page: Page, server: Server) -> None:
    await page.goto(f"{server.url}/#streams=a&streams=b")
    await expect(page.locator("#announced[role=status]")).to_have_text("b: live")


async def test_focus_can_be_seen(page: Page, server: Server) -> None:
    await page.goto(server.url)
    await expect(page.locator(".card")).to_have_count(2)
    for _ in range(12):
        await page.keyboard.press("Tab")
        width = await page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert width == "2px"


async def test_nothing_moves_if_the_system_asks_for_reduced_motion(browser: Browser, server: Server) -> None:
    context = await browser.new_context(reduced_motion="reduce")
    page = await context.new_page()
    await page.goto(server.url)
    await expect(page.locator(".card")).to_have_count(2)
    assert await page.evaluate("document.getAnimations().length") == 0
    await context.close()


@pytest.mark.parametrize("width", [360, 768, 1920])
async def test_nothing_has_to_be_scrolled_sideways(browser: Browser, width: int) -> None:
    context = await browser.new_context(viewport={"width": width, "height": 800})
    page = await context.new_page()
    async with serving(no_demo=False) as server:
        await server.hub.publish("w" * 3000, event="e" * 100)
        await page.goto(server.url)
        await expect(page.locator(".row").first).to_be_visible()
        await page.locator(".row").first.click()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
    await context.close()


async def test_the_page_is_in_portuguese_if_the_browser_prefers_it(browser: Browser, server: Server) -> None:
    context = await browser.new_context(locale="pt-BR")
    page = await context.new_page()
    await page.goto(server.url)
    await expect(page.get_by_role("heading", name="Fluxos")).to_be_visible()
    await expect(page.locator(".card .state").first).to_have_text("ao vivo")
    assert await page.evaluate("document.documentElement.lang") == "pt-BR"
    await page.get_by_label("Idioma").select_option("en")
    await expect(page.get_by_role("heading", name="Streams")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("heading", name="Streams")).to_be_visible()
    await context.close()


async def test_every_word_is_there_in_every_language(page: Page, server: Server) -> None:
    await page.goto(server.url)
    missing = await page.evaluate(
        """async () => {
             const { LANGUAGES, say, speak } = await import(new URL("web/app/words.js", document.baseURI).href);
             const used = [...document.querySelectorAll("[data-words], [data-label]")]
               .flatMap(({ dataset }) => [dataset.words, dataset.label]).filter(Boolean);
             const template = [...document.querySelectorAll("template")].flatMap(({ content }) =>
               [...content.querySelectorAll("[data-words]")].map(({ dataset }) => dataset.words).filter(Boolean));
             const gaps = [];
             for (const language of LANGUAGES) {
               speak(language);
               gaps.push(...[...used, ...template].filter((key) => say(key) === key && !["main"].includes(key)));
             }
             return gaps.filter((key) => !["live", "message", "text", "ephemeral", "bytes"].includes(key));
           }"""
    )
    assert set(missing) <= {"latency", "losses", "reconnects", "system", "light", "dark"}


async def test_tens_of_thousands_of_events_leave_the_heap_flat(page: Page, server: Server) -> None:
    await page.goto(f"{server.url}/#streams=main")
    await expect(page.locator(".card .state")).to_have_attribute("data-state", "live")
    session = await page.context.new_cdp_session(page)

    async def heap() -> float:
        await session.send("HeapProfiler.collectGarbage")
        return float((await session.send("Runtime.getHeapUsage"))["usedSize"])

    async def publish(events: int) -> None:
        lines = "\n".join(f'{{"n": {n}, "padding": "{"x" * 200}"}}' for n in range(1000))
        for _ in range(events // 1000):
            await server.post("/realtime/main", data=lines, headers={"Content-Type": "application/x-ndjson"})
            shown = f"{server.hub.statistics().published:,} in all"  # a page that lags would lose some, as it should
            await expect(page.locator("#log-status")).to_contain_text(shown)

    await publish(10_000)  # as many as are kept, and more
    before = await heap()
    await publish(30_000)
    assert await heap() < before * 1.5
