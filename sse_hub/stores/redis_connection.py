"""The connection to a Redis: its sockets, its commands, and all their errors.

Every error becomes a `RedisFailed` here, so no other module has to know the errors of the client library, of uvloop or
of sockets. No command is sent twice: a second XADD would add the event again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as LineBroken
from redis.exceptions import TimeoutError as LineLate

from ..core.ports import StoreUnavailable

__all__ = ["STREAM_REPLACED", "RedisConnection", "RedisFailed"]

STREAM_REPLACED = "The stream in Redis is gone, or another one is in its place."

TIMEOUT = 3.0
"""Seconds without an answer after which Redis counts as away. A cut network does not close the connection."""
_LONGEST_TIMEOUT = 60.0
_MOST_ENTRIES = 500
_READ_BYTES = 256 << 10
"""Intended size of a read in bytes. A read asks for a number of entries, which is computed from their mean size."""
_LEAST_VERSION = 7

logger = logging.getLogger("sse_hub")


class RedisFailed(StoreUnavailable):
    """Redis could not be reached, or has refused a command.

    :param reason: a sentence that says what is wrong.
    :param away: whether the connections cannot be used any more, so that new ones are needed.
    :param late: whether the answer did not come in time.
    """

    def __init__(self, reason: str, *, away: bool = True, late: bool = False) -> None:
        super().__init__(reason)
        self.away = away
        self.late = late

    @classmethod
    def of(cls, error: Exception) -> RedisFailed:
        """The failure for an error of the client library."""
        text = (str(error) or type(error).__name__).rstrip(".")
        if "STALE" in text:  # an answer of the hub's own scripts
            return cls(STREAM_REPLACED)
        is_replica = isinstance(error, ReadOnlyError | MasterDownError)  # MasterDownError is a ClusterDownError
        if isinstance(error, AskError | ClusterDownError | MovedError) and not is_replica:
            text = f"this address is a node of a Redis Cluster that does not hold the hub's keys ({text})"
        refused = isinstance(error, ResponseError) and not (is_replica or isinstance(error, LineBroken))
        late = isinstance(error, LineLate | TimeoutError)
        return cls(f"Redis {'refuses' if refused else 'cannot be used'}: {text}.", away=not refused, late=late)


@contextlib.contextmanager
def _converted() -> Iterator[None]:
    try:
        yield
    # uvloop and asyncio raise RuntimeError for a closed transport or loop. The reader raises EOFError and ValueError
    # for malformed answers.
    except (RedisError, OSError, RuntimeError, EOFError, ValueError, TypeError, AttributeError) as error:
        raise RedisFailed.of(error) from error


class RedisConnection:
    """The connection to one Redis: a pool for commands, and a socket that follows the stream.

    :param url: as `Redis.from_url` takes it, or `redis+sentinel://HOST:PORT,HOST:PORT/NAME/DB`.
    :param key: given to every script.
    :raises ValueError: if the address is impossible.
    """

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._key = key
        self._timeout = TIMEOUT
        self._entries = 16
        self._redis, self._follower = self._connect(), self._connect(single=True)
        self._is_closed = self._is_inspected = False

    def _connect(self, *, single: bool = False) -> Redis:
        options: dict[str, Any] = {
            "decode_responses": True,
            "encoding_errors": "replace",  # in entries of other programs
            "protocol": 2,
            "socket_timeout": self._timeout,
            "socket_connect_timeout": TIMEOUT,
            "retry": Retry(NoBackoff(), 0),
        }
        if not self._url.startswith("redis+sentinel://"):
            redis = Redis.from_url(self._url, single_connection_client=single, **options)
            # It checks the options now, and not at its first use.
            redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]
            return redis
        parts = urlsplit(self._url)
        credentials, _, hosts = parts.netloc.rpartition("@")
        name, _, db = parts.path.strip("/").partition("/")
        addresses = [(host, int(port or 26379)) for host, _, port in (each.partition(":") for each in hosts.split(","))]
        username, _, password = (unquote(part) for part in credentials.partition(":"))
        login = {name: value for name, value in (("username", username), ("password", password)) if value}
        sentinel = Sentinel(addresses, sentinel_kwargs={"socket_timeout": TIMEOUT})  # type: ignore[no-untyped-call]
        pool = SentinelConnectionPool(name, sentinel, db=int(db or 0), **options, **login)  # type: ignore[no-untyped-call]
        return Redis(connection_pool=pool, single_connection_client=single)

    async def connect_anew(self) -> None:
        """Close all connections and make new ones. The address may now lead to another server."""
        old = self._redis, self._follower
        self._redis, self._follower = self._connect(), self._connect(single=True)
        for redis in old:
            await _close(redis)

    async def inspect(self) -> None:
        """Check once that this Redis is new enough and does not evict keys.

        :raises RedisFailed: if it is too old, or cannot be reached.
        """
        if self._is_inspected:
            return
        try:
            server = await self.ask("INFO", "server")
            memory = await self.ask("INFO", "memory")
        except RedisFailed as failed:
            if failed.away:
                raise
            return  # this user of Redis may not run INFO
        version = str(server.get("redis_version", _LEAST_VERSION))
        if int(version.partition(".")[0]) < _LEAST_VERSION:
            raise RedisFailed(f"Redis {_LEAST_VERSION} or Valkey is needed; this is Redis {version}.")
        policy = memory.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            logger.warning(
                "Redis may forget the hub's keys when its memory is full: maxmemory-policy is %s; set it to noeviction",
                policy,
            )
        self._is_inspected = True

    async def close(self) -> None:
        """Close all connections."""
        self._is_closed = True
        for redis in (self._redis, self._follower):
            await _close(redis)

    @contextlib.asynccontextmanager
    async def _using(self, redis: Redis) -> AsyncIterator[None]:
        """Convert errors, and close the connections again if that was done in the meantime: a command that was about
        to connect has opened another one since."""
        try:
            with _converted():
                yield
        finally:
            if self._is_closed or redis not in (self._redis, self._follower):
                await _close(redis)

    async def run(self, script: str, *values: str | int) -> Any:
        """Run a script.

        :raises RedisFailed: if that cannot be done.
        """
        async with self._using(redis := self._redis):
            return await self._run(redis, script, *values)

    async def run_following(self, script: str, *values: str | int) -> Any:
        """Run a script on the connection that follows the stream, in order with what is read there."""
        async with self._using(redis := self._follower):
            return await self._run(redis, script, *values)

    async def follow(self, *words: str | int) -> Any:
        """Send a command on the connection that follows the stream."""
        async with self._using(redis := self._follower):
            return await redis.execute_command(*words)  # type: ignore[no-untyped-call]

    async def ask(self, *words: str | int) -> Any:
        """Send a command."""
        async with self._using(redis := self._redis):
            return await redis.execute_command(*words)  # type: ignore[no-untyped-call]

    async def run_all(self, script: str, calls: Sequence[Sequence[str | int]]) -> list[Any]:
        """Run a script for each of these values in one pipeline. The result of a refused run is a `RedisFailed`.

        :raises RedisFailed: if it is unknown which of them were run.
        """
        async with self._using(redis := self._redis):
            results = await self._pipeline(redis, script, calls)
        return [RedisFailed.of(result) if isinstance(result, Exception) else result for result in results]

    async def _pipeline(self, redis: Redis, script: str, calls: Sequence[Sequence[str | int]]) -> list[Any]:
        pipeline = redis.pipeline(transaction=False)
        for values in calls:
            pipeline.execute_command("EVALSHA", _digest(script), 1, self._key, *values)
        results: list[Any] = await pipeline.execute(raise_on_error=False)
        missed = [i for i, result in enumerate(results) if isinstance(result, NoScriptError)]
        if missed:  # these runs have done nothing
            await redis.execute_command("SCRIPT", "LOAD", script)  # type: ignore[no-untyped-call]
            for i, result in zip(missed, await self._pipeline(redis, script, [calls[i] for i in missed]), strict=True):
                results[i] = result
        return results

    async def _run(self, redis: Redis, script: str, *values: str | int) -> Any:
        try:
            return await redis.execute_command("EVALSHA", _digest(script), 1, self._key, *values)  # type: ignore[no-untyped-call]
        except NoScriptError:
            return await redis.execute_command("EVAL", script, 1, self._key, *values)  # type: ignore[no-untyped-call]

    @property
    def entries(self) -> int:
        """The number of entries to ask for at once."""
        return self._entries

    def note_read(self, entries: int, size_bytes: int) -> None:
        """Learn the size of entries from a read."""
        if entries:
            fitting = _READ_BYTES * entries // max(size_bytes, 1)
            self._entries = max(1, min(fitting, 2 * self._entries, _MOST_ENTRIES))
            self._timeout = TIMEOUT

    def note_late(self) -> None:
        """Ask for fewer entries from now on. If a single entry takes too long, allow more time."""
        if self._entries == 1:
            self._timeout = min(2 * self._timeout, _LONGEST_TIMEOUT)
        self._entries = max(self._entries // 4, 1)


async def _close(redis: Redis) -> None:
    pool = redis.connection_pool
    sentinels = pool.sentinel_manager.sentinels if isinstance(pool, SentinelConnectionPool) else []
    for each in (redis.aclose, pool.disconnect, *(sentinel.aclose for sentinel in sentinels)):
        with contextlib.suppress(RedisError, OSError, RuntimeError, EOFError):
            await each()


@functools.cache  # of a few scripts
def _digest(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
