from __future__ import annotations

import pytest

from sse_hub.limits import Places, Rate


def test_a_client_may_do_so_much_at_once_and_then_at_the_rate() -> None:
    rate = Rate(10, seconds=2)
    assert [rate.take("a", 1, 0.0) for _ in range(21)] == [0.0] * 20 + [0.1]
    assert rate.take("a", 1, 0.1) == 0.0
    assert rate.take("a", 1, 0.1) == pytest.approx(0.1)


def test_one_client_does_not_pay_for_another() -> None:
    rate = Rate(1, seconds=1)
    assert rate.take("a", 1, 0.0) == 0.0
    assert rate.take("a", 1, 0.0) > 0
    assert rate.take("b", 1, 0.0) == 0.0


def test_a_batch_larger_than_the_bucket_passes_and_is_paid_for() -> None:
    rate = Rate(10, seconds=1)
    assert rate.take("a", 100, 0.0) == 0.0
    assert rate.take("a", 1, 0.0) == pytest.approx(9.1)
    assert rate.take("a", 1, 9.2) == 0.0


def test_a_full_bucket_does_not_fill_further() -> None:
    rate = Rate(1, seconds=1)
    rate.take("a", 1, 0.0)
    assert [rate.take("a", 1, 1000.0) > 0 for _ in range(2)] == [False, True]


def test_a_rate_of_0_is_no_limit() -> None:
    assert all(not Rate(0).take("a", 10_000, 0.0) for _ in range(100))


def test_made_up_clients_do_not_fill_the_memory() -> None:
    rate = Rate(1)
    for n in range(30_000):
        rate.take(str(n), 1, 0.0)
    assert len(rate._buckets) == 10_000


def test_places_are_limited_in_all_and_for_each_address() -> None:
    places = Places(3, 2)
    for address in ("a", "a", "b"):
        assert places.refusal(address) is None
        places.take(address)
    assert "All 3 places" in str(places.refusal("c"))
    places.leave("b")
    assert "All 2 places of the address a" in str(places.refusal("a"))
    assert places.refusal("b") is None


def test_an_address_that_has_left_is_forgotten() -> None:
    places = Places(10, 10)
    places.take("a")
    places.leave("a")
    assert not places._taken
