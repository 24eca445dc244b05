"""Events of some channels that a hub will never get, and the subscriptions that have lost some of them."""

from __future__ import annotations

from calls import counted_calls
from hypothesis import given
from hypothesis import strategies as st
from rig import Rig
from small_logs import to

from sse_hub.core.events import LOWEST_ID, EventId
from sse_hub.core.gap import Gap
from sse_hub.core.subscription import Subscription

NAMES = st.text("ab.", min_size=1, max_size=4)
PATTERNS = st.text("ab.*", min_size=1, max_size=4)


@given(
    st.dictionaries(NAMES, st.integers(1, 99).map(lambda ms: EventId(ms, 0)), max_size=8),
    st.frozensets(PATTERNS, min_size=1, max_size=3),
    st.none() | st.frozensets(PATTERNS, min_size=1, max_size=3),
)
def test_the_floor_of_a_subscription_is_the_highest_one_of_its_channels(
    floors: dict[str, EventId], names: frozenset[str], granted: frozenset[str] | None
) -> None:
    subscription = Subscription(names, granted=granted)
    covered = [floor for channel, floor in floors.items() if subscription.covers(channel)]
    assert Gap(floors).floor_of(subscription) == max(covered, default=LOWEST_ID)


def test_a_pattern_that_would_be_tried_on_too_many_channels_counts_as_concerned() -> None:
    gap = Gap({f"channel.{number}": EventId(1 + number, 0) for number in range(1000)})
    assert {gap.floor_of(to(f"*x{number}")) for number in range(20)} == {LOWEST_ID}
    assert gap.floor_of(to("*y")) == EventId(1000, 0)
    assert gap.floor_of(to("other.*")) == LOWEST_ID


def test_a_gap_in_many_channels_does_not_cost_more_for_each_subscription_of_all_channels(rig: Rig) -> None:
    connections = [rig.subscribe("*", f"user.{number}")[0] for number in range(100)]
    gone = EventId(5000, 0)
    with counted_calls() as few:
        rig.hub.lose({f"a.{number}": gone for number in range(200)})
    with counted_calls() as many:
        rig.hub.lose({f"b.{number}": gone.next() for number in range(1000)})
    rig.turn()
    assert many.count < few.count + 800 * 20
    assert all([event.type for event in connection.received] == ["lost", "lost"] for connection in connections)


def test_a_plain_stream_that_has_lost_nothing_goes_on_however_many_patterns_were_tried(rig: Rig) -> None:
    for number in range(25):
        rig.subscribe(f"sensor*x{number}")
    plain, _ = rig.subscribe("sensor*y", plain=True)
    for number in range(30):
        rig.subscribe("*", f"user.{number}")
    rig.hub.lose({f"sensor.{number}": EventId(5000, 0) for number in range(1000)})
    assert plain.finished is None


def test_a_gap_in_one_channel_asks_no_subscription_of_others(rig: Rig) -> None:
    for number in range(300):
        rig.subscribe(*(f"user.{number}.{each}.*" for each in range(50)))
    concerned, _ = rig.subscribe("sensor.*")
    with counted_calls() as calls:
        rig.hub.lose({"sensor.1": EventId(5000, 0)})
    rig.turn()
    assert calls.count < 200
    assert [event.type for event in concerned.received] == ["lost"]
