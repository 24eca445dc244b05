"""The single checks. Each reports an observation and the time that it took. For a problem, it also reports the meaning
and the lines of configuration that solve it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum

import aiohttp

from sse_client import EventParser, Parsed, SSEClient, SSEError

__all__ = ["PATIENCE", "PROBES", "Finding", "Probe", "Status", "failed", "watch_quiet_stream"]

PATIENCE = 5.0
"""Seconds in which an answer or an event has to arrive."""
_PING = 15.0
_HELD_BACK = 1.0
"""Seconds after which an event counts as held back: 50 times the delay of a hub on another continent."""


class Status(Enum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check."""

    name: str
    status: Status
    summary: str
    """The observation, in a few words."""
    seconds: float | None = None
    """The time that the check took; None if it does not matter."""
    meaning: str = ""
    """The meaning of a problem, as a sentence."""
    advice: tuple[str, ...] = ()
    """Lines of configuration that solve the problem, each for one kind of server."""
    fatal: bool = False
    """Whether the other checks are useless after it."""


class RawStream:
    """An event stream with its headers and comments, which the client library hides."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.bytes = b""
        """All bytes that have arrived."""
        self._parser = EventParser()
        self._events: list[Parsed] = []

    async def read(self) -> bool:
        """Wait for more bytes; return whether the stream goes on."""
        data = await self.response.content.readany()
        self.bytes += data
        self._events.extend(self._parser.feed(data))
        return bool(data)

    async def until(self, data: str | None = None, type: str | None = None) -> Parsed | None:
        """The next event with this data or of this type; None if the stream ends, or if it does not come within 5 s."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    while self._events:
                        event = self._events.pop(0)
                        if data in (None, event.data) and type in (None, event.type):
                            return event
                    if not await self.read():
                        return None
        except (TimeoutError, aiohttp.ClientError):
            return None


class Probe:
    """The tools of the checks.

    :param idle: seconds for which a quiet stream is watched.
    :param origin: the origin of the page that is to use the hub, if the user has named it.
    """

    def __init__(self, client: SSEClient, idle: float, origin: str | None = None) -> None:
        self.client = client
        self.idle = idle
        self.origin = origin
        self.channel = f"check-{uuid.uuid4().hex[:12]}"

    @asynccontextmanager
    async def stream(self, path: str, **headers: str) -> AsyncIterator[RawStream]:
        """An event stream. The answer may have any status.

        :raises TimeoutError: if there is no answer within 5 s.
        """
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with asyncio.timeout(PATIENCE):
            response = await self.client.request(
                "GET", path, headers={"Accept": "text/event-stream", "Accept-Encoding": "identity", **named}
            )
        async with response:
            yield RawStream(response)


def failed(
    name: str, error: BaseException | str, *, fatal: bool = False, meaning: str = "", advice: tuple[str, ...] = ()
) -> Finding:
    summary = str(error) or type(error).__name__
    if isinstance(error, TimeoutError):
        summary = f"no answer within {PATIENCE:g} s"
    elif isinstance(error, aiohttp.ClientConnectorError):
        summary = f"no server answers at {error.host}:{error.port}"
    return Finding(name, Status.FAILED, summary, meaning=meaning, advice=advice, fatal=fatal)


async def health(probe: Probe) -> Finding:
    began = time.monotonic()
    name = "health"
    try:
        async with asyncio.timeout(PATIENCE), await probe.client.request("GET", "/health") as response:
            took = time.monotonic() - began
            if response.status == 404:
                return Finding(name, Status.WARNING, "there is no /health: this may be another server", took)
            answer = await response.json(content_type=None)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return failed(
            name,
            error,
            fatal=True,
            meaning="No server answers there.",
            advice=("sse-hub", "sse-client check http://HOST:PORT"),
        )
    except ValueError:
        return Finding(name, Status.WARNING, "the answer is not JSON: this may be another server", took)
    status = answer.get("status") if isinstance(answer, dict) else None
    if status == "ok":
        return Finding(
            name, Status.OK, f"sse-hub {answer.get('version')}, {answer.get('subscribers')} subscribers", took
        )
    return Finding(
        name, Status.FAILED, f"status is {status!r}: {answer.get('reason', '')}" if status else "no status", took
    )


