"""Take pictures of the page: its main views in three widths, light and dark, in both languages.

`python -m bench screenshots FOLDER` takes all of them. `python -m bench screenshots --documents` takes the few that the
documents show, into docs/images/. It needs Chromium and the `test` extra, and takes a minute: the charts need something
to show.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import servers
from playwright.async_api import Browser, Page, async_playwright

_ROOT = Path(__file__).resolve().parent.parent
_DOCUMENTS = _ROOT / "docs" / "images"
_SIZES = {1440: 900, 1024: 768, 390: 844}
_THEMES = ("light", "dark")
_LANGUAGES = ("en", "pt-BR")
_STREAMS = "streams=main&streams=metrics&streams=sensors.*"
_VIEWS = {
    "events": _STREAMS,
    "inspector": _STREAMS,
    "figures": f"{_STREAMS}&view=figures",
    "lab": f"{_STREAMS}&view=lab",
    "publish": f"{_STREAMS}&view=publish",
    "sensors": f"{_STREAMS}&case=sensors",
    "dashboard": f"{_STREAMS}&case=dashboard",
}
_PATIENCE_MS = 30_000
_LIVE_MS = 7000
"""For so long a picture of the documents waits for live events, so that rates and ticks are there."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What is shown, and how."""

    view: str
    width: int
    theme: str
    language: str
    scale: float = 1.0

    @property
    def name(self) -> str:
        return f"{self.view}-{self.width}-{self.theme}-{self.language}.png"


_SHOWN = {
    "page-light.png": Picture("inspector", 1440, "light", "en"),
    "page-dark.png": Picture("inspector", 1440, "dark", "en"),
    "page-phone.png": Picture("events", 390, "light", "en", 2.0),
    "figures.png": Picture("figures", 1440, "light", "en"),
    "lab.png": Picture("lab", 1440, "light", "en"),
}
"""The pictures of the documents."""


async def _take(browser: Browser, url: str, picture: Picture, file: Path, live_ms: float) -> None:
    size = {"width": picture.width, "height": _SIZES[picture.width]}
    page = await browser.new_page(viewport=size, device_scale_factor=picture.scale)  # type: ignore[arg-type]
    await page.goto(f"{url}/#{_VIEWS[picture.view]}&theme={picture.theme}&language={picture.language}")
    await page.locator('#connection[data-state="live"]').wait_for(timeout=_PATIENCE_MS)
    await page.wait_for_timeout(live_ms)
    await _prepare(page, picture)
    await page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    await page.screenshot(path=file)
    await page.close()


async def _prepare(page: Page, picture: Picture) -> None:
    """Bring the view into the state in which it says most."""
    if picture.view in ("figures", "dashboard", "sensors"):
        await page.locator(".chart .value:not(:text-is('–'))").first.wait_for(timeout=_PATIENCE_MS)
    elif picture.view == "lab":
        await page.locator(".lab-controls .main").click()
        await page.locator('.lab-result[data-state="seen"]').wait_for(timeout=2 * _PATIENCE_MS)
    elif picture.view == "inspector":
        await page.locator('#rows [data-type="notification"]').first.click(timeout=_PATIENCE_MS)
        await page.locator(".wire-lines").first.wait_for(timeout=_PATIENCE_MS)
    elif picture.view == "events":
        await page.locator("#rows [role=option]").first.wait_for(timeout=_PATIENCE_MS)


async def _take_all(chromium: str, url: str, wanted: dict[Path, Picture], seconds: float) -> None:
    await asyncio.sleep(seconds)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for file, picture in wanted.items():
            await _take(browser, url, picture, file, _LIVE_MS if file.parent == _DOCUMENTS else 0)
            print(file)
        await browser.close()


def _wanted(arguments: Sequence[str] | None = None) -> tuple[dict[Path, Picture], float]:
    parser = argparse.ArgumentParser(prog="python -m bench screenshots", description="Take pictures of the page.")
    parser.add_argument("folder", nargs="?", type=Path, help="where they go; it is made if it is not there")
    parser.add_argument("--documents", action="store_true", help="the pictures of the documents, into docs/images/")
    parser.add_argument("--view", action="append", choices=list(_VIEWS), help="only this view; repeatable")
    parser.add_argument("--width", action="append", type=int, choices=list(_SIZES), help="only this width; repeatable")
    parser.add_argument("--seconds", type=float, default=40.0, help="how long the feed runs before the first picture")
    chosen = parser.parse_args(arguments)
    if chosen.documents == (chosen.folder is not None):
        parser.error("give a folder, or --documents")
    folder = _DOCUMENTS if chosen.documents else chosen.folder
    folder.mkdir(parents=True, exist_ok=True)
    if chosen.documents:
        return {folder / name: picture for name, picture in _SHOWN.items()}, chosen.seconds
    kinds = itertools.product(chosen.view or _VIEWS, chosen.width or _SIZES, _THEMES, _LANGUAGES)
    pictures = [Picture(*kind) for kind in kinds]
    return {folder / picture.name: picture for picture in pictures}, chosen.seconds


def main() -> int:
    wanted, seconds = _wanted()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        print("bench screenshots: it takes Chromium: apt-get install chromium", file=sys.stderr)
        return 1
    with servers.demonstration() as server:
        asyncio.run(_take_all(chromium, "http://{}:{}".format(*server.address), wanted, seconds))
    return 0
