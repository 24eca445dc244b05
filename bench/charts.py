"""What charts and timeline of the page cost in Chromium: the part of a core that the page uses, as the browser's own
Performance metrics say (`TaskDuration` in thread ticks: CPU time of the page's thread for scripts, styles, layout and
painting. Thread ticks do not count the time for which others have the core).

Run it as `python -m bench charts`; it takes half a minute, needs the extra `test` and Chromium.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time

import servers
from playwright.async_api import CDPSession, async_playwright

CHARTS = 20
POINTS_PER_SECOND = 10
EVENTS_PER_SECOND = 500
LANES = 10
SECONDS = 10.0
EMPTY = "document.body.replaceChildren()"
DRAW_CHARTS = """async ([charts, rate]) => {
  const { Chart } = await import("/web/app/chart/chart.js");
  const { Clock } = await import("/web/app/chart/clock.js");
  const { Cursor } = await import("/web/app/chart/cursor.js");
  const [clock, cursor, place] = [new Clock(), new Cursor(), document.createElement("main")];
  place.className = "charts";
  document.body.append(place);
  document.body.style.display = "block";
  const drawn = Array.from({ length: charts }, (_, at) => new Chart({
    title: `Chart ${at}`, unit: "B/s", quantities: [{ colour: "--channel-1" }], clock, cursor,
  }));
  place.append(...drawn.map(({ element }) => element));
  const value = (ms, at) => 1e6 * (1 + Math.sin(ms / 9000 + at)) + 1e5 * Math.random();
  const add = (ms) => drawn.forEach((chart, at) => chart.add(ms, value(ms, at)));
  for (let ms = Date.now() - 300_000; ms < Date.now(); ms += 1000 / rate) add(ms);
  setInterval(() => add(Date.now()), 1000 / rate);
}"""
DRAW_TIMELINE = """async ([lanes, rate]) => {
  const { Timeline } = await import("/web/app/timeline/timeline.js");
  const place = document.createElement("main");
  document.body.append(place);
  document.body.style.display = "block";
  const timeline = new Timeline(place, { colour: () => "teal" });
  let sequence = 0;
  setInterval(() => {
    for (let each = 0; each < rate / 50; each += 1) {
      sequence += 1;
      const now = new Date();
      const [id, channel] = [`${now.getTime()}-${sequence}`, `c${sequence % lanes}`];
      timeline.add({ id, channel, event: "t", timestamp: now.toISOString() });
    }
  }, 20);
}"""


async def _busy(session: CDPSession) -> float:
    """Seconds of CPU that the page's thread has used."""
    answer = await session.send("Performance.getMetrics")
    return float(next(each["value"] for each in answer["metrics"] if each["name"] == "TaskDuration"))


async def _measure(chromium: str, url: str) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for what, script, arguments in (
            (f"{CHARTS} charts, {POINTS_PER_SECOND} points a second each", DRAW_CHARTS, [CHARTS, POINTS_PER_SECOND]),
            (
                f"a timeline of {LANES} lanes, {EVENTS_PER_SECOND} events a second",
                DRAW_TIMELINE,
                [LANES, EVENTS_PER_SECOND],
            ),
        ):
            page = await browser.new_page(viewport={"width": 1440, "height": 1200})
            await page.route("**/web/app/page.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
            await page.goto(url)
            await page.evaluate(EMPTY)
            await page.evaluate(script, arguments)
            await asyncio.sleep(2)
            session = await page.context.new_cdp_session(page)
            await session.send("Performance.enable", {"timeDomain": "threadTicks"})
            began, before = time.perf_counter(), await _busy(session)
            await asyncio.sleep(SECONDS)
            share = (await _busy(session) - before) / (time.perf_counter() - began)
            print(f"{what}: {100 * share:.1f} % of a core")
            await page.close()
        await browser.close()


def main() -> int:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("bench charts: it takes Chromium: apt-get install chromium", file=sys.stderr)
        return 1
    with servers.hub() as server:
        asyncio.run(_measure(chromium, "http://{}:{}/".format(*server.address)))
    return 0