async def _first_event(probe: Probe, name: str, path: str, type: str | None) -> Finding:
    began = time.monotonic()
    try:
        async with probe.stream(path) as stream:
            response = stream.response
            if response.status != 200 or response.content_type != "text/event-stream":
                summary = f"{response.status} {response.content_type}"
                return failed(name, summary, meaning="A browser reconnects only after 200 text/event-stream.")
            event = await stream.until(type=type)
            took = time.monotonic() - began
    except TimeoutError as error:
        return failed(name, error, meaning=_BUFFERED, advice=_UNBUFFER, fatal=True)
    except (aiohttp.ClientError, OSError) as error:
        return failed(name, error, fatal=True)
    if event is None:
        return failed(name, f"nothing came within {PATIENCE:g} s", meaning=_BUFFERED, advice=_UNBUFFER)
    return Finding(name, Status.OK, f"first event: {event.type or 'message'}", took)


async def main_stream(probe: Probe) -> Finding:
    return await _first_event(probe, "main stream", "/stream", "connected")


async def metrics(probe: Probe) -> Finding:
    found = await _first_event(probe, "metrics", "/metrics", "metrics")
    if found.status is Status.FAILED and "nothing came" in found.summary:
        return Finding("metrics", Status.SKIPPED, "the stream is there, but has no figures (--no-demo?)")
    return found


async def custom_channel(probe: Probe) -> Finding:
    return await _round_trip(probe, "custom channel", f"/realtime/{probe.channel}", broadcast=False)


async def broadcast(probe: Probe) -> Finding:
    return await _round_trip(probe, "broadcast", f"/stream?channel={probe.channel}", broadcast=True)


async def _round_trip(probe: Probe, name: str, path: str, *, broadcast: bool) -> Finding:
    try:
        async with probe.stream(path) as stream:
            if await stream.until(type="connected") is None:
                return failed(name, "nothing comes on the stream", meaning=_BUFFERED, advice=_UNBUFFER)
            began = time.monotonic()
            if broadcast:
                published = (await probe.client.broadcast("check", channel=probe.channel, deadline=PATIENCE))[0]
            else:
                published = await probe.client.publish("check", channel=probe.channel, deadline=PATIENCE)
            event = await stream.until(type="")
            took = time.monotonic() - began
    except (SSEError, aiohttp.ClientError, OSError, TimeoutError) as error:
        return failed(name, error)
    if event is None or event.last_event_id != published.id:
        return failed(name, "the published event did not arrive", meaning=_BUFFERED, advice=_UNBUFFER)
    return Finding(name, Status.OK, "published and received", took)


_BUFFERED = "A proxy between you and the server collects events. It forwards them together or not at all."
_UNBUFFER = (
    "nginx:       proxy_buffering off;  proxy_http_version 1.1;  proxy_read_timeout 1h;",
    "Apache:      SetEnv proxy-sendchunked 1 (and no mod_deflate for text/event-stream)",
    "any service: the answer needs X-Accel-Buffering: no and Cache-Control: no-transform",
)


async def buffering(probe: Probe) -> Finding:
    """Publish each event only after the previous one has arrived: a proxy that collects events then delays each of
    them."""
    name = "buffering"
    delays = []
    try:
        async with probe.stream(f"/realtime/{probe.channel}") as stream:
            await stream.until(type="connected")
            for number in range(5):
                began = time.monotonic()
                await probe.client.publish(f"buffering {number}", channel=probe.channel, deadline=PATIENCE)
                if await stream.until(data=f"buffering {number}") is None:
                    return failed(name, f"event {number + 1} of 5 is held back", meaning=_BUFFERED, advice=_UNBUFFER)
                delays.append(time.monotonic() - began)
    except (SSEError, aiohttp.ClientError, OSError, TimeoutError) as error:
        return failed(name, error)
    slowest = max(delays)
    if slowest > _HELD_BACK:
        summary = f"an event took {slowest:.1f} s, the quickest {min(delays) * 1000:.0f} ms"
        return Finding(name, Status.WARNING, summary, slowest, _BUFFERED, _UNBUFFER)
    return Finding(name, Status.OK, "each event came by itself", slowest)


async def compression(probe: Probe) -> Finding:
    name = "compression"
    try:
        async with probe.stream(f"/realtime/{probe.channel}", Accept_Encoding="gzip, deflate") as stream:
            coding = stream.response.headers.get("Content-Encoding", "identity")
            await stream.until(type="connected")
            began = time.monotonic()
            await probe.client.publish("compression", channel=probe.channel, deadline=PATIENCE)
            event = await stream.until(data="compression")
            took = time.monotonic() - began
    except (SSEError, aiohttp.ClientError, OSError, TimeoutError) as error:
        return failed(name, error)
    if event is None:
        meaning = "A proxy compresses the stream, and does not forward an event as soon as it is complete."
        advice = (
            "nginx:   gzip off;  in the location of the streams",
            "Apache:  SetEnv no-gzip 1",
            "Caddy:   no encode for text/event-stream",
        )
        return failed(name, f"an event is held back with Content-Encoding: {coding}", meaning=meaning, advice=advice)
    return Finding(name, Status.OK, "none" if coding == "identity" else f"{coding}, flushed with each event", took)


