"""What comes over a stream: ids that begin anew, ends, losses, and functions of the user that throw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hubs import Server, remote, serving
from playwright.async_api import BrowserContext, Page, Route, expect
from programs import Start, skip
from scripted import held, scripted, status, stream
from sockets import crowd, get
from tabs import LIVE, follow, follow_more, got, reached, tab


def event(id: str, data: str = "", channel: str = "main") -> str:
    text = json.dumps({"id": id, "channel": channel, "event": "message", "data": data or id, "timestamp": "2026"})
    return f"id: {id}\ndata: {text}\n\n"


def connected(id: str, *, lost: bool = False) -> str:
    text = json.dumps({"channels": ["main"], "resumed": not lost, "lost": lost})
    return f"retry: 20\nid: {id}\nevent: connected\ndata: {text}\n\n"


def end(id: str, reason: str, channel: str = "main") -> str:
    return f"id: {id}\nevent: end\ndata: {json.dumps({'channel': channel, 'reason': reason})}\n\n"


# Ids that begin anew


async def test_after_an_announced_change_of_the_ids_the_filter_begins_anew(
    context: BrowserContext, server: Server
) -> None:
    first = stream(connected("100-0"), event("200-0"))
    second = stream(connected("50-0", lost=True), event("60-0"))
    third = held(connected("60-0"), event("61-0"))
    async with scripted(first, second, third) as hub:
        page = await follow(await tab(context, server.url), hub=hub.url)
        await got(page, "200-0", "60-0", "61-0")
        assert await page.evaluate("losses") == [{"after": "200-0", "next": "50-0"}]
        assert "lastEventId=60-0" in hub.requests[2].path


async def test_a_loss_of_the_same_ids_brings_no_event_again(context: BrowserContext, server: Server) -> None:
    first = stream(connected("100-0"), event("200-0"))
    second = held(connected("200-0", lost=True), event("200-0", "again"), event("300-0"))
    async with scripted(first, second) as hub:
        page = await follow(await tab(context, server.url), hub=hub.url)
        await got(page, "200-0", "300-0")
        assert await page.evaluate("losses.length") == 1


async def test_a_hub_that_is_restarted_with_a_clock_an_hour_behind_is_followed(
    context: BrowserContext, program: Start, unused_tcp_port: int
) -> None:
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        skip("faketime is missing: apt-get install faketime")
    arguments = ("--port", str(unused_tcp_port), "--no-demo", "--retry", "100", "--loop", "asyncio")
    hub = program(*arguments)
    tabs = [await follow(await tab(context, hub.url)) for _ in range(2)]
    async with remote(hub.url) as client:
        for page in tabs:
            await page.wait_for_function(LIVE)
        await client.post("/realtime/main", data="before")
        for page in tabs:
            await got(page, "before")
        hub.end()
        program(*arguments, LD_PRELOAD=str(library), FAKETIME="-1h", FAKETIME_DONT_FAKE_MONOTONIC="1")
        for page in tabs:
            await page.wait_for_function("losses.length > 0")
            await page.wait_for_function(LIVE)
        await client.post("/realtime/main", data="after")
        for page in tabs:
            await got(page, "before", "after")


# Ends


async def test_the_end_of_a_channel_is_told_and_nothing_is_asked_for_again(
    context: BrowserContext, server: Server
) -> None:
    async with scripted(stream(connected("1-0"), event("2-0"), end("3-0", "done"))) as hub:
        page = await follow(await tab(context, server.url), hub=hub.url)
        assert (await reached(page, "ended"))["reason"] == "done"
        assert await page.evaluate("ends") == [{"channel": "main", "reason": "done", "id": "3-0"}]
        await got(page, "2-0")
        await page.evaluate("hub.cut()")
        assert len(hub.requests) == 1


async def test_the_end_of_one_of_several_channels_leaves_the_others(context: BrowserContext, server: Server) -> None:
    first = held(connected("1-0"), end("3-0", "failed", "job"), event("4-0", channel="chat"))
    async with scripted(first, held(connected("4-0"), event("5-0", channel="chat"))) as hub:
        page = await follow(await tab(context, server.url), "job", "chat", hub=hub.url)
        await got(page, "4-0", "5-0")
        assert await page.evaluate("ends") == [{"channel": "job", "reason": "failed", "id": "3-0"}]
        assert await page.evaluate("states.at(-1).name") != "ended"
        assert "channel=job" not in hub.requests[1].path


async def test_an_end_in_an_envelope_is_one(context: BrowserContext, server: Server) -> None:
    text = json.dumps({"channel": "main", "reason": "cancelled"})
    wrapped = json.dumps({"id": "3-0", "channel": "main", "event": "end", "data": text, "timestamp": "2026"})
    async with scripted(stream(connected("1-0"), f"id: 3-0\ndata: {wrapped}\n\n")) as hub:
        page = await follow(await tab(context, server.url), hub=hub.url)
        assert (await reached(page, "ended"))["reason"] == "cancelled"


async def test_a_204_says_that_nothing_more_will_come(context: BrowserContext, server: Server) -> None:
    async with scripted(status(204)) as hub:
        page = await follow(await tab(context, server.url), hub=hub.url)
        await reached(page, "ended")
        assert await page.evaluate("ends") == [{"channel": "main", "reason": None, "id": None}]
        assert len(hub.requests) == 1


# Where a following begins


@pytest.mark.parametrize(
    ("start", "query"),
    [
        ({"replay": 5}, "replay=5"),
        ({"replay": "latest"}, "replay=latest"),
        ({"from": "start"}, "from=start"),
        ({"after": "7-0"}, "lastEventId=7-0"),
    ],
)
async def test_the_beginning_of_a_following_is_asked_for_when_the_shared_stream_is_there(
    context: BrowserContext, server: Server, start: dict[str, object], query: str
) -> None:
    live = "event: live\ndata: {}\n\n"
    past = held(connected("7-0"), event("8-0"), event("9-0"), live)
    async with scripted(held(connected("8-0"), event("9-0"), event("10-0")), past) as hub:
        page = await follow(await tab(context, server.url), hub=hub.url, start=start)
        await got(page, "8-0", "9-0", "10-0")
        assert query in hub.requests[1].path
        assert query not in hub.requests[0].path


async def test_conflated_channels_have_a_stream_of_their_own(context: BrowserContext, server: Server) -> None:
    async with scripted(held(connected("1-0")), held(connected("1-0"), event("2-0"))) as hub:
        page = await follow(await tab(context, server.url), hub=hub.url, start={"conflate": 250})
        await follow_more(page, "plain", "main")
        await page.wait_for_function("hub.streams.length === 2")
        paths = sorted("conflate=250" in request.path for request in hub.requests)
        assert paths == [False, True]


async def test_a_beginning_that_makes_no_sense_is_refused_with_what_would(
    context: BrowserContext, server: Server
) -> None:
    page = await follow(await tab(context, server.url))
    error = await page.evaluate(
        '() => { try { hub.follow("a", {}, { replay: 1, from: "start" }); } catch (error) { return String(error); } }'
    )
    assert error == "TypeError: Only one of replay, from and after can be given: each says where a following begins."


async def test_a_channel_that_is_added_brings_nothing_older_than_the_wish_for_it(
    context: BrowserContext, server: Server
) -> None:
    page = await follow(await tab(context, server.url), "quiet")
    await page.wait_for_function(LIVE)
    await server.hub.publish("old", channel="busy")
    await follow_more(page, "busy", "busy")
    await page.wait_for_function('hub.streams[0]?.channels.includes("busy") && hub.streams[0].state.name === "live"')
    await server.hub.publish("new", channel="busy")
    await got(page, "new", name="busy")


async def test_an_event_that_two_streams_bring_comes_once(context: BrowserContext, server: Server) -> None:
    names = [f"x{n:03}" for n in range(99)]
    page = await follow(await tab(context, server.url), "a.*", *names)
    await follow_more(page, "other", "*.b", "y1", "y2")
    await server.until_subscribers(2)
    await page.wait_for_function(LIVE)
    for n in range(50):
        await server.hub.publish(str(n), channel="a.b")
    for name in ("got", "other"):
        await got(page, *(str(n) for n in range(50)), name=name)


# Users' functions


async def test_a_listener_that_throws_costs_nobody_an_event_and_is_reported(
    context: BrowserContext, server: Server
) -> None:
    page = await tab(context, server.url)
    await page.evaluate("() => { window.errors = []; onerror = (message) => { errors.push(message); return true; }; }")
    await follow(page)
    await page.evaluate(
        """() => hub.follow(["main"], {
             event: () => { throw new Error("of the user"); }, state: () => { throw new Error("of the user"); },
           })"""
    )
    await page.wait_for_function(LIVE)
    for data in "abc":
        await server.hub.publish(data)
    await got(page, "a", "b", "c")
    assert all("of the user" in each for each in await page.evaluate("errors"))
    assert await page.evaluate("errors.length") >= 4


async def test_a_token_that_cannot_be_had_is_asked_for_again(context: BrowserContext, server: Server) -> None:
    page = await follow(await tab(context, server.url), token="fails")
    assert (await reached(page, "waiting"))["reason"] == "no token"
    await page.wait_for_function('states.filter(({ name }) => name === "connecting").length > 1')


async def test_a_token_that_never_comes_is_given_up(context: BrowserContext, server: Server) -> None:
    page = await follow(await tab(context, server.url), token="never", silence=0.2)
    await page.wait_for_function('states.filter(({ name }) => name === "connecting").length > 1')


# What there is to know


async def test_a_page_can_show_what_there_is_to_know_of_a_stream(context: BrowserContext, server: Server) -> None:
    page = await follow(await tab(context, server.url), start={"raw": True})
    await page.wait_for_function(LIVE)
    await page.evaluate(
        """() => {
             window.bytes = null;
             hub.follow("main", { event: ({ raw }) => { bytes = new TextDecoder().decode(raw); } }, { raw: true });
           }"""
    )
    id = await server.hub.publish("größer")
    await page.wait_for_function("bytes !== null")
    assert (await page.evaluate("bytes")).startswith(f'id: {id}\ndata: {{"id":"{id}","channel":"main"')
    await page.wait_for_function("cursor => hub.streams[0]?.cursor === cursor", arg=str(id))
    facts = await page.evaluate("hub.streams[0]")
    assert (facts["status"], facts["state"]["name"], facts["attempts"]) == (200, "live", 1)
    assert dict(facts["headers"])["content-type"].startswith("text/event-stream")
    assert 1500 <= facts["retry"] <= 4500
    assert facts["bytes"] > 100
    assert facts["url"].endswith("/stream?channel=main&envelope=1")


async def test_the_progress_of_a_replay_is_told(context: BrowserContext, server: Server) -> None:
    for n in range(30):
        await server.hub.publish(str(n))
    page = await follow(await tab(context, server.url), start={"replay": 20})
    await page.wait_for_function(LIVE)
    assert await page.evaluate('states.findLast(({ name }) => name === "catching")') == {
        "name": "catching",
        "replayed": 20,
        "expected": 20,
    }


async def test_the_page_offers_every_channel_of_a_hub_that_has_many(page: Page, server: Server) -> None:
    for n in range(1100):
        await server.hub.publish("a", channel=f"c{n:04}")
    await page.goto(server.url)
    await expect(page.locator('#channels option[value="c1099"]')).to_have_count(1)


@pytest.mark.usefixtures("no_loop_debug")
async def test_the_page_counts_every_subscriber_of_a_hub_that_has_many(page: Page) -> None:
    async with serving(max_subscribers_per_address=2000) as server, crowd(server.port, 1100, get("/stream")):
        await server.until_subscribers(1100)
        await page.goto(f"{server.url}/#view=figures")
        await expect(page.locator("#more-subscribers")).to_have_text("and 901 more")


async def test_what_comes_and_ends_between_the_connection_and_the_replay_comes_once(
    server: Server, context: BrowserContext
) -> None:
    async def publish_first(route: Route) -> None:
        await server.hub.publish("a", channel="run")
        await server.hub.end("run")
        await route.continue_()

    page = await tab(context, server.url)
    await page.route("**/stream?*replay=10*", publish_first)
    await follow(page, "run", start={"replay": 10})
    await reached(page, "ended")
    assert await page.evaluate("[got, ends.map(({ channel, reason }) => [channel, reason])]") == [
        ["a"],
        [["run", "done"]],
    ]
