"""The Mercure protocol against hostile fields, and after a killed process."""

from __future__ import annotations

import asyncio
import re

import aiohttp
from hubs import Remote, serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mercures import follow, publish, update, with_token
from programs import Start
from tokens import SECRET

EXAMPLES = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SPECIAL = ":{}*%&=;#\u2028"
TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(SPECIAL + "\r\n\0\u200b"), max_size=12)
LINE = st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs"]) | st.sampled_from(SPECIAL), max_size=12)


@EXAMPLES
@given(
    topic=LINE.map("t{}".format),
    data=TEXT,
    id=LINE.filter(lambda label: not label.startswith("#")),
    type=LINE,
    retry=st.from_regex("[0-9]{0,15}", fullmatch=True),
)
def test_an_update_is_one_event_as_it_was_published(topic: str, data: str, id: str, type: str, retry: str) -> None:
    """P9, S13 and S22."""

    async def check() -> None:
        async with serving() as server, follow(server, "*") as stream:
            status, answer = await publish(server, topic, data, id=id, type=type, retry=retry)
            assert status == 200
            last = await update(server, "t", "last")
            event = await stream.next()
            assert event.id == answer == (id or answer)
            assert event.type == (type or "message")
            assert event.data == re.sub("\r\n|\r", "\n", data)
            assert (await stream.next()).id == last

    asyncio.run(check())


@EXAMPLES
@given(
    field=st.sampled_from(["topic", "id", "type"]),
    before=TEXT,
    character=st.sampled_from("\r\n\0\x85\u200b"),
    after=TEXT,
)
def test_a_field_with_a_control_character_is_refused_and_leaves_nothing_on_the_stream(
    field: str, before: str, character: str, after: str
) -> None:
    """P9 and S22."""

    async def check() -> None:
        async with serving() as server, follow(server, "*") as stream:
            fields = {"topic": "t", field: before + character + after}
            status, answer = await publish(server, fields.pop("topic"), "data", **fields)
            assert status == 400
            assert '"detail"' in answer
            last = await update(server, "t", "last")
            assert (await stream.next()).id == last

    asyncio.run(check())


@EXAMPLES
@given(st.lists(LINE | TEXT, min_size=1, max_size=3))
def test_a_selector_is_followed_unless_it_has_a_control_character(selectors: list[str]) -> None:
    """S1 to S3."""

    async def check() -> None:
        async with serving() as server:
            query = [("topic", selector) for selector in [*selectors, "last"]]
            async with server.client.get(f"{server.url}/.well-known/mercure", params=query) as response:
                controls = any(re.search("[\0-\x1f\x7f-\x9f]", selector) for selector in selectors)
                assert response.status == (400 if controls else 200)

    asyncio.run(check())


async def test_a_killed_server_keeps_ids_labels_privacy_and_order(program: Start, durable: str) -> None:
    """P1, R3, R5 and S21, after kill -9."""
    token = with_token(publish=["*"], subscribe=["*"])
    killed = program("--store", durable, "--no-demo", "--jwt-key", SECRET)
    async with aiohttp.ClientSession() as client:
        hub = Remote(killed.url, client)
        await update(hub, "t", "0", headers=token, id="label")
        ids = [
            await update(hub, "t", "1", headers=token, private="on"),
            await update(hub, "t", "2", headers=token, id="urn:x:2"),
        ]
        killed.process.kill()
        await asyncio.to_thread(killed.process.wait)
    async with serving(store=durable, jwt_key=SECRET, anonymous="subscribe") as server:
        async with follow(server, "t", token, lastEventID="label") as stream:
            assert stream.response.headers["Last-Event-ID"] == "label"
            received = await stream.take(2)
            assert [(event.id, event.data) for event in received] == list(zip(ids, ["1", "2"], strict=True))
        async with follow(server, "t", lastEventID="label") as anonymous:
            assert (await anonymous.next()).data == "2"
