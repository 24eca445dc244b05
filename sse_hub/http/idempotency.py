"""Publishing once for repeated requests with the same `Idempotency-Key` (docs/protocol.md, "Publishing")."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine

from aiohttp import web
from cachetools import TTLCache

from ..core.ports import KEY_AGE_MS
from ..metrics import Metrics

__all__ = ["IDEMPOTENCY", "IdempotencyCache"]

_BYTES = 32 << 20
"""Largest size of all kept answers. The answer to a broadcast may name a hundred channels."""
_ENTRY_BYTES = 500
"""Approximate cost of an entry besides its answer."""


class IdempotencyCache:
    """The answers to publishes with a key. A failed publish is not kept, so that the client can try again. Some stores
    keep keys over restarts and for all nodes (`ports.IdempotentStore`); the store is asked if there is no answer here.

    :param most: answers kept at once, and at most 32 MiB of them. If clients send more keys within ten minutes, the
        oldest answers are forgotten early.
    """

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most = most
        self._metrics = metrics
        metrics.idempotency_keys.set_function(lambda: len(self._answers) + len(self._running))
        self._running: dict[str, asyncio.Task[bytes]] = {}
        self._answers: TTLCache[str, bytes] = TTLCache(
            min(_BYTES, most * _BYTES), KEY_AGE_MS / 1000, time.monotonic, lambda answer: len(answer) + _ENTRY_BYTES
        )

    async def once(self, key: str, publish: Callable[[], Coroutine[None, None, bytes]]) -> bytes:
        """The answer to the first publish with this key. If it is still running, wait for it."""
        answer = self._answers.get(key)
        if answer is not None:
            return answer
        running = self._running.get(key)
        if running is None:
            # A task of its own, so that the publish is completed even if the first client leaves.
            running = self._running[key] = asyncio.create_task(publish())
            running.add_done_callback(lambda task: self._note_done(key, task))
        return await asyncio.shield(running)

    def _note_done(self, key: str, task: asyncio.Task[bytes]) -> None:
        del self._running[key]
        if task.cancelled() or task.exception() is not None:
            return
        self._answers.expire()
        if len(self._answers) >= self._most or self._answers.currsize + len(task.result()) + _ENTRY_BYTES > _BYTES:
            self._metrics.hit_limit("idempotency_keys")
        while len(self._answers) >= self._most:
            self._answers.popitem()
        self._answers[key] = task.result()


IDEMPOTENCY: web.AppKey[IdempotencyCache] = web.AppKey("idempotency", IdempotencyCache)
