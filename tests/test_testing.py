"""The fixture for programs that publish."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import environment
from tokens import SECRET, mint

from sse_client import Publisher, SSEClient
from sse_hub.testing import LocalHub


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with LocalHub() as hub:
        yield hub


def test_what_was_published_is_found(hub: LocalHub) -> None:
    hub.client.publish("text", channel="c", event="t")
    hub.client.publish({"a": [1]}, channel="c", ephemeral=True)
    assert hub.expect("text", channel="c", event="t")[0].type == "t"
    assert hub.expect({"a": [1]}, channel="c")[0].data == '{"a":[1]}'
    assert [event.data for event in hub.events("c")] == ["text", '{"a":[1]}']


def test_what_comes_a_little_later_is_waited_for(hub: LocalHub) -> None:
    publisher = Publisher(hub.url)
    for _ in range(100):
        publisher.publish("a")
    assert len(hub.expect("a", count=100)) == 100
    publisher.close()


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"data": "b"}, "'b' in channel main was published 0 times, not 1. All events:\n  main message a"),
        ({"data": "a", "count": 2}, "published 1 times, not 2"),
        ({"data": "a", "event": "t"}, "of type t was published 0 times"),
        ({"data": "a", "channel": "c"}, "in channel c was published 0 times"),
        ({"data": {"a": 1}}, "was published 0 times"),
    ],
)
def test_what_was_not_published_shows_what_was(hub: LocalHub, wanted: dict[str, object], said: str) -> None:
    hub.client.publish("a")
    with pytest.raises(AssertionError, match=re.escape(said)):
        hub.expect(**{"within": 0.05, **wanted})  # type: ignore[arg-type]


def test_more_than_was_expected_is_an_error(hub: LocalHub) -> None:
    hub.client.publish_many(["a", "a"])
    with pytest.raises(AssertionError, match="published 2 times, not 1"):
        hub.expect("a")


def test_nothing_can_be_expected_and_forgotten(hub: LocalHub) -> None:
    hub.expect_nothing()
    hub.client.publish("a", channel="c")
    hub.expect_nothing("d")
    with pytest.raises(AssertionError, match="the first is 'a'"):
        hub.expect_nothing("c")
    hub.clear()
    hub.expect_nothing()


async def test_asynchronous_tests_have_it_too(hub: LocalHub) -> None:
    async with SSEClient(hub.url) as client:
        await client.publish("a")
    assert await asyncio.to_thread(hub.expect, "a")


def test_a_hub_with_a_key_is_watched_with_a_token() -> None:
    with LocalHub(jwt_key=SECRET, token=mint(subscribe=["*"], publish=["*"])) as hub:
        hub.client.publish("a")
        hub.expect("a")


def test_a_setting_that_cannot_be_used_is_an_error() -> None:
    with pytest.raises(TypeError, match="no_such"):
        LocalHub(no_such=1)


def test_a_hub_that_cannot_begin_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="the hub cannot begin"):
        LocalHub(store="redis://127.0.0.1:1/0?unknown=1")
    assert "the Redis client does not take the address" in capsys.readouterr().err


def test_the_fixture_is_a_plugin_of_pytest(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["sse_hub.testing"]\n')
    (tmp_path / "test_it.py").write_text(
        "def test_it(sse_hub):\n    sse_hub.client.publish('a')\n    sse_hub.expect('a')\n\n"
        "def test_another(sse_hub):\n    sse_hub.expect_nothing()\n"
    )
    command = [
        sys.executable,
        "-X",
        "dev",
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        str(tmp_path),
    ]
    alone = environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60, env=alone)
    assert "2 passed" in run.stdout, run.stdout + run.stderr
