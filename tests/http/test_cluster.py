"""Nodes that share a store: they count each other's subscribers and agree who leads."""

from __future__ import annotations

from contextlib import AsyncExitStack

from eventually import eventually
from hubs import remote, serving
from programs import Start


async def test_subscribers_are_counted_over_all_nodes_and_those_of_a_dead_node_are_forgotten(
    program: Start, redis_store: str
) -> None:
    async with serving(store=redis_store) as server:
        other = program("--no-demo", "--store", redis_store)

        async def count(expected: int) -> bool:
            # An answer 503 has neither. It passes, and on a busy machine it may come.
            answered = (await server.post("/realtime/c", data=b"x"))[1].get("subscribers")
            listed = (await server.get("/api/channels"))[1].get("channels", [])
            return answered == expected and {"c": expected} == {each["name"]: each["subscribers"] for each in listed}

        async with (
            remote(other.url) as there,
            server.stream("/realtime/c") as here,
            there.stream("/realtime/c") as by_name,
            there.stream("/stream?channel=*") as by_pattern,
        ):
            for stream in (here, by_name, by_pattern):
                await stream.next()
            await eventually(lambda: count(3))
            other.process.kill()
            await eventually(lambda: count(1))


async def test_one_node_produces_the_feed_and_another_takes_over_when_it_dies(program: Start, redis_store: str) -> None:
    nodes = {name: program("--store", redis_store, "--node", name) for name in ("a", "b")}
    async with serving(store=redis_store) as watching, watching.stream("/metrics") as stream:
        await stream.until("connected")
        names = [(await stream.next()).json()["node"] for _ in range(4)]
        assert len(set(names)) == 1
        nodes[names[0]].process.kill()
        while (taken := (await stream.next()).json()["node"]) == names[0]:
            pass
        assert {taken, names[0]} == {"a", "b"}


async def test_nodes_without_the_feed_do_not_keep_others_from_producing_it(redis_store: str) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(4):  # they come first, and would have the lease
            await stack.enter_async_context(serving(store=redis_store))
        producing = await stack.enter_async_context(serving(store=redis_store, no_demo=False, node="producer"))
        stream = await stack.enter_async_context(producing.stream("/metrics"))
        await stream.until("connected")
        assert (await stream.next()).json()["node"] == "producer"


async def test_a_node_that_ends_well_passes_the_feed_on_at_once(redis_store: str) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(serving(store=redis_store, node="a"))
        store = first.hub.store
        assert await store.lease("demo")  # type: ignore[attr-defined]
        second = await stack.enter_async_context(serving(store=redis_store, node="b"))
        assert not await second.hub.store.lease("demo")  # type: ignore[attr-defined]
        await first.app.cleanup()
        assert await second.hub.store.lease("demo")  # type: ignore[attr-defined]
