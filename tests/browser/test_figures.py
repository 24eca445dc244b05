"""The figures, charts and timeline of the page."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from eventually import eventually
from hubs import Server, serving
from playwright.async_api import Page, expect

CHART = """async ([points, options]) => {
  const { Chart } = await import("/web/app/chart/chart.js");
  const { Clock } = await import("/web/app/chart/clock.js");
  const { Cursor } = await import("/web/app/chart/cursor.js");
  const chart = new Chart({
    title: "Test", unit: "°C", quantities: [{ colour: "--channel-1" }],
    clock: new Clock(), cursor: new Cursor(), ...options,
  });
  for (const [ago, value] of points) chart.add(Date.now() - ago, value);
  document.querySelector("#figures-place").replaceChildren(chart.element);
  return chart.words();
}"""
TIMELINE = """async (events) => {
  const { Timeline } = await import("/web/app/timeline/timeline.js");
  const place = document.querySelector("#figures-place");
  place.replaceChildren();
  window.chosen = [];
  const timeline = new Timeline(place, { colour: () => "#808080", choose: (entry) => chosen.push(entry.event) });
  for (const { ago, replayed = false, ...event } of events) {
    timeline.add({ id: null, timestamp: new Date(Date.now() - ago).toISOString(), ...event }, { replayed });
  }
  timeline.hold();
  window.timeline = timeline;
}"""


async def figures(page: Page, url: str) -> None:
    await page.goto(f"{url}/#view=figures&language=en")
    await expect(page.locator("#figures-place")).to_be_visible()


async def publish(server: Server, **values: object) -> None:
    await server.hub.publish(json.dumps(values), channel="metrics", event="metrics")


def value(page: Page, chart: str) -> str:
    return f'.chart:has([data-words="{chart}"]) .value'


async def test_each_figure_is_a_chart_with_its_unit_and_in_and_out_are_one(page: Page, server: Server) -> None:
    await publish(
        server,
        cpu_percent=12.5,
        memory_percent=40,
        network_received_bytes_per_second=1_900_000,
        network_sent_bytes_per_second=512,
        requests_per_second=3,
        error_rate=0.015,
        events_per_second=2,
        deliveries_per_second=20,
        subscribers=1,
    )
    await figures(page, server.url)
    await expect(page.locator(value(page, "figureCpu"))).to_have_text("12.5\u202f%")
    await expect(page.locator(value(page, "figureNetwork"))).to_have_text(["1.9\u202fMB/s", "512\u202fB/s"])
    await expect(page.locator(value(page, "figureErrors"))).to_have_text("1.5\u202f%")
    await expect(page.locator(value(page, "figureEvents"))).to_have_text(["2\u202f/s", "20\u202f/s"])


async def test_a_hub_without_figures_is_said_in_words(page: Page, server: Server) -> None:
    await figures(page, server.url)
    await expect(page.locator(".figures-note")).to_contain_text("No figures come from this hub.")
    await expect(page.locator("#figures-place .charts")).to_be_hidden()


async def test_figures_that_stop_are_said_to_have_stopped(page: Page, server: Server) -> None:
    await publish(server, cpu_percent=1)
    await figures(page, server.url)
    await expect(page.locator(".figures-note")).to_contain_text("No figures have come for")
    await expect(page.locator("#figures-place .charts")).to_be_visible()


async def test_the_figures_are_followed_only_while_they_are_shown(page: Page, server: Server) -> None:
    await page.goto(f"{server.url}/#streams=main&view=figures")
    await eventually(lambda: server.hub.subscribers("metrics") > 0)
    await page.evaluate("location.hash = '#streams=main'")
    await eventually(lambda: server.hub.subscribers("metrics") == 0)


async def test_one_cursor_over_all_charts_is_moved_by_pointer_and_keyboard(page: Page) -> None:
    async with serving(no_demo=False) as server:
        await figures(page, server.url)
        canvas = page.locator("#figures-place canvas").first
        await canvas.scroll_into_view_if_needed()
        moment = page.locator(".cursor-time")
        await expect(moment).to_have_text("now")
        await expect(page.locator(value(page, "figureCpu"))).not_to_have_text("–")
        box = await canvas.bounding_box()
        assert box is not None
        await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        await expect(moment).not_to_have_text("now")
        await expect(page.locator(value(page, "figureSubscribers"))).to_have_text(
            "–"
        )  # there were no values at that time
        await page.mouse.move(0, 0)
        await expect(moment).to_have_text("now")
        slider = page.get_by_label("Moment")
        await slider.focus()
        await page.keyboard.press("Home")
        await expect(slider).not_to_have_attribute("aria-valuetext", "now")
        await expect(page.locator(value(page, "figureCpu"))).to_have_text("–")
        await page.keyboard.press("Escape")
        await expect(slider).to_have_attribute("aria-valuetext", "now")


async def test_a_chart_is_also_a_text_and_a_table(page: Page, server: Server) -> None:
    for percent in (10, 30, 20):
        await publish(server, cpu_percent=percent)
        await asyncio.sleep(0.01)  # points of the same millisecond are one
    await figures(page, server.url)
    label = page.locator('#figures-place canvas[aria-label^="CPU. now 20\u202f%, between 10\u202f% and 30\u202f%"]')
    await expect(label).to_have_count(1)
    await page.get_by_text("As a table").click()
    row = page.locator(".figures-table tr", has_text="CPU").locator("td")
    await expect(row).to_have_text(["20\u202f%", "10\u202f%", "20\u202f%", "30\u202f%"])


async def test_points_that_are_old_late_or_no_numbers_do_no_harm(page: Page, server: Server) -> None:
    await figures(page, server.url)
    points = [[1000, 2], [3_600_000, 99], [500, -3], [-2000, 4], [2000, None], [700, "5"], [500, -4]]
    assert await page.evaluate(CHART, [points, {}]) == "Test. now 4\u202f°C, between -4\u202f°C and 4\u202f°C"
    await expect(page.locator("#figures-place canvas")).to_be_visible()


async def test_a_chart_of_another_clock_shows_the_points_of_now(page: Page, server: Server) -> None:
    await page.clock.set_fixed_time((time.time() + 3600) * 1000)  # the browser is an hour ahead
    await figures(page, server.url)
    await eventually(lambda: server.hub.subscribers("metrics") > 0)

    async def is_shown() -> bool:
        await publish(server, cpu_percent=33)  # the clock of the hub is known after some points
        return await page.locator(value(page, "figureCpu")).all_inner_texts() == ["33\u202f%"]

    await eventually(is_shown)


async def test_values_at_the_edge_of_what_can_be_drawn_are_drawn(page: Page, server: Server) -> None:
    await figures(page, server.url)
    for values in ([5e-324], [1e308, -1e308], [0, 0], [1e15, 1e15 + 1]):
        points = [[1000 * at, each] for at, each in enumerate(values)]
        assert "now" in await page.evaluate(CHART, [points, {"unit": ""}])


# The timeline


async def test_a_tick_of_the_timeline_chooses_its_event(page: Page, server: Server) -> None:
    await figures(page, server.url)
    await page.evaluate(
        TIMELINE,
        [
            {"ago": 30_000, "channel": "a", "event": "first", "replayed": True},
            {"ago": 10_000, "channel": "b", "event": "second", "replayed": True},
        ],
    )
    place = page.locator("#figures-place")
    await expect(place.locator("li")).to_have_text(["a", "b"])
    canvas = place.locator("canvas")
    await expect(canvas).to_have_attribute(
        "aria-label",
        "Timeline of the last 60 seconds: 2 events in 2 channels, 0 times without a connection, 0 losses.",
    )
    box = await canvas.bounding_box()
    assert box is not None
    await canvas.click(position={"x": box["width"] / 2 + 30, "y": 10})
    await canvas.click(position={"x": box["width"] / 2, "y": 30})
    await canvas.click(position={"x": box["width"] / 2, "y": 10})
    assert await page.evaluate("chosen") == ["first"]


async def test_replayed_events_gaps_and_losses_are_told_apart(page: Page, server: Server) -> None:
    await figures(page, server.url)
    await page.evaluate(
        TIMELINE,
        [
            {"ago": 20_000, "channel": "a", "event": "old", "replayed": True},
            {"ago": 1000, "channel": "a", "event": "new"},
        ],
    )
    await page.evaluate("timeline.gap(Date.now() - 15000, Date.now() - 10000); timeline.gap(Date.now() - 500, null)")
    await page.evaluate(
        "timeline.lost({ channel: 'a', after: `${Date.now() - 40000}-0`, next: `${Date.now() - 30000}-0` })"
    )
    canvas = page.locator("#figures-place canvas")
    await expect(canvas).to_have_attribute(
        "aria-label",
        "Timeline of the last 60 seconds: 2 events in 1 channels, 2 times without a connection, 1 losses.",
    )
    colours = await page.evaluate(
        """() => {
          const canvas = document.querySelector("#figures-place canvas");
          const pen = canvas.getContext("2d");
          const at = (share) => {
            const x = Math.round(canvas.width * share);
            const { data } = pen.getImageData(x - 12, 0, 24, 20 * devicePixelRatio);
            return new Set(data.filter((_, at) => at % 4 === 3)).size > 2;
          };
          return [at(0.4), at(0.79), at(0.62)];
        }"""
    )
    assert colours == [True, True, False]  # the loss and the gap are hatched, and between them nothing is


@pytest.mark.parametrize("language", ["en", "pt-BR"])
async def test_the_timeline_of_the_page_has_a_lane_for_each_channel(page: Page, server: Server, language: str) -> None:
    await page.goto(f"{server.url}/#streams=*&language={language}")
    await server.until_subscribers(1)
    for channel in ("one", "two"):
        await server.hub.publish("x", channel=channel)
    await expect(page.locator("#timeline li")).to_have_text(["one", "two"])
