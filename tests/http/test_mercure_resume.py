"""Resuming by the Mercure protocol, on every store."""

from __future__ import annotations

from typing import Any

import pytest
from eventually import eventually
from hubs import Server, serving
from mercures import PATH, follow, update, with_token
from redis_server import RedisServer
from sockets import get, raw
from tokens import SECRET

from sse_hub.core.events import EventId
from sse_hub.core.start import Start
from sse_hub.core.updates import draft, name_of
from sse_hub.http.app_keys import UPDATES


async def fill(server: Server) -> list[str]:
    """Five updates, of which the third is of another topic; their ids."""
    ids = ["one", "", "other", "", "five"]
    return [await update(server, "x" if id == "other" else "t", f"d{n}", id=id) for n, id in enumerate(ids, 1)]


async def test_after_a_known_id_all_that_was_accepted_later_comes_then_live_updates(store: str) -> None:
    """R3, R5, R9 and S9."""
    async with serving(store=store) as server:
        ids = await fill(server)
        for number in (0, 1, 2):  # a label, an id of the hub, and a label of a topic that is not followed
            async with follow(server, "t", {"Last-Event-ID": ids[number]}) as stream:
                assert stream.response.headers["Last-Event-ID"] == ids[number]
                assert stream.response.headers["Mercure-Last-Event-ID"] == ids[number]
                expected = [*(f"d{n}" for n in (2, 4, 5) if n > number + 1), *["live"] * number]
                assert [event.data for event in await stream.take(len(expected))] == expected
                await update(server, "t", "live")
                assert (await stream.next()).data == "live"


@pytest.mark.parametrize("name", ["lastEventID", "last_event_id", "Last-Event-ID"])
async def test_the_id_is_taken_from_each_spelling_of_the_parameter(server: Server, name: str) -> None:
    """R1."""
    await fill(server)
    async with follow(server, "t", None, **{name: "one"}) as stream:
        assert (await stream.next()).data == "d2"


async def test_of_several_ids_in_a_url_the_last_one_counts(server: Server) -> None:
    """R1. Polyfills of EventSource append the newest id to the URL that the page gave, at each reconnect."""
    ids = await fill(server)
    async with server.stream(f"/.well-known/mercure?topic=t&lastEventID=one&lastEventID={ids[3]}") as stream:
        assert (await stream.next()).data == "d5"


async def test_the_header_wins_over_the_query_and_an_empty_one_does_not_count(server: Server) -> None:
    """R1."""
    ids = await fill(server)
    async with follow(server, "t", {"Last-Event-ID": ids[3]}, lastEventID="one") as stream:
        assert (await stream.next()).data == "d5"
    async with follow(server, "t", {"Last-Event-ID": ""}, lastEventID=ids[3]) as stream:
        assert (await stream.next()).data == "d5"


async def test_without_an_id_only_live_updates_come_and_the_answer_names_none(server: Server) -> None:
    """S9."""
    await fill(server)
    async with follow(server, "t") as stream:
        assert "Last-Event-ID" not in stream.response.headers
        await update(server, "t", "live")
        assert (await stream.next()).data == "live"


@pytest.mark.parametrize(
    "id",
    [
        *("earliest", "unknown", "0-0", "1763949600123-0", name_of(EventId(1, 1)), "#é😀"),
        *("urn:uuid:ffffffff-ffff-8fff-bfff-ffffffffffff", "9" * 400, f"1-{1 << 70}"),
    ],
)
async def test_an_id_that_is_not_known_gives_everything_and_the_header_says_so(store: str, id: str) -> None:
    """R2, R4, R5 and R6."""
    async with serving(store=store) as server:
        await fill(server)
        async with follow(server, "t", lastEventID=id) as stream:
            assert stream.response.headers["Last-Event-ID"] == "earliest"
            assert [event.data for event in await stream.take(4)] == ["d1", "d2", "d4", "d5"]


