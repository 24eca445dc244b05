"""Runs: a channel that is written to its end, in order and exactly once."""

from __future__ import annotations

import asyncio
import gc
import json
import pickle
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from eventually import PATIENCE, eventually
from following import whole
from hubs import Server, mounted, serving
from network import Network
from scripted import scripted, status
from tokens import SECRET, mint

from sse_client import Ended, NotAcknowledged, Refused, Run, SSEClient
from sse_hub.core.rules import Rule

REASONS = ["done", "failed", "cancelled"]
ACKNOWLEDGED = '{"id":"1-0","channel":"c","event":"message","subscribers":0}'


@pytest.fixture
async def client(server: Server) -> AsyncIterator[SSEClient]:
    async with SSEClient(server.url) as client:
        yield client


async def text(client: SSEClient, channel: str = "c") -> tuple[list[str], str | None]:
    events, ended = await whole(client, channel)
    return [event.data for event in events], ended


# What is written


async def test_everything_that_was_written_comes_in_order_and_then_the_end(client: SSEClient) -> None:
    tokens = [f"token {number}" for number in range(100)]
    async with client.run("c") as run:
        for token in tokens:
            await run.write(token)
        assert run.ended is None
    assert run.ended == "done"
    assert await text(client) == (tokens, "done")


AWKWARD = ["", " ", "\n", "\n\n", "a\nb", "a\r", "\r\nb", "ü☃🎉", "data: x", ":", "\ufeff", "\x00", "", "end"]


async def test_a_text_arrives_as_it_stands_whatever_is_in_it(client: SSEClient) -> None:
    async with client.run("c") as run:
        for token in AWKWARD:
            await run.write(token)
    events = (await client.history("c")).events
    assert [event.data for event in events[:-1]] == AWKWARD


async def test_a_run_of_one_text_without_signs_has_that_and_its_end(client: SSEClient) -> None:
    async with client.run("c") as run:
        await run.write("")
    assert await text(client) == ([""], "done")


async def test_a_run_without_a_text_is_only_an_end(client: SSEClient) -> None:
    async with client.run("c"):
        pass
    assert await text(client) == ([], "done")


async def test_values_are_json_and_events_have_types_of_their_own(client: SSEClient) -> None:
    async with client.run("c", event="token") as run:
        await run.write("a")
        await run.write({"tool": "search", "n": [1, None]}, event="call")
        await run.write("b")
        await run.write(b"\xc3\xbc")
    events, _ = await whole(client, "c")
    assert [(event.type, event.data) for event in events] == [
        ("token", "a"),
        ("call", '{"tool":"search","n":[1,null]}'),
        ("token", "b"),
        ("token", "ü"),
    ]


@pytest.mark.parametrize("data", ["half \ud83d", float("nan"), b"\xff", object()])
async def test_data_that_cannot_be_published_is_an_error_at_once_and_the_run_goes_on(
    client: SSEClient, data: object
) -> None:
    async with client.run("c") as run:
        await run.write("a")
        with pytest.raises((ValueError, TypeError)):
            await run.write(data)
        await run.write("b")
    assert await text(client) == (["a", "b"], "done")


async def test_ten_thousand_tokens_as_fast_as_they_come_are_few_requests() -> None:
    tokens = [f"{number} " for number in range(10_000)]
    async with serving(history=20_000) as server, SSEClient(server.url) as client:
        async with client.run("c") as run:
            for token in tokens:
                await run.write(token)
        assert await text(client) == (tokens, "done")
        requests = await server.figure(
            'sse_http_requests_total{method="POST",route="/realtime/{channel}",status="200"}'
        )
        assert requests <= 40


@pytest.mark.usefixtures("no_loop_debug")
async def test_a_hundred_runs_at_once_are_each_whole(client: SSEClient) -> None:
    tokens = [f"token {number}" for number in range(50)]

    async def answer(number: int) -> None:
        async with client.run(f"chat.{number}") as run:
            for token in tokens:
                await run.write(token)
                await asyncio.sleep(random.uniform(0, 0.01))

    await asyncio.gather(*map(answer, range(100)))
    for number in range(100):
        assert await text(client, f"chat.{number}") == (tokens, "done")


