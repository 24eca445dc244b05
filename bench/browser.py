"""How the browser client reads 10,000 events a second in Chromium: how many come, and the longest task of the page.

Run it as `python -m bench browser`; it takes some fifteen seconds, needs the extra `test` and Chromium.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time

import aiohttp
import servers
from playwright.async_api import async_playwright

EVENTS_PER_SECOND = 10_000
BATCHES_PER_SECOND = 10
SECONDS = 5
FOLLOW = """async () => {
  const { connect } = await import("/web/client/sse.js");
  window.count = 0;
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
  }).observe({ type: "longtask" });
  await new Promise((live) => connect("/").follow("load", {
    event: () => { count += 1; }, state: ({ name }) => name === "live" && live(),
  }));
}"""


async def _publish(url: str) -> float:
    """Publish for so many seconds; events a second that were reached."""
    lines = "\n".join(
        '{"value": 21.5, "unit": "celsius", "padding": "%s"}' % ("x" * 60)
        for _ in range(EVENTS_PER_SECOND // BATCHES_PER_SECOND)
    )
    began = time.perf_counter()
    async with aiohttp.ClientSession(headers={"Content-Type": "application/x-ndjson"}) as client:
        for number in range(SECONDS * BATCHES_PER_SECOND):
            await asyncio.sleep(max(0.0, began + number / BATCHES_PER_SECOND - time.perf_counter()))
            async with client.post(f"{url}/realtime/load", data=lines) as response:
                response.raise_for_status()
    return SECONDS * EVENTS_PER_SECOND / (time.perf_counter() - began)


async def _measure(chromium: str, url: str) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page()
        await page.goto(f"{url}/web/app/icon.svg")
        await page.evaluate(FOLLOW)
        rate = await _publish(url)
        await page.wait_for_function(f"count === {SECONDS * EVENTS_PER_SECOND}")
        longest = await page.evaluate("longest")
        await browser.close()
    shown = f"{longest:.0f} ms" if longest else "none over 50 ms"
    print(f"{rate:,.0f} events/s published, all {SECONDS * EVENTS_PER_SECOND:,} arrived; longest task: {shown}")


def main() -> int:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("bench browser: it takes Chromium: apt-get install chromium", file=sys.stderr)
        return 1
    with servers.hub() as server:
        asyncio.run(_measure(chromium, "http://{}:{}".format(*server.address)))
    return 0
