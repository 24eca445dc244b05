"""Publishers and followers. They remember the answers and the events that they get."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
import uuid
from collections.abc import Callable, Sequence

import aiohttp

from .check import Connected, Got, Id, Lost, Published, Story

__all__ = ["Follower", "Publisher", "parse_id"]

_PATIENCE = 12.0
"""Seconds without a byte (a ping comes every second) after which a follower connects again."""


def parse_id(text: str) -> Id:
    ms, _, sequence = text.partition("-")
    return int(ms), int(sequence)


class Publisher:
    """Publishes numbered events one after the other, some of them under a key until they are acknowledged.

    :param urls: the nodes.
    :param keys: whether the store knows an `Idempotency-Key` again after a restart.
    """

    def __init__(
        self, name: str, urls: Callable[[], Sequence[str]], channels: Sequence[str], seed: int, *, keys: bool
    ) -> None:
        self.name = name
        self._keys = keys
        self.published: list[Published] = []
        self.ending = False
        self._urls = urls
        self._channels = channels
        self._random = random.Random(seed)
        self._number = 0

    async def run(self, client: aiohttp.ClientSession) -> None:
        while not self.ending:
            await self.publish(client)
            await asyncio.sleep(self._random.expovariate(1 / 0.02))

    async def publish(self, client: aiohttp.ClientSession) -> None:
        """Publish one event, or a batch; with a key, until it is acknowledged."""
        self._number += 1
        count = self._random.choice([1, 1, 1, 1, 1, 5, 40])
        size = self._random.choice([10, 10, 10, 200, 5000])
        channel = self._random.choice(self._channels)
        each = Published(
            f"{self.name}.{self._number}.{'x' * size}", channel, count=count, sent_ms=time.time_ns() // 1_000_000
        )
        body = each.data if count == 1 else "\n".join(f"{each.data}/{number}" for number in range(count))
        headers = {"Content-Type": "application/x-ndjson"} if count > 1 else {}
        keyed = (count > 1 or self._random.random() < 0.5) and self._keys
        if keyed:
            headers["Idempotency-Key"] = str(uuid.uuid4())
        self.published.append(each)
        while True:
            status = await self._try(client, each, body, headers)
            if status == "yes" or not keyed:
                break
            if self.ending and status == "no":
                break
            await asyncio.sleep(0.05)
        if status == "no":
            self.published.remove(each)  # it was refused: no follower may get it

    async def _try(self, client: aiohttp.ClientSession, each: Published, body: str, headers: dict[str, str]) -> str:
        """Whether it was published: `yes`, `no`, or `perhaps`."""
        url = f"{self._random.choice(self._urls())}/realtime/{each.channel}"
        try:
            async with client.post(url, data=body, headers=headers) as answer:
                said = await answer.json(content_type=None)
        except aiohttp.ClientConnectorError:
            return "no" if "Idempotency-Key" not in headers else "perhaps"
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return "perhaps"
        if answer.status == 200:
            first, last = said["ids"] if each.count > 1 else (said["id"], said["id"])
            each.ids = parse_id(first), parse_id(last)
            return "yes"
        if answer.status != 503:
            raise AssertionError(f"{url} answered {answer.status}: {said}")
        return "perhaps"


class Follower:
    """Follows channels and patterns through all faults, and resumes at its cursor.

    :param urls: the nodes, as it reaches them.
    :param amnesia: returns the last time at which a store forgot something. A reported loss of that time may be none.
    """

    def __init__(
        self,
        name: str,
        names: Sequence[str],
        urls: Callable[[], Sequence[str]],
        amnesia: Callable[[], float],
        seed: int,
        *,
        away: float = 0.0,
    ) -> None:
        self.story = Story(name, names)
        self.last = ""
        self.reached: Id = (0, 0)
        self._names = names
        self._urls = urls
        self._amnesia = amnesia
        self._random = random.Random(seed)
        self._away = away
        self.staying = False
        """Whether it stays connected from now on."""
        self._heard = time.monotonic()

    async def run(self, client: aiohttp.ClientSession) -> None:
        """Until cancelled."""
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await self._connect(client)
            await asyncio.sleep(self._random.uniform(0.05, 0.3))
            if self._away and not self.staying and self._random.random() < 0.5:
                await asyncio.sleep(self._random.uniform(0, self._away))

    async def _connect(self, client: aiohttp.ClientSession) -> None:
        query = "&".join(f"channel={name}" for name in self._names)
        headers = {"Last-Event-ID": self.last} if self.last else {}
        began = time.monotonic()
        until = began + self._random.uniform(0.5, 8.0) if self._away else began + 3600
        async with client.get(f"{self._random.choice(self._urls())}/stream?{query}", headers=headers) as response:
            if response.status != 200:
                raise AssertionError(f"a stream was answered {response.status}: {await response.text()}")
            fields: dict[str, str] = {}
            lines: list[str] = []
            while self.staying or time.monotonic() < until:
                async with asyncio.timeout(_PATIENCE):
                    raw = await response.content.readline()
                if not raw.endswith(b"\n"):
                    return
                line = raw.rstrip(b"\r\n").decode()
                if line:
                    name, _, value = line.partition(":")
                    value = value.removeprefix(" ")
                    if name == "data":
                        lines.append(value)
                    else:
                        fields[name] = value
                    continue
                if lines:
                    self._note(fields, "\n".join(lines))
                fields, lines = {}, []

    def _note(self, fields: dict[str, str], data: str) -> None:
        type, id = fields.get("event", "message"), fields.get("id", "")
        # The node knows by now of everything that was forgotten before this time.
        excused = self._amnesia() > self._heard - 3
        if type == "connected":
            lost = json.loads(data)["lost"]
            cursor = parse_id(self.last) if self.last else None
            self.story.entries.append(Connected(cursor, parse_id(id), lost, excused, time.time_ns() // 1_000_000))
        elif type == "lost":
            said = json.loads(data)
            self.story.entries.append(Lost(parse_id(said["after"]), parse_id(said["next"]), excused))
        elif type == "message":
            self.story.entries.append(Got(parse_id(id), data))
            self.reached = parse_id(id)
            self._heard = time.monotonic()
        if id:
            self.last = id