async def test_two_tasks_may_write_to_a_run(client: SSEClient) -> None:
    async with client.run("c") as run:

        async def write(name: str) -> None:
            for number in range(200):
                await run.write(f"{name}{number}")
                await asyncio.sleep(0)

        await asyncio.gather(write("a"), write("b"))
    written, _ = await text(client)
    for name in "ab":
        assert [each for each in written if each[0] == name] == [f"{name}{number}" for number in range(200)]
    assert len(written) == 400


async def test_a_reader_sees_each_token_although_the_run_is_silent_after_it(client: SSEClient) -> None:
    async with client.channel("c") as stream, client.run("c") as run:
        for number in range(5):
            await run.write(f"{number}")
            assert (await anext(stream)).data == f"{number}"


async def test_flush_waits_until_everything_is_published(client: SSEClient) -> None:
    async with client.run("c") as run:
        await run.write("a")
        await run.write("b")
        await run.flush()
        assert [event.data for event in (await client.history("c")).events] == ["a", "b"]
        await run.flush()


async def test_flush_does_not_wait_for_what_others_write_meanwhile(client: SSEClient) -> None:
    async with client.run("c") as run, asyncio.timeout(PATIENCE):
        writing = asyncio.create_task(write_for_ever(run))
        for _ in range(3):
            await run.flush()
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


# How it ends


class Broken(Exception):
    pass


ERRORS = [(Broken, "failed"), (asyncio.CancelledError, "cancelled"), (SystemExit, "failed")]


@pytest.mark.parametrize(("error", "reason"), ERRORS, ids=lambda each: getattr(each, "__name__", each))
async def test_a_block_that_raises_ends_the_channel_after_what_it_has_written(
    client: SSEClient, error: type[BaseException], reason: str
) -> None:
    with pytest.raises(error):
        async with client.run("c") as run:
            await run.write("a")
            raise error
    assert run.ended == reason
    assert await text(client) == (["a"], reason)


