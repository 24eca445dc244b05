"""The tab that leads may hang: another takes its place, and nothing comes twice."""

from __future__ import annotations

from hubs import Server
from playwright.async_api import BrowserContext, Dialog, Page
from tabs import LIVE, follow, got, tab


async def team(context: BrowserContext, server: Server, count: int) -> tuple[Page, list[Page]]:
    """So many tabs that follow `main`: the one that leads, and the others."""
    tabs = [await follow(await tab(context, server.url)) for _ in range(count)]
    for page in tabs:
        await page.wait_for_function(LIVE)
    leader = [await page.evaluate("hub.leads") for page in tabs].index(True)
    return tabs.pop(leader), tabs


async def test_an_alert_in_the_leading_tab_starves_nobody(context: BrowserContext, server: Server) -> None:
    leader, others = await team(context, server, 3)
    dialogs: list[Dialog] = []
    leader.on("dialog", lambda dialog: dialogs.append(dialog))  # and nobody answers it
    async with leader.expect_event("dialog"):
        await leader.evaluate('() => void setTimeout(() => alert("look here"))')
    await server.hub.publish("a")
    for page in others:
        await got(page, "a")
    (dialog,) = dialogs
    await dialog.accept()
    await server.hub.publish("b")
    for page in (leader, *others):
        await got(page, "a", "b")
    await server.until_subscribers(1)
    assert [await page.evaluate("hub.leads") for page in (leader, *others)].count(True) == 1


async def test_a_leading_tab_that_computes_for_ever_starves_nobody(context: BrowserContext, server: Server) -> None:
    leader, others = await team(context, server, 3)
    await leader.evaluate("() => void setTimeout(() => { for (;;); })")
    await server.hub.publish("a")
    for page in others:
        await got(page, "a")
    for page in others:
        await page.close()
    # The browser cannot close a page that never answers; its context ends its process.


async def test_a_tab_that_follows_in_a_hidden_window_is_no_less_a_leader(
    context: BrowserContext, server: Server
) -> None:
    leader, (other,) = await team(context, server, 2)
    await other.bring_to_front()
    await other.wait_for_function("hub.streams.length === 1")
    for n in range(20):
        await server.hub.publish(str(n))
    await got(other, *(str(n) for n in range(20)))
    assert await leader.evaluate("hub.leads")


async def test_the_end_of_a_hub_leaves_no_lock_timer_or_listener(context: BrowserContext, server: Server) -> None:
    page = await tab(context, server.url)
    await page.evaluate(
        """() => {
             window.left = new Map();
             const note = (what, by) => left.set(what, (left.get(what) ?? 0) + by);
             for (const [begin, end] of [["setInterval", "clearInterval"], ["setTimeout", "clearTimeout"]]) {
               const open = new Set();
               const [set, clear] = [window[begin], window[end]];
               window[begin] = (call, ms) => {
                 const id = set(() => { if (begin === "setTimeout") close(id); call(); }, ms);
                 open.add(id);
                 note(begin, 1);
                 return id;
               };
               const close = (id) => open.delete(id) && note(begin, -1);
               window[end] = (id) => { close(id); clear(id); };
             }
             const add = EventTarget.prototype.addEventListener;
             EventTarget.prototype.addEventListener = function (type, listener, options) {
               if (options?.signal) {
                 note(type, 1);
                 add.call(options.signal, "abort", () => note(type, -1));
               }
               return add.call(this, type, listener, options);
             };
           }"""
    )
    await follow(page)
    await page.wait_for_function(LIVE)
    await page.evaluate("hub.close()")
    await server.until_subscribers(0)
    await page.wait_for_function(
        """async () => {
             const { held, pending } = await navigator.locks.query();
             return [...held, ...pending].length === 0 && [...left.values()].every((count) => count === 0);
           }"""
    )
