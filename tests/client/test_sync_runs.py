"""Runs without `await`: in threads, in processes that are forked, and where the token is a function."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest
from forks import in_a_child
from hubs import Server
from programs import Program, fetch, free_port

from sse_client import Ended, NotAcknowledged, SSEClient, SyncClient

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

TOKENS = [f"token {number}" for number in range(200)]


def whole(client: SyncClient, channel: str = "c") -> tuple[list[str], str | None]:
    """What a late reader gets, and how the channel has ended."""
    with client.channel(channel, from_start=True) as stream:
        return [event.data for event in stream], stream.ended


def test_everything_that_was_written_comes_in_order_and_then_the_end(client: SyncClient) -> None:
    with client.run("c") as run:
        for token in TOKENS:
            run.write(token)
        run.flush()
        assert (run.channel, run.ended) == ("c", None)
    assert run.ended == "done"
    assert whole(client) == (TOKENS, "done")


def test_values_are_json_and_events_have_types_of_their_own(client: SyncClient) -> None:
    with client.run("c", event="token") as run:
        run.write("a")
        run.write({"n": 1}, event="call")
    with client.channel("c", from_start=True) as stream:
        assert [(event.type, event.data) for event in stream] == [("token", "a"), ("call", '{"n":1}')]


class Broken(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "reason"), [(Broken, "failed"), (KeyboardInterrupt, "cancelled"), (SystemExit, "failed")]
)
def test_a_block_that_raises_ends_the_channel_after_what_it_has_written(
    client: SyncClient, error: type[BaseException], reason: str
) -> None:
    with pytest.raises(error):
        with client.run("c") as run:
            run.write("a")
            raise error
    assert whole(client) == (["a"], reason)


def test_ctrl_c_ends_the_channel_as_cancelled(client: SyncClient) -> None:
    with pytest.raises(KeyboardInterrupt):
        with client.run("c") as run:
            run.write("a")
            os.kill(os.getpid(), signal.SIGINT)
            while True:
                run.write("b")
    written, ended = whole(client)
    assert (written[0], ended) == ("a", "cancelled")


def test_a_generator_that_is_closed_ends_the_channel_as_cancelled(client: SyncClient) -> None:
    def answer() -> Iterator[str]:
        with client.run("c") as run:
            for token in "abc":
                run.write(token)
                yield token

    generator = answer()
    assert next(generator) == "a"
    generator.close()  # type: ignore[attr-defined]
    assert whole(client) == (["a"], "cancelled")


def test_a_producer_is_stopped_by_its_next_write_with_the_reason(client: SyncClient, hub: Program) -> None:
    with pytest.raises(Ended) as caught:
        with client.run("c") as run:
            run.write("a")
            run.flush()
            assert fetch(f"{hub.url}/realtime/c?end=cancelled", b"").status == 200
            while True:
                run.write("b")
    assert caught.value.reason == run.ended == "cancelled"
    assert whole(client) == (["a"], "cancelled")


def test_a_run_can_be_ended_before_its_block_is_left(client: SyncClient) -> None:
    with client.run("c") as run:
        run.write("a")
        run.end("failed")
    assert whole(client) == (["a"], "failed")


def test_a_channel_is_ended_and_forgotten(client: SyncClient) -> None:
    client.publish("a", channel="c", end="done")
    with pytest.raises(Ended, match="done"):
        client.end("c")
    client.forget("c")
    client.publish("b", channel="c")
    client.end("c", "failed")
    assert whole(client) == (["b"], "failed")


def test_a_run_goes_on_after_its_client_was_closed_between_two_writes(client: SyncClient) -> None:
    with client.run("c") as run:
        run.write("a")
        run.flush()
        run.write("b")
        run.flush()
        client.close()
        for token in TOKENS:
            run.write(token)
        run.flush()
    assert whole(client) == (["a", "b", *TOKENS], "done")


def test_ten_threads_write_runs_of_their_own_with_one_client(client: SyncClient) -> None:
    def answer(number: int) -> None:
        with client.run(f"c{number}") as run:
            for token in TOKENS:
                run.write(token)

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [whole(client, f"c{number}") for number in range(10)] == [(TOKENS, "done")] * 10


def test_two_threads_may_write_to_one_run(client: SyncClient) -> None:
    with client.run("c") as run:

        def write(name: str) -> None:
            for number in range(100):
                run.write(f"{name}{number}")

        threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    written, _ = whole(client)
    for name in "ab":
        assert [each for each in written if each[0] == name] == [f"{name}{number}" for number in range(100)]


def test_a_client_of_the_parent_writes_a_run_in_a_child(client: SyncClient) -> None:
    client.publish("before", channel="other")

    def answer() -> None:
        with client.run("c") as run:
            for token in TOKENS:
                run.write(token)

    assert in_a_child(answer) == 0
    assert whole(client) == (TOKENS, "done")


def test_a_child_neither_writes_nor_ends_the_run_of_its_parent(client: SyncClient) -> None:
    def leave() -> None:
        with pytest.raises(RuntimeError, match="another process"):
            run.write("of the child")
        run.__exit__(None, None, None)

    with client.run("c") as run:
        run.write("a")
        assert in_a_child(leave) == 0
        run.write("b")
    assert whole(client) == (["a", "b"], "done")


def test_a_run_whose_client_was_closed_raises_what_was_not_acknowledged() -> None:
    client = SSEClient.sync(f"http://127.0.0.1:{free_port()}")
    before = set(threading.enumerate())
    with pytest.raises(NotAcknowledged):
        with client.run("c") as run:
            run.write("a")
            client.close()
            run.flush()
    assert set(threading.enumerate()) <= before


def test_a_run_that_has_ended_can_be_left_after_its_client_was_closed(client: SyncClient) -> None:
    with client.run("c") as run:
        run.write("a")
        run.end()
        client.close()
    assert whole(client) == (["a"], "done")


def test_a_token_function_is_called_in_a_thread_without_an_event_loop(hub: Program) -> None:
    """A request goes out while the thread that writes does something else."""
    threads: list[threading.Thread] = []

    def token() -> str:
        threads.append(threading.current_thread())
        return "a"

    with SSEClient.sync(hub.url, token=token) as client, SSEClient.sync(hub.url) as reader:
        with reader.channel("c", from_start=True) as stream, client.run("c") as run:
            for number in range(3):
                run.write(f"{number}")
                assert next(stream).data == f"{number}"
    assert len(threads) == 4
    assert "sse_client" not in {thread.name for thread in threads}


async def test_a_run_without_await_works_beside_an_event_loop(server: Server) -> None:
    """As in a notebook: the thread that waits has an event loop of its own."""
    async with SSEClient(server.url) as reader:

        def answer() -> None:
            with SSEClient.sync(server.url) as client, client.run("c") as run:
                run.write("a")

        thread = threading.Thread(target=answer)
        thread.start()
        async with reader.channel("c", from_start=True) as stream:
            assert [event.data async for event in stream] == ["a"]
        thread.join()
