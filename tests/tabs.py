"""Tabs that follow channels with the client alone, without the page around it."""

from __future__ import annotations

from typing import Any

from playwright.async_api import BrowserContext, Page

__all__ = ["LIVE", "follow", "follow_more", "got", "reached", "tab"]

LIVE = 'states.at(-1)?.name === "live"'
_CONNECT = """
async ([base, channels, options, from, token]) => {
  const { connect } = await import("/web/client/sse.js");
  const tokens = { never: () => new Promise(() => {}), fails: () => Promise.reject(new Error("no token")) };
  window.hub = connect(base, token ? { ...options, token: tokens[token] ?? (() => token) } : options);
  for (const name of ["got", "states", "losses", "ends", "problems"]) window[name] = [];
  window.listener = {
    event: (event) => got.push(event.data), state: (state) => states.push(state), lost: (loss) => losses.push(loss),
    end: (end) => ends.push(end), problem: (problem) => problems.push(problem),
  };
  window.following = hub.follow(channels, listener, from);
}
"""
_FOLLOW = """([name, channels, from]) => {
  const mine = (window[name] = []);
  hub.follow(channels, { event: (event) => mine.push(event.data) }, from);
}"""


async def tab(context: BrowserContext, url: str) -> Page:
    """A tab at a hub, with nothing in it."""
    page = await context.new_page()
    await page.goto(url + "/web/app/icon.svg")
    return page


async def follow(
    page: Page,
    *channels: str,
    hub: str = "/",
    start: dict[str, Any] | None = None,
    token: str = "",
    **options: Any,
) -> Page:
    """Connect, and follow these channels; what comes is in `got`, `states`, `losses`, `ends` and `problems`.

    :param token: what the option `token` gives; `never` and `fails` are what they say.
    """
    await page.evaluate(_CONNECT, [hub, list(channels or ("main",)), options, start or {}, token])
    return page


async def follow_more(page: Page, name: str, *channels: str, **start: Any) -> None:
    """Follow these channels, too; their data are in the variable of this name."""
    await page.evaluate(_FOLLOW, [name, list(channels), start])


async def reached(page: Page, state: str) -> Any:
    """Wait until the following has this state; the state."""
    found = await page.wait_for_function("name => states.find((each) => each.name === name)", arg=state)
    return await found.json_value()


async def got(page: Page, *data: str, name: str = "got") -> None:
    """Wait until exactly this has come to a tab."""
    expected: Any = list(data)
    await page.wait_for_function("([name, count]) => window[name].length >= count", arg=[name, len(expected)])
    assert await page.evaluate(name) == expected
