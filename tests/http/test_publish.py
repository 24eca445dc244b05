"""The two ways to publish over HTTP, and batches."""

from __future__ import annotations

import asyncio
import json
import time
from ipaddress import ip_network
from urllib.parse import quote

import pytest
from eventually import eventually
from hubs import NDJSON, Server, serving
from sockets import raw
from tokens import SECRET, bearer

from sse_hub.http.app_keys import BUDGET


async def test_a_broadcast_is_published_with_message_and_timestamp_as_data(server: Server) -> None:
    async with server.stream() as stream:
        await stream.until("connected")
        message = {"message": {"ä": [1, None]}, "timestamp": "2026-11-24T12:00:00Z", "event": "note", "channel": "main"}
        response, answered = await server.post("/api/broadcast", json=message)
        event = await stream.next()
        assert response.status == 200
        assert answered == {"id": event.id, "channel": "main", "event": "note", "subscribers": 1}
        assert event.type == "note"
        assert event.data == '{"message":{"ä":[1,null]},"timestamp":"2026-11-24T12:00:00Z"}'


async def test_a_broadcast_goes_to_main_as_a_message_of_now_by_default(server: Server) -> None:
    _, answer = await server.post("/api/broadcast", json={"message": "x"})
    assert (answer["channel"], answer["event"]) == ("main", "message")
    assert json.loads((await server.retained("main"))[0])["timestamp"].endswith("Z")


async def test_a_broadcast_to_several_channels_is_answered_by_a_list(server: Server) -> None:
    _, answered = await server.post("/api/broadcast", json={"message": "x", "channel": ["a", "b", "a"]})
    assert [each["channel"] for each in answered] == ["a", "b"]
    assert answered[0]["id"] != answered[1]["id"]


@pytest.mark.parametrize(
    ("body", "answered"),
    [
        ("", "not JSON"),
        ("[]", "object"),
        ("{}", "message is missing"),
        ('{"message":NaN}', "not JSON"),
        ('{"message":"x","colour":1}', "'colour'"),
        ('{"message":"x","timestamp":"yesterday"}', "ISO 8601"),
        ('{"message":"x","timestamp":12}', "ISO 8601"),
        ('{"message":"x","event":7}', "event name"),
        ('{"message":"x","event":"live"}', "hub's own"),
        ('{"message":"x","event":"a\\nb"}', "control character"),
        ('{"message":"x","event":"\\ud800"}', "event name"),
        ('{"message":"\\ud800"', "not JSON"),
        ('{"message":"\\ud83c\\udf89"', "not JSON"),
        ('{"message":"x","channel":"\\ud800"}', "not a channel name"),
        ('{"message":"x","channel":[]}', "a channel name or a list of at least one"),
        ('{"message":"x","channel":["a",1]}', "a channel name or a list of at least one"),
        ('{"message":"x","channel":"a*"}', "not a channel name"),
        ('{"message":' + "[" * 100_000 + "]" * 100_000 + "}", "nested"),
        ('{"message":' + "9" * 5000 + "}", "a number that is too large for JSON"),
    ],
)
async def test_a_malformed_broadcast_is_a_400_that_says_what_would_be_right(
    server: Server, body: str, answered: str
) -> None:
    response, problem = await server.post("/api/broadcast", data=body, headers={"Content-Type": "application/json"})
    assert response.status == 400
    assert answered in problem["detail"]
    assert server.hub.statistics().published == 0


@pytest.mark.parametrize(
    ("written", "published"),
    [
        (r"\ud83c\udf89", "🎉"),
        (r"\uD83C\uDF89", "🎉"),
        (r"\ud83c", "?"),
        (r"\udf89x", "?x"),
        (r"\ud83c\ud83c\udf89", "?🎉"),
        (r"\udf89\ud83c", "??"),
        (r"\\ud83c\udf89", "\\ud83c?"),
        (r"\\\ud83c\n\ue000", "\\?\n\ue000"),
        (r"\\" * 5000 + r"ud83c\ud83c", "\\" * 5000 + "ud83c?"),
        (r"\ud83c" * 3000, "?" * 3000),
    ],
    ids=range(10),
)
@pytest.mark.parametrize("items", [0, 50_000])
async def test_half_an_emoji_becomes_a_question_mark(server: Server, written: str, published: str, items: int) -> None:
    body = '{"message":[' + "[]," * items + f'"{written}"' + "]}"
    response, _ = await server.post("/api/broadcast", data=body, headers={"Content-Type": "application/json"})
    assert response.status == 200
    (data,) = await server.retained("main")
    assert json.loads(data)["message"] == [[]] * items + [published]


@pytest.mark.parametrize("shift", range(24))
async def test_halves_are_found_wherever_a_long_message_is_cut_to_be_searched(server: Server, shift: int) -> None:
    message = "x" * (99_976 + shift) + r"\ud83c\udf89\ud83c"  # slices of 100,000 characters
    body = f'{{"message":"{message}"}}'
    response, _ = await server.post("/api/broadcast", data=body, headers={"Content-Type": "application/json"})
    assert response.status == 200
    (data,) = await server.retained("main")
    assert json.loads(data)["message"] == "x" * (99_976 + shift) + "🎉?"


async def test_a_broadcast_that_is_not_json_is_a_415(server: Server) -> None:
    response, problem = await server.post("/api/broadcast", data={"message": "x"})
    assert response.status == 415
    assert "application/json" in problem["detail"]


