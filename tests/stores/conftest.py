"""The stores under test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis_server import RedisServer

_names = itertools.count()


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One for all tests that do it no harm; each has a prefix of its own."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """One that a test may kill."""
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def redis_store(shared_redis: RedisServer) -> str:
    return f"{shared_redis.url}?prefix=test{next(_names)}&grace=0"


@pytest.fixture
def sqlite_store(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path / 'events.db'}"


@pytest.fixture(params=["memory", "sqlite", "redis"])
def store(request: pytest.FixtureRequest) -> str:
    """Each store in turn."""
    name = request.param
    return name if name == "memory" else str(request.getfixturevalue(f"{name}_store"))


@pytest.fixture(params=["sqlite", "redis"])
def durable(request: pytest.FixtureRequest) -> str:
    """Each store that outlives the process."""
    return str(request.getfixturevalue(f"{request.param}_store"))
