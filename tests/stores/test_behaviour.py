"""The common behaviour of all stores. Memory, SQLite and Redis run the same tests."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from eventually import PATIENCE, eventually
from hubs import JSON, NDJSON, Server, serving
from sockets import crowd, get, raw
from tokens import SECRET, bearer

from sse_hub.core.events import Draft, EventId
from sse_hub.core.ports import IdempotentStore


async def until_retained(server: Server, channel: str, data: list[str], after: str = "") -> None:
    """Wait until a channel retains these events; a store may trim it once a second."""

    async def reached() -> bool:
        return await server.retained(channel, after) == data

    await eventually(reached)


async def test_every_answered_id_is_published_in_the_order_of_ids(store: str) -> None:
    async with serving(store=store) as server, server.stream("/stream?channel=*") as stream:
        await stream.until("connected")
        posts = [server.post(f"/realtime/c{n % 3}", data=str(n).encode()) for n in range(60)]
        answers = [answer["id"] for _, answer in await asyncio.gather(*posts)]
        events = [await stream.next() for _ in answers]
        assert sorted(answers) == sorted(event.id for event in events)
        ids = [EventId.parse(event.id) for event in events]
        assert ids == sorted(set(ids))


async def test_the_data_come_back_byte_for_byte(store: str) -> None:
    texts = ["", " a\n\tb\n", "x\x00y", "öß🎉", '{"not": "parsed"}', "z" * 200_000]
    async with serving(store=store) as server:
        for text in texts:
            await server.post("/realtime/c", data=text.encode())
        assert await server.retained("c") == texts


async def test_requests_as_browsers_send_them_get_the_replay_and_later_events(store: str) -> None:
    async with serving(store=store, cache=0) as server:
        asking = {"Accept": "text/event-stream"}
        start = str(server.hub.log.head)
        await server.hub.publish("a", channel="main")
        async with (
            server.stream("/realtime/main?replay=1", asking) as replayed,
            server.stream("/realtime/main", asking | {"Last-Event-ID": start}) as resumed,
        ):
            for stream in (replayed, resumed):
                assert [event.data for event in (await stream.until_data("a"))[1:]] == ["a"]
            await server.hub.publish("b", channel="main")
            for stream in (replayed, resumed):
                await stream.until_data("b")


async def test_hundreds_of_streams_that_come_at_once_are_all_opened(store: str) -> None:
    async with serving(store=store, max_subscribers_per_address=500) as server:
        await server.hub.publish("a", channel="main")
        again = get("/realtime/main?replay=1", Accept="text/event-stream")
        async with crowd(server.port, 400, again) as clients:
            await asyncio.gather(*(client.until(b"event: live") for client in clients))
            assert all(b"data: a" in client.received for client in clients)


async def test_a_lone_surrogate_is_published_as_the_question_mark_that_it_is_on_the_wire(store: str) -> None:
    body = b'{"message":"\\ud800"}'
    async with serving(store=store) as server, server.stream() as stream:
        await stream.until("connected")
        response, _ = await server.post("/api/broadcast", data=body, headers={"Content-Type": "application/json"})
        assert response.status == 200
        assert (await stream.next()).json()["message"] == "?"


async def test_a_batch_is_published_whole_and_in_order(store: str) -> None:
    lines = [str(number) for number in range(300)]
    async with serving(store=store) as server:
        _, answer = await server.post("/realtime/c", data="\n".join(lines).encode(), headers=NDJSON)
        assert answer["count"] == 300
        assert EventId.parse(answer["ids"][0]) < EventId.parse(answer["ids"][1])
        assert await server.retained("c") == lines


async def test_an_ephemeral_event_reaches_connected_subscribers_and_is_not_retained(store: str) -> None:
    async with serving(store=store) as server, server.stream("/realtime/c") as stream:
        connected = await stream.next()
        _, answer = await server.post("/realtime/c?ephemeral=1", data=b"now")
        event = await stream.next()
        assert (answer["id"], event.data, event.id) == (None, "now", connected.id)
        assert await server.retained("c") == []


async def test_a_stream_continues_after_its_cursor_and_a_replay_has_as_many_events_as_asked(store: str) -> None:
    async with serving(store=store) as server:
        ids = [str(await server.hub.publish(str(number))) for number in range(5)]
        async with server.stream(headers={"Last-Event-ID": ids[2]}) as stream:
            connected, *events = await stream.until("live")
            assert connected.json()["resumed"] is True
            assert [event.data for event in events] == ["3", "4", '{"replayed":2}']
        async with server.stream("/stream?replay=2") as stream:
            assert [event.data for event in (await stream.until("live"))[1:-1]] == ["3", "4"]
        async with server.stream("/stream?replay=9") as stream:
            assert [event.data for event in (await stream.until("live"))[1:-1]] == list("01234")


@pytest.mark.parametrize(
    "cursor",
    [
        "1-0",
        "99999999999999-0",
        "nonsense",
        "9223372036854775808-0",
        "1-99999999999999999999",
        "18446744073709551615-1",
    ],
)
async def test_a_cursor_that_this_hub_has_not_issued_is_reported_as_a_loss(store: str, cursor: str) -> None:
    async with serving(store=store) as server:
        await server.hub.publish("a")
        async with server.stream(headers={"Last-Event-ID": cursor}) as stream:
            connected, *events = await stream.until("live")
            assert (connected.json()["lost"], connected.json()["resumed"]) == (True, False)
            assert [event.data for event in events[:-1]] == ["a"]


async def test_the_history_is_counted_by_channel_and_a_loss_is_reported_to_that_channel_only(store: str) -> None:
    async with serving(store=store, history=3) as server:
        first = await server.hub.publish("kept", channel="quiet")
        ids = [await server.hub.publish(str(number), channel="busy") for number in range(10)]
        await until_retained(server, "busy", ["7", "8", "9"], after=str(first))
        for path, cursor, lost in (
            ("/realtime/quiet", str(first), False),
            ("/realtime/busy", str(ids[5]), True),
            ("/realtime/busy", str(ids[6]), False),
            ("/stream?channel=busy&channel=quiet", str(ids[5]), True),
            ("/stream?channel=*", str(ids[6]), False),
        ):
            async with server.stream(path, {"Last-Event-ID": cursor}) as stream:
                connected, *events = await stream.until("live")
                assert (connected.json()["lost"], path, cursor) == (lost, path, cursor)
                if "busy" in path or "*" in path:
                    assert [event.data for event in events[:-1] if event.data != "kept"] == ["7", "8", "9"]


async def test_an_event_that_is_too_old_goes_and_its_loss_is_reported(store: str) -> None:
    async with serving(store=store, history_age=1.0) as server:
        start = str(server.hub.log.head)
        last = await server.hub.publish("a")
        await until_retained(server, "main", [], after=start)
        async with server.stream(headers={"Last-Event-ID": start}) as stream:
            connected, *events = await stream.until("live")
            assert (connected.json()["lost"], len(events)) == (True, 1)
        async with server.stream(headers={"Last-Event-ID": str(last)}) as stream:
            assert (await stream.next()).json()["lost"] is False


async def test_the_same_key_publishes_once_and_answers_alike(store: str) -> None:
    async with serving(store=store) as server:
        key = {"Idempotency-Key": "k"}
        posts = [server.post("/realtime/c", data=b"x", headers=key) for _ in range(10)]
        answers = [answer for _, answer in await asyncio.gather(*posts)]
        assert all(answer == answers[0] for answer in answers)
        assert await server.retained("c") == ["x"]
        _, elsewhere = await server.post("/realtime/d", data=b"x", headers=key)
        assert elsewhere["id"] != answers[0]["id"]


async def test_an_application_publishes_and_gets_the_events_back(store: str) -> None:
    async with serving(store=store) as server:
        events = await server.hub.publish_all(
            [Draft("c", "t", "a"), Draft("c", "t", "b", ephemeral=True), Draft("d", "t", "c")]
        )
        assert [event.data for event in events] == ["a", "b", "c"]
        assert [event.id is None for event in events] == [False, True, False]


async def test_health_names_the_store_and_never_its_address(store: str) -> None:
    async with serving(store=store) as server:
        response, answer = await server.get("/health")
        assert (response.status, answer["status"]) == (200, "ok")
        kind, _, address = store.partition(":")
        assert answer["store"] == kind
        assert not address or address not in str(answer)


async def test_each_subscriber_gets_each_event_once_through_reconnects_while_publishing_never_pauses(
    store: str,
) -> None:
    total = 300
    published: list[str] = []

    async def publish() -> None:
        for number in range(total):
            published.append(str(await server.hub.publish(str(number))))
            await asyncio.sleep(0)  # a turn for the others; a store in memory never waits

    async def follow(client: int, cursor: str) -> list[str]:
        got: list[str] = []
        while len(got) < total:
            async with server.stream(headers={"Last-Event-ID": cursor}) as stream:
                assert (await stream.next()).json()["lost"] is False
                for _ in range(10 + 17 * client):
                    event = await stream.next()
                    if event.type == "message":
                        got.append(cursor := event.id)
                    if len(got) == total:
                        break
        return got

    async with serving(store=store, cache=20) as server, asyncio.TaskGroup() as tasks:
        start = str(server.hub.log.head)
        followers = [tasks.create_task(follow(client, start)) for client in range(5)]
        tasks.create_task(publish())
    assert all(follower.result() == published for follower in followers)


@pytest.mark.parametrize(
    "first",
    [
        ("/realtime/c?event=tick", b"x", {}),
        ("/realtime/c?event=tick", b"x\ny\nz", NDJSON),
        ("/realtime/c?end=done", b"x", {}),
        ("/api/broadcast", b'{"message": 1, "channel": ["a", "b"], "event": "tick"}', JSON),
    ],
    ids=["one", "batch", "end", "broadcast"],
)
async def test_a_key_that_is_repeated_after_a_restart_with_another_body_gets_the_first_answer(
    durable: str, first: tuple[str, bytes, dict[str, str]]
) -> None:
    path, data, headers = first
    key = {"Idempotency-Key": "k"}
    async with serving(store=durable) as server:
        answered, answer = await server.post(path, data=data, headers=headers | key)
        assert answered.status == 200
    others = [(path, b"z", {}), (path, b"1\n2", NDJSON)]
    if headers == JSON:
        others = [
            (path, f'{{"message": 2, "channel": {names}}}'.encode(), JSON) for names in ('"c"', '["b", "c", "d"]')
        ]
    for path, data, headers in others:
        async with serving(store=durable) as server:
            assert (await server.post(path, data=data, headers=headers | key))[1] == answer
            assert await server.retained("d") == []


async def test_a_restart_keeps_events_cursors_and_keys_and_goes_on_counting(durable: str) -> None:
    async with serving(store=durable) as server:
        ids = [str(await server.hub.publish(str(number))) for number in range(3)]
        _, keyed = await server.post("/realtime/main", data=b"3", headers={"Idempotency-Key": "k"})
    async with serving(store=durable) as server:
        assert server.hub.statistics().published == 0
        _, again = await server.post("/realtime/main", data=b"4", headers={"Idempotency-Key": "k"})
        assert again == keyed
        assert await server.retained("main") == ["0", "1", "2", "3"]
        async with server.stream(headers={"Last-Event-ID": ids[0]}) as stream:
            connected, *events = await stream.until("live")
            assert (connected.json()["lost"], [event.data for event in events[:-1]]) == (False, ["1", "2", "3"])
            later = await server.hub.publish("5")
            assert later is not None
            assert later > EventId.parse(keyed["id"])
            assert (await stream.next()).data == "5"


@pytest.mark.usefixtures("no_loop_debug")
async def test_events_that_the_log_no_longer_has_are_read_from_the_store_without_gap_or_duplicate(durable: str) -> None:
    async with serving(store=durable, cache=10, history=5000) as server:
        start = str(server.hub.log.head)
        lines = "\n".join(f"{number} {'x' * 100}" for number in range(3000))
        await server.post("/realtime/c", data=lines.encode(), headers=NDJSON)
        await server.post("/realtime/other", data=lines.encode(), headers=NDJSON)
        for path in ("/realtime/c", "/stream?channel=c&channel=none", "/stream?channel=c*"):
            async with server.stream(path, {"Last-Event-ID": start}) as stream:
                assert (await stream.next()).json()["lost"] is False
                for number in range(3000):
                    assert (await stream.next()).data.startswith(f"{number} ")
                assert (await stream.next()).data == '{"replayed":3000}'
        assert server.hub.statistics().retained == 20
        async with server.stream("/realtime/c?replay=500") as stream:
            events = await stream.until("live")
            assert [event.data.split()[0] for event in events[1:-1]] == [str(n) for n in range(2500, 3000)]
        async with server.stream("/stream?channel=*&event=none&replay=5") as stream:
            assert [event.type for event in await stream.until("live")] == ["connected", "live"]
        _, answer = await server.get("/api/channels/c/events", params={"after": start, "limit": "1000"})
        assert [event["data"].split()[0] for event in answer["events"]] == [str(n) for n in range(1000)]
        assert answer["lost"] is False


@pytest.mark.parametrize("id", ["9223372036854775808-0", "99999999999999999999-99999999999999999999"])
async def test_an_id_of_more_than_63_bits_is_an_unknown_id(store: str, id: str) -> None:
    async with serving(store=store) as server:
        response, problem = await server.get("/api/channels/c/events", params={"after": id})
        assert (response.status, "not an event id" in problem["detail"]) == (400, True)


async def test_a_history_read_while_events_are_published_has_no_hole(store: str) -> None:
    async with serving(store=store, history=100_000, cache=10) as server:
        stop = asyncio.Event()

        async def publish() -> None:
            number = 0
            while not stop.is_set():
                lines = "\n".join(map(str, range(number, number + 20)))
                once = NDJSON | {"Idempotency-Key": str(number)}  # a busy Redis may answer after the hub's patience
                if await server.status("/realtime/c", "POST", data=lines, headers=once) == 200:
                    number += 20

        async def read() -> Any:
            response, answer = await server.get("/api/channels/c/events", params={"limit": "1000", "after": after})
            return answer if response.status == 200 else None

        publishing = asyncio.create_task(publish())
        try:
            after, seen = str(server.hub.log.head), 0
            while seen < 1000:
                answer = await eventually(read)
                assert answer["lost"] is False
                assert [event["data"] for event in answer["events"]] == [
                    str(n) for n in range(seen, seen + len(answer["events"]))
                ]
                if len(answer["events"]) > 900:
                    after, seen = answer["events"][-1]["id"], seen + len(answer["events"])
        finally:
            stop.set()
            await publishing


async def test_a_history_reports_the_same_losses_as_a_stream(store: str) -> None:
    async with serving(store=store, history_age=1.0) as server:
        start = str(server.hub.log.head)
        await server.hub.publish("gone", channel="c")

        async def forgotten() -> bool:
            return not (await server.get("/api/channels"))[1]["channels"]

        await eventually(forgotten, 3 * PATIENCE)
        async with server.stream("/realtime/c", {"Last-Event-ID": start}) as stream:
            assert (await stream.next()).json()["lost"] is True
        for after, lost in ((start, True), ("99999999999999-0", True), (str(server.hub.log.head), False)):
            _, answer = await server.get("/api/channels/c/events", params={"after": after})
            assert (answer["events"], answer["lost"]) == ([], lost)


async def test_a_history_of_large_events_comes_in_parts(store: str) -> None:
    async with serving(store=store) as server:
        for number in range(5):
            await server.post("/realtime/c", data=str(number) * 600_000)
        data, after = [], ""
        while True:
            _, answer = await server.get("/api/channels/c/events", params={"after": after} if after else {})
            data += [event["data"][0] for event in answer["events"]]
            assert len(answer["events"]) <= 3
            if "next" not in answer:
                break
            after = answer["next"]
        assert data == list("01234")


async def test_channels_are_listed_with_their_events_in_the_store(durable: str) -> None:
    async with serving(store=durable) as server:
        ids = [str(await server.hub.publish(str(number), channel="busy")) for number in range(5)]
        await server.hub.publish("x", channel="other")
    async with serving(store=durable, cache=2) as server, server.stream("/realtime/followed") as stream:
        await stream.next()
        _, answer = await server.get("/api/channels")
        listed = {each.pop("name"): each for each in answer["channels"]}
        assert sorted(listed) == ["busy", "followed", "other"]
        assert listed["busy"] == {"subscribers": 0, "events": 5, "first": ids[0], "last": ids[4]}
        assert listed["followed"] == {"subscribers": 1, "events": 0, "first": None, "last": None}


async def test_a_loss_on_several_channels_brings_no_event_again_that_the_client_has(store: str) -> None:
    async with serving(store=store, history=2) as server:
        await server.hub.publish("has", channel="quiet")
        cursor = await server.hub.publish("has too", channel="busy")
        for number in range(5):
            await server.hub.publish(str(number), channel="busy")
        await until_retained(server, "busy", ["3", "4"])
        async with server.stream("/stream?channel=quiet&channel=busy", {"Last-Event-ID": str(cursor)}) as stream:
            connected, *events = await stream.until("live")
            assert (connected.json()["lost"], [event.data for event in events[:-1]]) == (True, ["3", "4"])


@pytest.mark.usefixtures("no_loop_debug")
async def test_large_batches_that_come_at_once_are_published_unbroken_one_after_the_other(store: str) -> None:
    lines = [str(number) for number in range(9_000)]
    async with serving(store=store, history=20_000, cache=20_000) as server, server.stream("/realtime/c") as stream:
        await stream.next()
        batches = [server.post("/realtime/c", data="\n".join(lines), headers=NDJSON) for _ in range(2)]
        single = [server.post("/realtime/c", data=b"single") for _ in range(5)]
        answers = await asyncio.gather(*batches, *single)
        assert {response.status for response, _ in answers} == {200}
        events = [await stream.next() for _ in range(18_005)]
        data = [event.data for event in events]
        begins = [place for place, each in enumerate(data) if each == "0"]
        assert [data[begin : begin + 9_000] for begin in begins] == [lines, lines]
        assert data.count("single") == 5
        assert [event.id for event in events] == sorted((event.id for event in events), key=EventId.parse)


async def test_a_batch_above_the_limit_is_refused_whole(store: str) -> None:
    async with serving(store=store, max_batch=3) as server:
        response, problem = await server.post("/realtime/c", data=b"1\n2\n\n3\n4\n", headers=NDJSON)
        assert response.status == 413
        assert problem["detail"] == "The batch has more than 3 events; one batch may have 3 (--max-batch)."
        assert (await server.post("/realtime/c", data=b"1\n\n\n2\r\n\r\n3", headers=NDJSON))[0].status == 200
        assert await server.retained("c") == ["1", "2", "3"]


async def test_identities_do_not_share_idempotency_keys(store: str) -> None:
    async with serving(store=store, jwt_key=SECRET) as server:
        pairs = [("bob", "eve 1"), ("bob eve", "1"), (None, "1"), ("token 1", "1")]
        answers = []
        for subject, key in pairs:
            claims = {} if subject is None else {"sub": subject}
            headers = bearer([], ["c"], **claims) | {"Idempotency-Key": key}
            answers.append((await server.post("/realtime/c", data=b"x", headers=headers))[1]["id"])
        # Another token without a subject is another identity.
        headers = bearer([], ["c"], lasts=1800) | {"Idempotency-Key": "1"}
        answers.append((await server.post("/realtime/c", data=b"x", headers=headers))[1]["id"])
        assert len(set(answers)) == 5


async def test_a_key_that_is_not_utf8_is_a_key_of_its_own_and_troubles_no_other_publish(store: str) -> None:
    keys = [b"caf\xe9", b"caf\xe8", b"caf\xe9"]
    async with serving(store=store) as server, AsyncExitStack() as clients:
        requests = [
            b"POST /realtime/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n%b\r\n%d" % (line, number)
            for number, line in enumerate([*(b"Idempotency-Key: %b\r\n" % key for key in keys), *[b""] * 5])
        ]
        opened = [await clients.enter_async_context(raw(server.port, request)) for request in requests]
        answers = [await client.until(b'"subscribers"') for client in opened]
        assert {answer.split()[1] for answer in answers} == {b"200"}
        assert len(await server.retained("c")) == 7


async def test_a_key_of_the_release_before_is_known(durable: str) -> None:
    async with serving(store=durable) as server:
        store = server.hub.store
        assert isinstance(store, IdempotentStore)
        (id,), _ = await store.append_once('["/realtime/main","","k"]', [Draft("main", "message", "x")], "[3]")
        _, answer = await server.post("/realtime/main", data=b"y", headers={"Idempotency-Key": "k"})
        assert answer == {"id": str(id), "channel": "main", "event": "message", "subscribers": 3}
        assert await server.retained("main") == ["x"]