async def test_a_task_that_is_cancelled_ends_the_channel_as_cancelled(client: SSEClient) -> None:
    async def answer() -> None:
        async with client.run("c") as run:
            await run.write("a")
            await asyncio.Event().wait()

    task = asyncio.create_task(answer())
    await eventually(lambda: exists(client, "c"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await text(client) == (["a"], "cancelled")


async def exists(client: SSEClient, channel: str) -> bool:
    return channel in [each.name for each in await client.channels()]


async def test_a_generator_that_is_closed_ends_the_channel_as_cancelled(client: SSEClient) -> None:
    async def answer() -> AsyncIterator[str]:
        async with client.run("c") as run:
            for token in "abc":
                await run.write(token)
                yield token

    generator = answer()
    assert await anext(generator) == "a"
    await generator.aclose()  # type: ignore[attr-defined]
    assert await text(client) == (["a"], "cancelled")


@pytest.mark.parametrize("reason", REASONS)
async def test_a_run_can_be_ended_before_its_block_is_left(client: SSEClient, reason: str) -> None:
    async with client.run("c", interrupt=True) as run:
        await run.write("a")
        await run.end(reason)
        with pytest.raises(Ended, match=reason):
            await run.write("b")
        with pytest.raises(Ended, match=reason):
            await run.end()
    assert await text(client) == (["a"], reason)


async def test_an_end_is_published_although_the_wait_for_it_was_cancelled(server: Server) -> None:
    async with Network(server.port) as network, SSEClient(network.url) as client:
        network.cut()
        async with client.run("c") as run:
            await run.write("a")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await run.end("failed")
            await network.mend()
        assert run.ended == "failed"
        assert await text(client) == (["a"], "failed")


async def test_a_run_works_without_a_block(client: SSEClient) -> None:
    run = client.run("c")
    await run.write("a")
    await run.end()
    assert await text(client) == (["a"], "done")


async def test_writing_after_the_block_says_that_the_channel_has_ended(client: SSEClient) -> None:
    async with client.run("c") as run:
        await run.write("a")
    with pytest.raises(Ended) as caught:
        await run.write("b")
    assert caught.value.reason == "done"
    assert await text(client) == (["a"], "done")


async def test_an_unknown_reason_is_an_error_that_names_those_there_are(client: SSEClient) -> None:
    async with client.run("c") as run:
        with pytest.raises(ValueError, match=r"'over' .* done, failed, cancelled"):
            await run.end("over")
    for wrong in (client.end("d", "over"), client.publish("a", channel="d", end="over")):
        with pytest.raises(ValueError, match="'over'"):
            await wrong


# Somebody else ends it


async def write_for_ever(run: Run, token: str = "a") -> None:
    while True:
        await run.write(token)
        await asyncio.sleep(0.001)


async def test_a_producer_is_stopped_by_its_next_write_with_the_reason(server: Server, client: SSEClient) -> None:
    async def stop() -> None:
        await eventually(lambda: exists(client, "c"))
        await server.post("/realtime/c?end=cancelled")

    stopping = asyncio.create_task(stop())
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(Ended) as caught:
            async with client.run("c") as run:
                await write_for_ever(run)
    await stopping
    assert (caught.value.reason, caught.value.status, run.ended) == ("cancelled", 409, "cancelled")
    assert "c has ended: cancelled" in str(caught.value)
    assert (await text(client))[1] == "cancelled"


async def test_a_block_that_does_not_write_any_more_learns_of_it_at_its_end(server: Server, client: SSEClient) -> None:
    with pytest.raises(Ended, match="cancelled"):
        async with client.run("c") as run:
            await run.write("a")
            await run.flush()
            await server.post("/realtime/c?end=cancelled")
    assert await text(client) == (["a"], "cancelled")


async def test_a_block_that_has_caught_it_does_not_get_it_again(server: Server, client: SSEClient) -> None:
    await server.hub.end("c", "cancelled")
    async with asyncio.timeout(PATIENCE), client.run("c") as run:
        with pytest.raises(Ended):
            await write_for_ever(run)


async def test_an_error_of_the_block_is_not_hidden_by_the_end(server: Server, client: SSEClient) -> None:
    await server.hub.end("c", "cancelled")
    with pytest.raises(Broken):
        async with client.run("c") as run:
            await run.write("a")
            raise Broken


async def test_a_channel_that_has_ended_before_takes_nothing_until_it_is_forgotten(client: SSEClient) -> None:
    await client.publish("old", channel="c", end="failed")
    with pytest.raises(Ended, match="failed"):
        async with client.run("c") as run:
            await run.write("a")
    await client.forget("c")
    async with client.run("c") as run:
        await run.write("new")
    assert await text(client) == (["new"], "done")


async def test_a_run_that_is_silent_for_too_long_is_abandoned() -> None:
    async with serving(rules=(Rule(match="c", idle_end=0.2),)) as server, SSEClient(server.url) as client:
        with pytest.raises(Ended, match="abandoned"):
            async with client.run("c", interrupt=True) as run:
                await run.write("a")
                await asyncio.sleep(PATIENCE)


# interrupt=True


async def test_a_block_that_waits_is_interrupted_as_soon_as_somebody_ends_the_channel(
    server: Server, client: SSEClient
) -> None:
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(Ended) as caught:
            async with client.run("c", interrupt=True) as run:
                await run.write("a")
                await server.until_subscribers(1)
                await server.hub.end("c", "cancelled")
                await asyncio.Event().wait()
    assert (caught.value.reason, run.ended) == ("cancelled", "cancelled")
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await server.until_subscribers(0)


async def test_an_interruption_that_comes_too_late_for_the_block_is_that_of_the_run(
    server: Server, client: SSEClient
) -> None:
    with pytest.raises(Ended, match="cancelled"):
        async with client.run("c", interrupt=True) as run:
            await server.until_subscribers(1)
            await server.hub.end("c", "cancelled")
            while run.ended is None:  # without a wait that could be interrupted
                try:
                    await asyncio.sleep(0.001)
                except asyncio.CancelledError:
                    break
    await asyncio.sleep(0)


async def test_a_task_that_is_cancelled_by_somebody_else_stays_cancelled(server: Server, client: SSEClient) -> None:
    async def answer() -> None:
        async with client.run("c", interrupt=True):
            task = asyncio.current_task()
            assert task is not None
            await server.until_subscribers(1)
            await server.hub.end("c", "cancelled")
            try:
                await asyncio.Event().wait()
            finally:
                task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(answer())


async def test_without_the_right_to_follow_an_interruption_says_so() -> None:
    async with serving(jwt_key=SECRET) as server:
        async with SSEClient(server.url, token=mint(publish=["*"])) as client, asyncio.timeout(PATIENCE):
            with pytest.raises(Refused) as caught:
                async with client.run("c", interrupt=True):
                    await asyncio.Event().wait()
    assert caught.value.status == 403


# A hub that is slow, away, or refuses


async def test_a_slow_hub_gets_larger_batches_and_holds_back_the_producer() -> None:
    batches: list[int] = []
    release = asyncio.Event()
    most = 0

    async def publish(request: web.Request) -> web.Response:
        nonlocal most
        body = await request.text()
        most = max(most, written - sum(batches))
        batches.append(len(body.splitlines()))
        if len(batches) == 1:
            await release.wait()
        ids = {"ids": ["1-0", "2-0"]} if len(batches) > 1 else {"id": "1-0"}
        return web.json_response({**ids, "channel": "c", "event": "message", "subscribers": 0})

    app = web.Application()
    app.add_routes([web.post("/realtime/c", publish)])
    written = 0

    async def produce(client: SSEClient) -> None:
        nonlocal written
        async with client.run("c") as run:
            for _ in range(5000):
                await run.write("x")
                written += 1
                await asyncio.sleep(0)

    async with mounted(app) as url, SSEClient(url) as client:
        producing = asyncio.create_task(produce(client))
        await eventually(lambda: written == 2000)
        release.set()
        await producing
    assert sum(batches) == 5000
    assert max(batches) == 500
    assert most <= 2000


async def test_a_write_that_is_cancelled_while_it_waits_has_written_nothing(server: Server) -> None:
    async with Network(server.port) as network, SSEClient(network.url) as client:
        network.cut()
        run = client.run("c")
        count = 0
        with pytest.raises(TimeoutError):
            while True:
                async with asyncio.timeout(0.1):
                    await run.write(f"{count}")
                count += 1
        await network.mend()
        await run.write("the last")
        await run.end()
        written, ended = await text(client)
    assert (written[-2:], ended) == ([f"{count - 1}", "the last"], "done")


async def test_passing_faults_lose_and_double_nothing(server: Server) -> None:
    """Answers are lost, connections cut and reset, while a run is written."""
    tokens = [f"token {number}" for number in range(300)]

    async def disturb(network: Network) -> None:
        while True:
            network.lose_answers = 1
            await asyncio.sleep(0.1)
            network.reset()
            await asyncio.sleep(0.05)
            await network.mend()
            await asyncio.sleep(0.1)

    async with Network(server.port) as network, SSEClient(network.url) as client:
        disturbing = asyncio.create_task(disturb(network))
        async with client.run("c") as run:
            for token in tokens:
                await run.write(token)
                await asyncio.sleep(0.005)
            disturbing.cancel()
            await asyncio.gather(disturbing, return_exceptions=True)
            await network.mend()
            network.lose_answers = 2
    async with SSEClient(server.url) as client:
        assert await text(client) == (tokens, "done")


async def test_503_is_tried_again() -> None:
    busy = status(503, "Retry-After: 0\r\n")
    fine = status(200, "Content-Type: application/json\r\n", ACKNOWLEDGED)
    async with scripted(busy, busy, fine, busy, fine) as server, SSEClient(server.url.rstrip("/")) as client:
        async with client.run("c") as run:
            await run.write("a")
            await run.flush()
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert keys[0] == keys[1] == keys[2] != keys[3] == keys[4]
    assert [request.body for request in server.requests] == [b"a"] * 3 + [b""] * 2


async def test_a_redirect_is_refused_and_names_the_new_place() -> None:
    moved = status(302, "Location: https://hub.example.org/realtime/c\r\n")
    async with scripted(moved, moved) as server, SSEClient(server.url.rstrip("/")) as client:
        with pytest.raises(Refused, match=r"moved to https://hub\.example\.org"):
            async with client.run("c") as run:
                await write_for_ever(run)
    assert [request.method for request in server.requests] == ["POST", "POST"]


async def test_a_run_that_was_not_acknowledged_in_time_says_so_and_ends_as_failed() -> None:
    async with serving() as server, Network(server.port) as network, SSEClient(network.url) as client:
        network.reset()
        with pytest.raises(NotAcknowledged):
            async with client.run("c", deadline=0.3) as run:
                await run.write("a")
                with pytest.raises(NotAcknowledged):
                    await run.flush()
                await network.mend()
                await run.write("b")
        assert (await text(client))[1] == "failed"


async def test_a_text_larger_than_the_hub_takes_fails_the_run_and_says_why(client: SSEClient) -> None:
    with pytest.raises(Refused, match="larger than") as caught:
        async with client.run("c") as run:
            await run.write("a")
            await run.write("x" * (2 << 20))
            await run.write("b")
    assert caught.value.status == 413
    assert await text(client) == (["a"], "failed")


async def test_a_hub_that_takes_only_small_batches_gets_them() -> None:
    tokens = [f"{number}" for number in range(1000)]
    async with serving(max_batch=70, history=2000) as server, SSEClient(server.url) as client:
        async with client.run("c") as run:
            for token in tokens:
                await run.write(token)
        assert await text(client) == (tokens, "done")
        assert await client.publish_many(tokens, channel="d") == 1000
        assert [event.data for event in (await client.history("d", limit=1000)).events] == tokens


async def test_a_token_function_that_fails_in_the_middle_is_a_passing_fault(server: Server) -> None:
    calls = 0

    def token() -> str:
        nonlocal calls
        calls += 1
        if 1 < calls < 4:
            raise LookupError("away")
        return "a"

    async with SSEClient(server.url, token=token) as client:
        async with client.run("c") as run:
            for letter in "abc":
                await run.write(letter)
                await run.flush()
        assert await text(client) == (["a", "b", "c"], "done")


async def test_an_end_that_cannot_be_published_does_not_hide_the_error_of_the_block(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with SSEClient("http://127.0.0.1:9") as client:
        with pytest.raises(Broken):
            async with client.run("c", deadline=0.2) as run:
                await run.write("a")
                raise Broken
    assert "the end (failed) could not be published" in caplog.text


async def test_a_run_leaves_no_task_behind(client: SSEClient, server: Server) -> None:
    before = len(asyncio.all_tasks())
    for number in range(20):
        async with client.run(f"c{number}", interrupt=True) as run:
            await run.write("a")
    gc.collect()
    await server.until_subscribers(0)
    await eventually(lambda: len(asyncio.all_tasks()) <= before + 1)


# Ends without a run


async def test_a_channel_is_ended_and_forgotten_by_the_client(client: SSEClient) -> None:
    await client.publish("a", channel="c")
    published = await client.end("c", "failed")
    assert (published.event, published.channel) == ("end", "c")
    assert await text(client) == (["a"], "failed")
    for late in (
        client.publish("b", channel="c"),
        client.publish_many(["b", "c"], channel="c"),
        client.broadcast("b", channel="c"),
        client.end("c"),
    ):
        with pytest.raises(Ended) as caught:
            await late
        assert caught.value.reason == "failed"
    await client.forget("c")
    assert (await client.history("c")).events == []
    await client.publish("new", channel="c")


async def test_an_event_ends_its_channel_in_the_same_step(client: SSEClient) -> None:
    await client.publish({"total": 42}, channel="c", event="result", end="done")
    events, ended = await whole(client, "c")
    assert ([(event.type, event.json()) for event in events], ended) == ([("result", {"total": 42})], "done")
    with pytest.raises(ValueError, match="empty"):
        await client.publish("", channel="d", end="done")


def test_an_ended_channel_can_be_told_to_another_process() -> None:
    error = Ended("http://h/realtime/c", 409, {"detail": "It has ended.", "reason": "cancelled"})
    copy: Any = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.reason, str(copy)) == (Ended, "cancelled", str(error))


async def test_a_409_that_is_not_of_a_hub_is_no_end() -> None:
    conflict = status(409, "Content-Type: application/json\r\n", json.dumps({"error": "conflict"}))
    async with scripted(conflict) as server, SSEClient(server.url.rstrip("/")) as client:
        with pytest.raises(Refused) as caught:
            await client.publish("a")
    assert not isinstance(caught.value, Ended)


# Where a reader begins


async def test_a_reader_begins_at_the_start_or_with_the_newest_values(client: SSEClient) -> None:
    for value in "abc":
        await client.publish(value, channel="s.1")
    await client.publish("d", channel="s.2")
    async with client.stream("s.*", from_start=True) as stream:
        assert [(await anext(stream)).data for _ in range(4)] == ["a", "b", "c", "d"]
    async with client.stream("s.*", replay="latest") as stream:
        assert [(await anext(stream)).data for _ in range(2)] == ["c", "d"]


async def test_a_reader_of_values_gets_the_newest_once_in_an_interval(client: SSEClient) -> None:
    async with client.channel("c", conflate=0.2) as stream:
        await client.publish_many([f"{number}" for number in range(100)], channel="c")
        received = []
        while "99" not in received:
            received.append((await anext(stream)).data)
    assert len(received) <= 3
