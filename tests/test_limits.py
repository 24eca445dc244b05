"""Limits for one client and for all clients together."""

from __future__ import annotations

import tracemalloc

import pytest

from sse_hub.limits import Rate, SubscriberSlots, TemplateSlots


def test_a_client_may_use_its_bucket_at_once_and_then_the_rate() -> None:
    rate = Rate(10, seconds=2)
    assert [rate.consume("a", 1, 0.0) for _ in range(21)] == [0.0] * 20 + [0.1]
    assert rate.consume("a", 1, 0.1) == 0.0
    assert rate.consume("a", 1, 0.1) == pytest.approx(0.1)


def test_one_client_does_not_pay_for_another() -> None:
    rate = Rate(1, seconds=1)
    assert rate.consume("a", 1, 0.0) == 0.0
    assert rate.consume("a", 1, 0.0) > 0
    assert rate.consume("b", 1, 0.0) == 0.0


def test_a_batch_larger_than_the_bucket_passes_and_is_paid_for() -> None:
    rate = Rate(10, seconds=1)
    assert rate.consume("a", 100, 0.0) == 0.0
    assert rate.consume("a", 1, 0.0) == pytest.approx(9.1)
    assert rate.consume("a", 1, 9.2) == 0.0


def test_a_full_bucket_does_not_fill_further() -> None:
    rate = Rate(1, seconds=1)
    rate.consume("a", 1, 0.0)
    assert [rate.consume("a", 1, 1000.0) > 0 for _ in range(2)] == [False, True]


def test_a_rate_of_0_is_no_limit() -> None:
    assert all(not Rate(0).consume("a", 10_000, 0.0) for _ in range(100))


def test_made_up_clients_do_not_fill_the_memory() -> None:
    rate = Rate(1)
    for n in range(30_000):
        rate.consume(str(n), 5, 0.0)
    assert rate.consume("29999", 5, 0.0) > 0
    assert rate.consume("0", 5, 0.0) == 0.0  # it is forgotten, and has a full bucket


def test_slots_are_limited_in_all_and_for_each_address() -> None:
    slots = SubscriberSlots(3, 2)
    for address in ("a", "a", "b"):
        assert slots.refusal(address) is None
        slots.acquire(address)
    assert "All 3 slots" in str(slots.refusal("c"))
    slots.release("b")
    assert "All 2 slots of the address a" in str(slots.refusal("a"))
    assert slots.refusal("b") is None


def test_a_slot_that_is_given_back_can_be_acquired_again() -> None:
    slots = SubscriberSlots(1, 1)
    for _ in range(3):
        assert slots.refusal("a") is None
        slots.acquire("a")
        assert slots.refusal("a") is not None
        slots.release("a")


def test_different_templates_are_limited_for_each_address_and_other_selectors_are_not() -> None:
    slots = TemplateSlots(2)
    for selectors in (["{a}", "b", "*"], ["{a}", "{b}"]):
        assert slots.refusal("a", selectors) is None
        slots.acquire("a", selectors)
    assert "as it may: 2" in str(slots.refusal("a", ["{c}"]))
    assert slots.refusal("a", ["{b}", "c", "d", "e"]) is None
    assert slots.refusal("b", ["{c}"]) is None
    slots.release("a", ["{a}", "b", "*"])
    assert slots.refusal("a", ["{c}"]) is not None  # another stream still follows {a}
    slots.release("a", ["{a}", "{b}"])
    assert slots.refusal("a", ["{c}", "{d}"]) is None


def test_addresses_without_templates_take_no_memory() -> None:
    slots = TemplateSlots(2)
    tracemalloc.start()
    for number in range(2000):
        for selector in ("b", "{b}"):
            slots.acquire(str(number), [selector])
            slots.release(str(number), [selector])
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept_bytes < 50_000  # an entry for each address would take 330 kB
