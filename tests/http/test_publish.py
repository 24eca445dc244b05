from __future__ import annotations

import asyncio
import json

import pytest
from conftest import Server, serving

NDJSON = {"Content-Type": "application/x-ndjson"}


async def retained(server: Server, channel: str) -> list[str]:
    _, said = await server.get(f"/api/channels/{channel}/events?limit=1000")
    return [event["data"] for event in said["events"]]


async def test_a_broadcast_is_published_with_message_and_timestamp_as_data(server: Server) -> None:
    async with server.stream() as stream:
        await stream.until("connected")
        message = {"message": {"ä": [1, None]}, "timestamp": "2026-11-24T12:00:00Z", "event": "note", "channel": "main"}
        response, said = await server.post("/api/broadcast", json=message)
        event = await stream.next()
        assert response.status == 200
        assert said == {"id": event.id, "channel": "main", "event": "note", "subscribers": 1}
        assert event.type == "note"
        assert event.data == '{"message":{"ä":[1,null]},"timestamp":"2026-11-24T12:00:00Z"}'


async def test_a_broadcast_goes_to_main_as_a_message_of_now_by_default(server: Server) -> None:
    _, said = await server.post("/api/broadcast", json={"message": "x"})
    assert (said["channel"], said["event"]) == ("main", "message")
    assert json.loads((await retained(server, "main"))[0])["timestamp"].endswith("Z")


async def test_a_broadcast_to_several_channels_is_answered_by_a_list(server: Server) -> None:
    _, said = await server.post("/api/broadcast", json={"message": "x", "channel": ["a", "b", "a"]})
    assert [each["channel"] for each in said] == ["a", "b"]
    assert said[0]["id"] != said[1]["id"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "no JSON"),
        ("[]", "object"),
        ("{}", "message is missing"),
        ('{"message":NaN}', "no JSON"),
        ('{"message":"x","colour":1}', "'colour'"),
        ('{"message":"x","timestamp":"yesterday"}', "ISO 8601"),
        ('{"message":"x","timestamp":12}', "ISO 8601"),
        ('{"message":"x","event":7}', "event name"),
        ('{"message":"x","event":"live"}', "hub's own"),
        ('{"message":"x","event":"a\\nb"}', "control character"),
        ('{"message":"x","event":"\\ud800"}', "event name"),
        ('{"message":"x","channel":[]}', "channel"),
        ('{"message":"x","channel":["a",1]}', "channel"),
        ('{"message":"x","channel":"a*"}', "no channel name"),
        ('{"message":' + "[" * 100_000 + "]" * 100_000 + "}", "nested"),
        ('{"message":' + "9" * 5000 + "}", "a number that JSON cannot say"),
    ],
)
async def test_a_malformed_broadcast_is_a_400_that_says_what_would_be_right(
    server: Server, body: str, said: str
) -> None:
    response, problem = await server.post("/api/broadcast", data=body, headers={"Content-Type": "application/json"})
    assert response.status == 400
    assert said in problem["detail"]
    assert server.hub.statistics().published == 0


async def test_a_broadcast_that_is_not_json_is_a_415(server: Server) -> None:
    response, problem = await server.post("/api/broadcast", data={"message": "x"})
    assert response.status == 415
    assert "application/json" in problem["detail"]


@pytest.mark.parametrize("data", ["x", "", " a\n\tb\n", "\x00", "öß🎉", '{"not": "parsed"}'])
async def test_the_body_is_the_data_as_it_stands(server: Server, data: str) -> None:
    response, said = await server.post("/realtime/c?event=t", data=data.encode())
    assert response.status == 200
    assert (said["channel"], said["event"]) == ("c", "t")
    assert await retained(server, "c") == [data]


async def test_a_batch_publishes_every_line_that_is_not_empty(server: Server) -> None:
    response, said = await server.post("/realtime/c", data=b'{"a":1}\r\n\n{"b":2}\n', headers=NDJSON)
    assert response.status == 200
    assert said["count"] == 2
    assert len(said["ids"]) == 2
    assert await retained(server, "c") == ['{"a":1}', '{"b":2}']


async def test_a_batch_that_breaks_off_publishes_nothing(server: Server) -> None:
    head = b"POST /realtime/c HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
    head += b"Content-Length: 99\r\n\r\na\nb\n"
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await server.get("/health")
    assert server.hub.statistics().published == 0


async def test_an_empty_batch_is_a_400(server: Server) -> None:
    assert (await server.post("/realtime/c", data=b"\n\n", headers=NDJSON))[0].status == 400


async def test_an_ephemeral_publish_has_no_id_and_is_not_retained(server: Server) -> None:
    _, said = await server.post("/realtime/c?ephemeral=1", data=b"x")
    assert said["id"] is None
    assert await retained(server, "c") == []


@pytest.mark.parametrize("query", ["event=connected", "event=", "event=a%0D%0Ab", "ephemeral=yes"])
async def test_a_malformed_publish_is_a_400(server: Server, query: str) -> None:
    assert (await server.post(f"/realtime/c?{query}", data=b"x"))[0].status == 400


async def test_a_body_that_is_not_utf_8_is_a_400_that_says_where(server: Server) -> None:
    response, problem = await server.post("/realtime/c", data=b"ab\xff")
    assert response.status == 400
    assert "byte 2" in problem["detail"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_a_413_that_names_the_limit(chunked: bool) -> None:
    async def pieces() -> object:
        yield b"x" * 60
        yield b"x" * 60

    async with serving(max_body=100) as server:
        data = pieces() if chunked else b"x" * 120
        response, problem = await server.post("/realtime/c", data=data)
        assert response.status == 413
        assert "100 bytes" in problem["detail"]


async def test_the_same_key_on_the_same_path_publishes_once_and_answers_alike(server: Server) -> None:
    key = {"Idempotency-Key": "k"}
    _, first = await server.post("/realtime/c", data=b"x", headers=key)
    _, second = await server.post("/realtime/c", data=b"y", headers=key)
    _, elsewhere = await server.post("/realtime/d", data=b"x", headers=key)
    assert first == second
    assert elsewhere["id"] != first["id"]
    assert await retained(server, "c") == ["x"]


async def test_the_same_key_at_once_publishes_once(server: Server) -> None:
    posts = [server.post("/realtime/c", data=b"x", headers={"Idempotency-Key": "k"}) for _ in range(10)]
    answers = [said for _, said in await asyncio.gather(*posts)]
    assert all(said == answers[0] for said in answers)
    assert await retained(server, "c") == ["x"]


async def test_a_key_of_more_than_256_characters_is_a_400(server: Server) -> None:
    response, problem = await server.post("/realtime/c", data=b"x", headers={"Idempotency-Key": "k" * 257})
    assert response.status == 400
    assert "256" in problem["detail"]


async def test_the_answer_counts_the_subscribers_of_the_channel(server: Server) -> None:
    async with server.stream("/realtime/c") as one, server.stream("/stream?channel=*") as other:
        await one.next()
        await other.next()
        _, said = await server.post("/realtime/c", data=b"x")
        assert said["subscribers"] == 2
