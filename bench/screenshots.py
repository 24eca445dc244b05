"""Take the pictures of the page that the README shows: light, dark, and on a telephone.

Run it as `python -m bench screenshots`; it needs Chromium and the `test` extra, and takes half a minute, so that the
charts have something to show.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.async_api import Browser, async_playwright

_ROOT = Path(__file__).resolve().parent.parent
_DOCS = _ROOT / "docs"
_FEED_SECONDS = 25.0
_PICTURES = {
    "page-light.png": ("light", 1280, 900),
    "page-dark.png": ("dark", 1280, 900),
    "page-phone.png": ("light", 390, 844),
}


@contextlib.contextmanager
def _server() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, str(_ROOT / "sse_server.py"), "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        match = re.search(r"http://\S+", process.stderr.readline())
        assert match is not None
        yield match[0]
    finally:
        process.terminate()
        process.communicate()


async def _take(browser: Browser, url: str, name: str, theme: str, width: int, height: int) -> None:
    context = await browser.new_context(viewport={"width": width, "height": height}, device_scale_factor=1.5)
    page = await context.new_page()
    await page.goto(f"{url}#theme={theme}&streams=main&streams=metrics&streams=sensors.*")
    await page.locator('.card[data-stream="main"] .state[data-state="live"]').wait_for()
    await page.locator(".row").first.wait_for()
    await page.wait_for_timeout(3000)
    await page.screenshot(path=_DOCS / name)
    await context.close()


async def _take_all(url: str, chromium: str) -> None:
    await asyncio.sleep(_FEED_SECONDS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name, (theme, width, height) in _PICTURES.items():
            await _take(browser, url, name, theme, width, height)
        await browser.close()


def main() -> int:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        print("Chromium is missing: apt-get install chromium", file=sys.stderr)
        return 1
    with _server() as url:
        asyncio.run(_take_all(url, chromium))
    print("\n".join(str(_DOCS.joinpath(name).relative_to(_ROOT)) for name in _PICTURES))
    return 0
