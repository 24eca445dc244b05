"""Addresses of stores."""

from __future__ import annotations

import pytest

from sse_hub.address import Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("memory", Address("memory")),
        ("sqlite:/a/b.db", Address("sqlite", "/a/b.db")),
        ("redis://h:1/2", Address("redis", "redis://h:1/2")),
        ("rediss://u:p@h?prefix=x&maxlen=5&grace=0.5", Address("redis", "rediss://u:p@h", "x", 5, 0.5)),
        ("unix:///run/r.sock?db=3", Address("redis", "unix:///run/r.sock?db=3")),
    ],
)
def test_an_address_is_read_and_the_hubs_own_parameters_do_not_reach_the_client(text: str, address: Address) -> None:
    assert Address.read(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "redis", "redis:", "redis://", "sqlite", "sqlite:", "mysql://h"]
    + [f"redis://h?{option}" for option in ("maxlen=0", "grace=x", "prefix={a}")],
)
def test_a_text_that_is_not_an_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each says something else
        Address.read(text)