async def headers(probe: Probe) -> Finding:
    name = "headers"
    try:
        async with probe.stream("/stream") as stream:
            control = stream.response.headers.get("Cache-Control", "")
            accel = stream.response.headers.get("X-Accel-Buffering", "")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return failed(name, error)
    missing = [] if "no-transform" in control else ["Cache-Control: no-transform"]
    if "no-cache" not in control and "no-store" not in control:
        missing.append("Cache-Control: no-cache")
    if accel != "no":
        missing.append("X-Accel-Buffering: no (a proxy may have removed it, which is fine)")
    if not missing:
        return Finding(name, Status.OK, "proxies have to forward all bytes at once, unchanged")
    if missing == ["X-Accel-Buffering: no (a proxy may have removed it, which is fine)"]:
        return Finding(name, Status.OK, "no X-Accel-Buffering; a proxy has removed it, or it is another server")
    meaning = "Proxies and caches on the way may compress, collect or store the stream."
    return Finding(name, Status.WARNING, "missing: " + ", ".join(missing), meaning=meaning, advice=_UNBUFFER[2:])


async def resuming(probe: Probe) -> Finding:
    name = "resume"
    try:
        first = await probe.client.publish("resume 1", channel=probe.channel, deadline=PATIENCE)
        await probe.client.publish("resume 2", channel=probe.channel, deadline=PATIENCE)
        began = time.monotonic()
        async with probe.stream(f"/realtime/{probe.channel}", Last_Event_ID=first.id or "") as stream:
            event = await stream.until(data="resume 2")
            took = time.monotonic() - began
    except (SSEError, aiohttp.ClientError, OSError, TimeoutError) as error:
        return failed(name, error)
    if event is None:
        meaning = "A client that was cut off loses the events of that time."
        advice = (
            "forward the header Last-Event-ID",
            "more than one process needs a store that all share: --store redis://…",
        )
        return failed(name, "the events after Last-Event-ID were not sent", meaning=meaning, advice=advice)
    return Finding(name, Status.OK, "after a reconnect, the missed events came", took)


async def watch_quiet_stream(probe: Probe) -> Finding:
    """Find out whether a quiet stream stays open, and how often it sends a ping."""
    name = "quiet stream"
    began = time.monotonic()
    comments: list[float] = []
    ended = False
    try:
        async with probe.stream(f"/realtime/{probe.channel}-quiet") as stream:
            while not ended and (left := began + probe.idle - time.monotonic()) > 0:
                before = stream.bytes.count(b"\n:") + stream.bytes.startswith(b":")
                try:
                    async with asyncio.timeout(left):
                        ended = not await stream.read()
                except TimeoutError:
                    break
                if stream.bytes.count(b"\n:") + stream.bytes.startswith(b":") > before:
                    comments.append(time.monotonic() - began)
    except (aiohttp.ClientError, OSError, TimeoutError):
        ended = True
    lasted = time.monotonic() - began
    if ended:
        meaning = "A proxy or a firewall closes quiet connections after a while."
        advice = (
            "sse-hub --ping 5",
            "nginx:    proxy_read_timeout 1h;",
            "balancers: an idle timeout above that of --ping",
        )
        return Finding(name, Status.FAILED, f"it was cut after {lasted:.1f} s", lasted, meaning, advice)
    if not comments and probe.idle <= _PING:
        return Finding(name, Status.SKIPPED, f"open for {lasted:.0f} s; pings come later (--idle 20 waits for them)")
    if not comments:
        meaning = "Without pings, neither side notices that the other has gone, and proxies cut quiet connections."
        return Finding(
            name,
            Status.WARNING,
            f"no ping within {probe.idle:g} s",
            meaning=meaning,
            advice=("sse-hub --ping 15",),
        )
    return Finding(name, Status.OK, f"open for {lasted:.0f} s, first ping after {comments[0]:.1f} s")


PROBES: tuple[Callable[[Probe], Awaitable[Finding]], ...] = (
    health,
    main_stream,
    metrics,
    custom_channel,
    broadcast,
    buffering,
    compression,
    headers,
    resuming,
)
"""The checks in their order. The quiet stream is watched at the same time."""
