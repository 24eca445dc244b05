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
TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\r\n\0:{}*%&=;#\u2028\u200b"), max_size=12)


@EXAMPLES
@given(topic=TEXT, data=TEXT, id=TEXT, type=TEXT, retry=TEXT)
def test_no_byte_reaches_a_subscriber_that_was_not_published(
    topic: str, data: str, id: str, type: str, retry: str
) -> None:
    """P9, S13 and S22: a refused update leaves nothing on the stream, and an accepted one is one event."""

    async def check() -> None:
        async with serving() as server, follow(server, "*") as stream:
            status, answer = await publish(server, topic, data, id=id, type=type, retry=retry)
            last = await update(server, "t", "last")
            if status == 200:
                event = await stream.next()
                assert event.id == answer
                assert not id or answer == id
                assert event.type == (type or "message")
                assert event.data == re.sub("\r\n|\r", "\n", data)
            else:
                assert status == 400
                assert '"detail"' in answer
            assert (await stream.next()).id == last

    asyncio.run(check())


@EXAMPLES
@given(st.lists(TEXT, min_size=1, max_size=3))
def test_any_selector_is_followed_or_refused_and_gets_no_other_topic(selectors: list[str]) -> None:
    """S1 to S3: a selector is any string without control characters."""

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