async def test_an_id_that_was_used_twice_is_its_first_update_that_is_retained(store: str) -> None:
    """P7."""
    async with serving(store=store) as server:
        for number in range(3):
            await update(server, "t", f"d{number}", id="same")
        async with follow(server, "t", lastEventID="same") as stream:
            assert [event.data for event in await stream.take(2)] == ["d1", "d2"]


@pytest.mark.usefixtures("no_loop_debug")
@pytest.mark.parametrize("newer", [0, 1, 700, 2000, 2001])
async def test_an_id_of_thousands_of_updates_is_found_in_few_steps(newer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """P7."""
    searched: list[EventId | None] = []
    locate = Start.locate

    async def note(self: Start, *arguments: Any) -> Any:
        searched.append(self.cursor)
        return await locate(self, *arguments)

    monkeypatch.setattr(Start, "locate", note)
    async with serving(mercure_history=2000) as server:
        store = server.app[UPDATES].store
        await store.append([draft(["t"], str(number), label="same") for number in range(2000)])
        async with follow(server, "t", lastEventID="same") as stream:  # from now on, the hub knows what the id is
            assert (await stream.next()).data == "1"
        await store.append([draft(["t"], "newer")] * newer)
        searched.clear()
        async with follow(server, "t", lastEventID="same") as stream:
            assert (await stream.next()).data == (str(max(newer, 1)) if newer < 2000 else "newer")
            assert stream.response.headers["Last-Event-ID"] == ("same" if newer <= 2000 else "earliest")
        assert len(searched) < 15


async def test_an_id_that_is_gone_gives_what_is_left_and_the_header_says_so() -> None:
    """R6 and P7."""
    async with serving(mercure_history=3) as server:
        ids = await fill(server)
        for id in (ids[0], name_of(EventId(1, 0))):
            async with follow(server, "*", lastEventID=id) as stream:
                assert stream.response.headers["Last-Event-ID"] == "earliest"
                assert (await stream.next()).data == "d3"
        await update(server, "t", "d6", id="five")
        async with follow(server, "*", lastEventID="five") as stream:
            assert stream.response.headers["Last-Event-ID"] == "five"
            assert (await stream.next()).data == "d6"


async def test_a_restart_keeps_ids_labels_and_order(durable: str) -> None:
    """R3, R9 and S21."""
    async with serving(store=durable) as server:
        ids = await fill(server)
    async with serving(store=durable) as server:
        for id in ids[:2]:
            async with follow(server, "*", lastEventID=id) as stream:
                assert stream.response.headers["Last-Event-ID"] == id
                count = 4 - ids.index(id)
                assert [event.id for event in await stream.take(count)] == ids[-count:]


async def test_another_node_knows_ids_and_labels(redis_store: str) -> None:
    """R3 and R9."""
    async with serving(store=redis_store) as one, serving(store=redis_store) as two:
        async with follow(two, "t") as live:
            ids = await fill(one)
            assert [event.id for event in await live.take(4)] == [ids[0], ids[1], ids[3], ids[4]]
        async with follow(two, "t", lastEventID="one") as stream:
            assert stream.response.headers["Last-Event-ID"] == "one"
            assert (await stream.next()).data == "d2"


async def test_entries_of_other_programs_among_the_updates_in_redis_are_passed_over(shared_redis: RedisServer) -> None:
    store = f"{shared_redis.store}&prefix=updates&grace=0"
    async with serving(store=store) as server, follow(server, "*") as live:
        ids = [await update(server, "t", "before")]
        for fields in (("some", "thing"), ("n", "x"), ("c", "mercure", "t", "update", "d", "no JSON")):
            shared_redis.ask("XADD", "{updates}:mercure:events", "*", *fields)
        ids.append(await update(server, "t", "after"))
        assert [event.data for event in await live.take(2)] == ["before", "after"]
    async with serving(store=store) as server, follow(server, "*", lastEventID=ids[0]) as stream:
        assert stream.response.headers["Last-Event-ID"] == ids[0]
        assert (await stream.next()).data == "after"
        assert (await server.get("/health"))[1]["status"] == "ok"


async def test_a_loss_of_updates_is_reported_though_redis_has_evicted_its_floors(redis: RedisServer) -> None:
    """R5 and R6."""
    store = f"{redis.store}&grace=0"
    async with serving(store=store, mercure_history=2) as server:
        ids = await fill(server)

        async def trimmed() -> bool:
            return redis.ask("XLEN", "{sse-hub}:mercure:events") == b":2\r\n"

        await eventually(trimmed)
    redis.ask("DEL", "{sse-hub}:mercure:floors")
    async with serving(store=store, mercure_history=2) as server:
        for id, answered in ((ids[0], "earliest"), (ids[3], ids[3])):
            async with follow(server, "*", lastEventID=id) as stream:
                assert stream.response.headers["Last-Event-ID"] == answered


async def test_a_client_that_comes_back_with_a_lesser_token_gets_what_that_token_grants() -> None:
    """R3 and R7."""
    async with serving(jwt_key=SECRET, anonymous="subscribe") as server:
        publisher = with_token(publish=["*"])
        for number, private in enumerate([{}, {"private": "on"}, {}]):
            await update(server, "t", f"d{number}", headers=publisher, **private)
        async with follow(server, "t", with_token(subscribe=["t"]), lastEventID="earliest") as stream:
            assert stream.response.headers["Last-Event-ID"] == "earliest"
            assert [event.data for event in await stream.take(3)] == ["d0", "d1", "d2"]
        async with follow(server, "t", lastEventID="earliest") as stream:
            assert stream.response.headers["Last-Event-ID"] == "earliest"
            assert [event.data for event in await stream.take(2)] == ["d0", "d2"]


async def test_a_control_character_in_an_id_is_an_id_that_is_not_known(server: Server) -> None:
    """R2."""
    await fill(server)
    response, _ = await server.ask("HEAD", f"{PATH}?topic=t&lastEventID=a%0ab")
    assert response.status == 200
    async with follow(server, "t", lastEventID="a\nb") as stream:
        assert stream.response.headers["Last-Event-ID"] == "earliest"


async def test_an_id_in_the_header_may_be_raw_utf_8(server: Server) -> None:
    """R2."""
    await update(server, "t", "before", id='id-["é😀"]')
    await update(server, "t", "after")
    request = get(f"{PATH}?topic=t").replace(b"\r\n\r\n", '\r\nLast-Event-ID: id-["é😀"]\r\n\r\n'.encode(), 1)
    async with raw(server.port, request) as client:
        received = await client.until(b"data: after\n\n")
    assert 'Last-Event-ID: id-["é😀"]\r\n'.encode() in received
    assert b"data: before" not in received


async def test_a_subscriber_that_has_all_but_the_retained_updates_loses_nothing(store: str) -> None:
    """R10, for the number of updates: those of all topics count together."""
    async with serving(store=store, mercure_history=3) as server:
        ids = [await update(server, f"t{number}", f"d{number}") for number in range(5)]
        async with follow(server, "*", lastEventID=ids[1]) as stream:
            assert stream.response.headers["Last-Event-ID"] == ids[1]
            assert [event.data for event in await stream.take(3)] == ["d2", "d3", "d4"]


async def test_updates_are_retained_for_a_time_whatever_their_topics(store: str) -> None:
    """R10, for the age of updates."""
    async with serving(store=store, history_age=0.5) as server:
        ids = [await update(server, topic) for topic in ("a", "b")]

        async def lost() -> bool:
            async with follow(server, "*", lastEventID=ids[0]) as stream:
                return stream.response.headers["Last-Event-ID"] == "earliest"

        await eventually(lost)
        async with follow(server, "*", lastEventID="earliest") as stream:
            await update(server, "c", "new")
            assert (await stream.next()).data == "new"
