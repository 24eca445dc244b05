"""The hub under gunicorn, as users start it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from eventually import PATIENCE
from hubs import Stream
from programs import ROOT
from redis_server import RedisServer

pytest.importorskip("gunicorn", reason="gunicorn is missing: pip install gunicorn")
pytest.importorskip("uvloop", reason="uvloop is missing: pip install uvloop")

COMMAND = ["sse_server:create_app()", "--worker-class", "aiohttp.GunicornUVLoopWebWorker", "--bind", "127.0.0.1:0"]
# A worker that gets SIGTERM while it starts may not notice it. gunicorn kills it after this time.
COMMAND += ["--graceful-timeout", "3"]


class Gunicorn:
    """The command of docs/how-to/several-processes.md, at a free port."""

    def __init__(self, *flags: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *COMMAND, *flags],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "SSE_NO_DEMO": "1", **environment},
        )

    def url(self) -> str:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if match := re.search(r"Listening at: (http://\S+)", line):
                return match[1]
        raise AssertionError("gunicorn ended")

    def workers(self, count: int) -> None:
        """Wait until this number of workers have booted."""
        assert self.process.stderr is not None
        while count:
            count -= "Booting worker" in self.process.stderr.readline()


Start = Callable[..., Gunicorn]


@pytest.fixture
def gunicorn() -> Iterator[Start]:
    started: list[Gunicorn] = []

    def start(*flags: str, **environment: str) -> Gunicorn:
        started.append(Gunicorn(*flags, **environment))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.send_signal(signal.SIGQUIT)
        each.process.communicate(timeout=20)


@pytest.mark.parametrize("store", ["memory", "sqlite:events.db"])
@pytest.mark.parametrize("how", ["flag", "environment", "arguments", "preload"])
def test_several_workers_on_a_store_of_one_process_are_refused_with_the_reason(
    gunicorn: Start, store: str, how: str, tmp_path: Path
) -> None:
    flags = {"flag": ["--workers", "4"], "preload": ["--workers", "4", "--preload"]}.get(how, [])
    variables = {"environment": {"WEB_CONCURRENCY": "4"}, "arguments": {"GUNICORN_CMD_ARGS": "--workers 4"}}
    running = gunicorn(*flags, SSE_STORE=store, **variables.get(how, {}))
    _, answered = running.process.communicate(timeout=30)
    assert running.process.returncode != 0
    assert f"sse-hub: 4 workers cannot share the store {store.partition(':')[0]}" in answered
    assert "SSE_STORE=redis://" in answered
    assert not Path("events.db").exists()


@pytest.mark.parametrize(
    ("variable", "value", "answered"),
    [
        ("SSE_HISTORY", "many", "SSE_HISTORY is"),
        ("SSE_STORE", "redis://host/0?unknown=1", "the Redis client does not take"),
    ],
)
def test_a_setting_that_cannot_be_used_ends_gunicorn_after_the_reason(
    gunicorn: Start, variable: str, value: str, answered: str
) -> None:
    running = gunicorn(**{variable: value})
    _, written = running.process.communicate(timeout=PATIENCE)
    assert running.process.returncode != 0
    reasons = [line for line in written.splitlines() if line.startswith("sse-hub: ")]
    assert len(reasons) == 1
    assert answered in reasons[0]


def test_one_worker_serves_any_store(gunicorn: Start, tmp_path: Path) -> None:
    url = gunicorn("--workers", "1", SSE_STORE=f"sqlite:{tmp_path / 'events.db'}").url()
    with urllib.request.urlopen(url + "/health", timeout=PATIENCE) as answer:
        assert json.load(answer)["store"] == "sqlite"


async def test_four_workers_on_redis_are_one_hub(gunicorn: Start, tmp_path: Path) -> None:
    redis = RedisServer(tmp_path)
    try:
        running = gunicorn("--workers", "4", SSE_STORE=redis.store)
        url = running.url()
        running.workers(4)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0)) as client:
            streams = [Stream(await client.get(url + "/stream")) for _ in range(12)]
            for stream in streams:
                await stream.until("connected")
            for number in range(30):
                async with client.post(url + "/realtime/main", data=str(number)) as answer:
                    assert answer.status == 200
            received = [[await stream.next() for _ in range(30)] for stream in streams]
            assert all(each == received[0] for each in received)
            assert [event.data for event in received[0]] == [str(number) for number in range(30)]
            for stream in streams:
                stream.response.close()
    finally:
        redis.stop()