@pytest.mark.parametrize("data", ["x", "", " a\n\tb\n", "\x00", "öß🎉", '{"not": "parsed"}'])
async def test_the_body_is_the_data_as_it_stands(server: Server, data: str) -> None:
    response, answered = await server.post("/realtime/c?event=t", data=data.encode())
    assert response.status == 200
    assert (answered["channel"], answered["event"]) == ("c", "t")
    assert await server.retained("c") == [data]


async def test_a_batch_publishes_every_line_that_is_not_empty(server: Server) -> None:
    response, answered = await server.post("/realtime/c", data=b'{"a":1}\r\n\n{"b":2}\n', headers=NDJSON)
    assert response.status == 200
    assert answered["count"] == 2
    assert len(answered["ids"]) == 2
    assert await server.retained("c") == ['{"a":1}', '{"b":2}']


async def test_a_batch_that_breaks_off_publishes_nothing(server: Server) -> None:
    head = b"POST /realtime/c HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: 99\r\n\r\n"
    async with raw(server.port, head + b"a\nb\n") as client:
        await eventually(lambda: server.app[BUDGET].bytes == len("a\nb\n"))
        await client.close()
    await eventually(lambda: server.app[BUDGET].bytes == 0)
    assert server.hub.statistics().published == 0


async def test_an_empty_batch_is_a_400(server: Server) -> None:
    assert (await server.post("/realtime/c", data=b"\n\n", headers=NDJSON))[0].status == 400


async def test_an_ephemeral_publish_has_no_id_and_is_not_retained(server: Server) -> None:
    _, answered = await server.post("/realtime/c?ephemeral=1", data=b"x")
    assert answered["id"] is None
    assert await server.retained("c") == []


@pytest.mark.parametrize("query", ["event=connected", "event=", "event=a%0D%0Ab", "ephemeral=yes"])
async def test_a_malformed_publish_is_a_400(server: Server, query: str) -> None:
    assert (await server.post(f"/realtime/c?{query}", data=b"x"))[0].status == 400


async def test_the_answer_counts_the_subscribers_of_the_channel(server: Server) -> None:
    async with server.stream("/realtime/c") as one, server.stream("/stream?channel=*") as other:
        await one.next()
        await other.next()
        _, answered = await server.post("/realtime/c", data=b"x")
        assert answered["subscribers"] == 2


PROXY = {"trusted_proxies": (ip_network("127.0.0.1"),)}


async def test_a_publisher_that_is_too_fast_gets_429_and_the_time_to_wait() -> None:
    async with serving(publish_rate=0.01) as server:
        assert await server.status("/realtime/main", "POST", data="x") == 200
        response, problem = await server.post("/realtime/main", data="x")
        assert response.status == 429
        assert 0 < int(response.headers["Retry-After"]) <= 100
        assert "--publish-rate" in problem["detail"]
        assert await server.hits("publish_rate") == 1


async def test_the_rate_is_that_of_a_token_from_any_address() -> None:
    async with serving(publish_rate=0.1, jwt_key=SECRET, **PROXY) as server:
        statuses = []
        for name, address in (("anna", "192.0.2.1"), ("anna", "192.0.2.2"), ("ben", "192.0.2.1")):
            headers = bearer((), ["*"], sub=name) | {"X-Forwarded-For": address}
            statuses.append((await server.post("/realtime/main", data="x", headers=headers))[0].status)
        assert statuses == [200, 429, 200]


async def test_every_event_of_a_batch_counts_for_the_publish_rate() -> None:
    async with serving(publish_rate=1) as server:
        headers = {"Content-Type": "application/x-ndjson"}
        assert (await server.post("/realtime/main", data="x\n" * 100, headers=headers))[0].status == 200
        assert (await server.post("/realtime/main", data="x"))[0].status == 429


async def test_a_body_has_to_arrive_in_time() -> None:
    async with serving(request_timeout=1) as server:
        request = b"POST /realtime/main HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nslow"
        async with raw(server.port, request) as client:
            answer = await client.until(b"--request-timeout")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert await server.hits("request_time") == 1


def keep_busy(seconds: float) -> None:
    """Let the event loop do nothing else."""
    time.sleep(seconds)


async def test_a_body_that_is_late_in_the_turn_in_which_others_need_its_room_disturbs_nobody() -> None:
    async with serving(request_timeout=0.5, max_in_flight=100) as server:
        budget = server.app[BUDGET]
        async with raw(server.port, b"POST /realtime/main HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\n") as late:
            late.send(b"x" * 80)
            await eventually(lambda: budget.bytes == 80)
            keep_busy(0.5)  # until the body is late
            await asyncio.sleep(0)  # the body's time limit comes after this task in the next turn
            await asyncio.sleep(0)
            with budget.reserve() as other:
                other.add(50)
                assert budget.bytes == 50
            await late.until(b"\r\n\r\n")
            assert late.received.split()[1] in {b"408", b"503"}


@pytest.mark.parametrize("name", ["a{b}", "{", "}{", "100%", "é", "a&b=c#d", "{channel}"])
async def test_every_allowed_name_can_be_used_in_every_path(server: Server, name: str) -> None:
    channel = quote(name, safe="")
    async with server.stream(f"/realtime/{channel}") as stream:
        await stream.until("connected")
        assert await server.status(f"/realtime/{channel}", "POST", data=b"x") == 200
        assert (await stream.next()).data == "x"
    assert await server.retained(channel) == ["x"]
    assert await server.status(f"/realtime/{channel}", "DELETE") == 204
    assert await server.retained(channel) == []
