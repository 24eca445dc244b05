"""Subscribers of one subscription, and the bytes that they share."""

from __future__ import annotations

import random
import zlib

from rig import Rig

from sse_hub.core.events import EventId
from sse_hub.core.pages import PAGE_BYTES


def test_subscribers_of_one_group_are_handed_the_very_same_bytes(rig: Rig) -> None:
    (one, _), (other, _) = rig.subscribe(), rig.subscribe()
    rig.publish("a")
    rig.turn()
    assert one.written[0] is other.written[0]


def test_subscribers_of_one_group_share_compressed_bytes_too(rig: Rig) -> None:
    (one, _), (other, _) = rig.subscribe(gzip=True), rig.subscribe(gzip=True)
    rig.publish("a")
    rig.turn()
    assert one.written[-1] is other.written[-1]
    assert one.data == other.data == ["a"]


def test_groups_of_one_subscription_share_one_stream(rig: Rig) -> None:
    connections = [rig.subscribe(gzip=True)[0] for _ in range(150)]  # three groups
    for number in range(5):
        rig.publish(f"event {number}")
        rig.turn()
    assert len({b"".join(connection.written) for connection in connections}) == 1
    assert connections[149].data == [f"event {number}" for number in range(5)]


def test_a_large_event_comes_once_to_each_of_several_groups_that_share_a_deflate_stream(rig: Rig) -> None:
    connections = [rig.subscribe(gzip=True)[0] for _ in range(150)]
    large = "".join(random.Random(7).choices("abcdefghijklmnopqrstuvwxyz", k=2 * PAGE_BYTES))  # a flush of its own
    rig.publish(large)
    rig.turn()
    rig.publish(*(f"{number} ".ljust(200, "x") for number in range(600)))
    rig.turn()
    for connection in connections:
        assert [data.split()[0] for data in connection.data] == [large, *map(str, range(600))]


def test_subscribers_join_a_shared_stream_in_steps(rig: Rig) -> None:
    joiners = [rig.subscribe(gzip=True, live=False) for _ in range(600)]
    for _, subscriber in joiners:
        while rig.hub.advance(subscriber):
            pass
    steps = 0
    for _ in rig.hub.join_shared():
        steps += 1
        rig.publish(f"between steps {steps}")
    assert steps == 2
    rig.turn()
    rig.publish("after them")
    rig.turn()
    for connection, _ in joiners:
        assert connection.data == ["between steps 1", "between steps 2", "after them"]
    assert len({connection.written[-1] for connection, _ in joiners}) == 1


def test_data_that_repeat_are_sent_as_a_reference(rig: Rig) -> None:
    connection, _ = rig.subscribe(gzip=True)
    for number in range(20):
        rig.publish(f'{{"sensor":"temperature","value":21.{number},"unit":"celsius","simulated":true}}')
        rig.turn()
    assert len(connection.written[-1]) * 3 < len(connection.written[0])


def test_a_late_joiner_gets_no_reference_to_bytes_that_it_has_not(rig: Rig) -> None:
    early, _ = rig.subscribe(gzip=True)
    rig.publish("the same again and again")
    rig.turn()
    late, _ = rig.subscribe(gzip=True)
    for _ in range(3):
        rig.publish("the same again and again")
        rig.turn()
    assert late.data == ["the same again and again"] * 3
    assert early.data == ["the same again and again"] * 4


def test_many_joiners_in_a_turn_make_one_key_frame(rig: Rig) -> None:
    connections = [rig.subscribe(gzip=True)[0] for _ in range(100)]
    rig.publish("x")
    rig.turn()
    assert len({connection.written[-1] for connection in connections}) == 1


def test_until_it_joins_a_new_subscriber_gets_separate_deflate_blocks_and_costs_the_others_nothing(rig: Rig) -> None:
    def words(number: int) -> str:
        return f"the same words again and again, only the number is another: {number}"

    early, _ = rig.subscribe(gzip=True)
    rig.publish(words(0))
    rig.turn()
    late, subscriber = rig.subscribe(gzip=True, live=False)
    assert not rig.hub.advance(subscriber)
    rig.publish(words(1))
    rig.turn()
    assert len(early.written[-1]) < len(late.written[-1])
    rig.join_shared()
    rig.publish(words(2))
    rig.turn()
    assert early.written[-1] is late.written[-1]
    assert late.data == [words(1), words(2)]
    assert early.data == [words(0), words(1), words(2)]


def test_one_that_could_take_no_more_rejoins_at_a_key_frame(rig: Rig) -> None:
    steady, _ = rig.subscribe(gzip=True)
    slow, subscriber = rig.subscribe(gzip=True)
    slow.can_take = False
    for number in range(3):
        rig.publish(f"number {number}")
        rig.turn()
    slow.can_take = True
    while rig.hub.advance(subscriber):
        pass
    rig.publish("number 3")
    rig.turn()
    assert slow.data == steady.data == [f"number {number}" for number in range(4)]


def test_a_ping_goes_to_all_that_share_a_stream_and_to_no_other(rig: Rig) -> None:
    shared, _ = rig.subscribe(gzip=True)
    plain, _ = rig.subscribe()
    rig.ping()
    rig.turn()
    rig.publish("after it")
    rig.turn()
    assert zlib.decompressobj(-15).decompress(b"".join(shared.written)).startswith(b": ping\n\n")
    assert shared.data == plain.data == ["after it"]


def test_all_that_share_a_stream_are_informed_of_a_loss_once(rig: Rig) -> None:
    connections = [rig.subscribe(gzip=True)[0] for _ in range(70)]
    rig.hub.lose({"main": EventId(5000, 0)})
    rig.turn()
    for connection in connections:
        assert [event.type for event in connection.received] == ["lost"]


def test_subscribers_of_a_channel_are_counted_by_name_and_by_pattern(rig: Rig) -> None:
    rig.subscribe("a")
    rig.subscribe("*")
    rig.subscribe("b")
    assert rig.hub.subscribers("a") == 2
    assert rig.hub.channels("", 10) == ["a", "b"]


def test_a_subscriber_that_joins_a_new_group_does_not_get_what_other_groups_still_hold(rig: Rig) -> None:
    connections = [rig.subscribe(gzip=True)[0] for _ in range(64)]  # a full group
    joiner, subscriber = rig.subscribe(gzip=True, live=False)
    while rig.hub.advance(subscriber):
        pass
    rig.publish("one")
    rig.join_shared()
    rig.turn()
    rig.publish("two")
    rig.turn()
    for connection in [*connections, joiner]:
        assert connection.data == ["one", "two"]


def test_a_turn_writes_large_events_to_few_groups_and_deflates_them_for_fewer(rig: Rig) -> None:
    for gzip, most in ((False, 10), (True, 1)):
        connections = [rig.subscribe("large", f"{gzip}.{number}", gzip=gzip)[0] for number in range(20)]
        before = [len(connection.written) for connection in connections]
        rig.publish(str(gzip).ljust(200_000), channel="large")
        written = [sum(len(each.written) for each in connections) - sum(before)]
        while rig.turns:
            rig.turns.pop(0)()
            written.append(sum(len(each.written) for each in connections) - sum(before) - sum(written))
        assert sum(written) == 20
        assert max(written) <= most
