"""Requests between the workers of one server, so that each can answer for all (`--workers`).

The request of a client reaches one of the workers, but some answers are about the whole server: its figures and its
subscribers. Each worker listens at a socket of its own in a folder that only this server's user can enter, and answers
there for itself alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Sequence

import aiohttp
import msgspec
from aiohttp import web
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from ..logs import log_line
from ..metrics import Metrics
from ..tasks import end
from ..worker import MAX_WORKERS, Worker
from .app_keys import BACKGROUND, METRICS
from .channels import LIMIT
from .requests import number
from .schemas import Subscriber
from .streams import Streams

__all__ = ["WORKERS", "Workers", "answering"]

logger = logging.getLogger("sse_hub")

_PATIENCE = 1.0
"""Seconds for the answer of another worker. A worker that takes longer is ending or is being replaced."""
_PERIOD = 0.5


class Workers:
    """The workers of this server, seen from one of them; without `--workers` it is the only one."""

    def __init__(self, worker: Worker, metrics: Metrics, streams: list[Streams]) -> None:
        self.worker = worker
        self._metrics = metrics
        self.streams = streams
        """All kinds of streams of this worker."""

    async def exposition(self, accept: str) -> tuple[bytes, str]:
        """The figures of all workers in the format that the `Accept` header wants, and its content type."""
        if self.worker.sockets is None:
            return self._metrics.exposition(accept)
        others: dict[int, Sequence[Metric]] = {}
        for other, _, body in await self._ask(self._others(), "GET", "/metrics"):
            others[other] = list(text_string_to_metric_families(body.decode()))  # type: ignore[no-untyped-call]
            await asyncio.sleep(0)  # reading one takes milliseconds
        return self._metrics.exposition(accept, others)

    async def subscribers(self, after: int, most: int) -> list[Subscriber]:
        """The subscribers of all workers with an id above `after`, in order."""
        found = self.subscribers_here(after, most)
        for _, _, body in await self._ask(self._others(), "GET", f"/subscribers?after={after}&limit={most}"):
            found += msgspec.json.decode(body, type=list[Subscriber])
        return sorted(found, key=lambda each: int(each.id))[:most]

    async def end_subscriber(self, id: str) -> bool:
        """End a stream at the worker that has it; return whether it existed."""
        if self.end_here(id):
            return True
        if self.worker.sockets is None or not (id.isascii() and id.isdigit() and len(id) < 19):
            return False
        answers = await self._ask([int(id) % MAX_WORKERS], "DELETE", f"/subscribers/{id}")
        return any(status == 204 for _, status, _ in answers)

    async def end_session(self, session: bytes) -> None:
        """End the streams that a session has opened, at each worker.

        :param session: digest of the token in its cookie.
        """
        self.end_session_here(session)
        if self.worker.sockets is not None:
            await self._ask(self._others(), "DELETE", f"/sessions/{session.hex()}")

    def subscribers_here(self, after: int, most: int) -> list[Subscriber]:
        """The subscribers of this worker with an id above `after`, in order."""
        found = [subscriber for streams in self.streams for subscriber in streams.subscribers(after, most)]
        return sorted(found, key=lambda each: int(each.id))[:most]

    def end_here(self, id: str) -> bool:
        """End a stream of this worker; return whether it existed."""
        return any(streams.end(id) for streams in self.streams)

    def end_session_here(self, session: bytes) -> None:
        """End the streams that a session has opened at this worker."""
        for streams in self.streams:
            streams.end_session(session)

    def _others(self) -> list[int]:
        """The numbers of the other workers that listen."""
        sockets = self.worker.sockets
        found = (int(each.stem) for each in sockets.glob("*.worker")) if sockets else ()
        return [each for each in found if each != self.worker.number]

    async def _ask(self, numbers: Iterable[int], method: str, path: str) -> list[tuple[int, int, bytes]]:
        """The number, status and body of each worker that answers."""

        async def ask(number: int) -> tuple[int, int, bytes] | None:
            connector = aiohttp.UnixConnector(f"{self.worker.sockets}/{number}.worker")
            try:
                async with (
                    aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(_PATIENCE)) as session,
                    session.request(method, f"http://worker{path}") as answer,
                ):
                    return number, answer.status, await answer.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                log_line(logger, logging.INFO, "a worker does not answer another", worker=number, error=repr(error))
                return None

        answers = await asyncio.gather(*map(ask, numbers))
        return [each for each in answers if each is not None]

    async def share_figures(self) -> None:
        """Write this worker's figures for the others, until cancelled."""
        while True:
            self._metrics.share()
            await asyncio.sleep(_PERIOD)


WORKERS: web.AppKey[Workers] = web.AppKey("workers", Workers)
_SERVED: web.AppKey[web.Application] = web.AppKey("served application", web.Application)


async def answering(app: web.Application) -> AsyncIterator[None]:
    """Answer the other workers while the application runs. A cleanup context."""
    worker = app[WORKERS].worker
    if worker.sockets is None:
        yield
        return
    private = web.Application()
    private[_SERVED] = app
    private.add_routes(
        [
            web.get("/metrics", _metrics),
            web.get("/subscribers", _subscribers),
            web.delete("/subscribers/{id}", _end_subscriber),
            web.delete("/sessions/{session}", _end_session),
        ]
    )
    runner = web.AppRunner(private, access_log=None)
    await runner.setup()
    path = worker.sockets / f"{worker.number}.worker"
    path.unlink(missing_ok=True)  # the socket of the worker that this one replaces
    await web.UnixSite(runner, str(path)).start()
    sharing = app[BACKGROUND].start("workers", app[WORKERS].share_figures)
    yield
    await end(sharing)
    with contextlib.suppress(OSError):
        path.unlink()
    await runner.cleanup()


async def _metrics(request: web.Request) -> web.Response:
    body, _ = request.app[_SERVED][METRICS].exposition(CONTENT_TYPE_LATEST)
    return web.Response(body=body)


async def _subscribers(request: web.Request) -> web.Response:
    after, limit = number(request, "after") or 0, number(request, "limit", minimum=1, maximum=LIMIT + 1) or 1
    return web.Response(body=msgspec.json.encode(request.app[_SERVED][WORKERS].subscribers_here(after, limit)))


async def _end_subscriber(request: web.Request) -> web.Response:
    was_there = request.app[_SERVED][WORKERS].end_here(request.match_info["id"])
    return web.Response(status=204 if was_there else 404)


async def _end_session(request: web.Request) -> web.Response:
    request.app[_SERVED][WORKERS].end_session_here(bytes.fromhex(request.match_info["session"]))
    return web.Response(status=204)
