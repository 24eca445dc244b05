"""The nodes, stores and networks of a run, and the faults."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import shutil
import signal
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from .parts import FAKETIME, Network, Node, RedisProcess

__all__ = ["World"]

Fault = Callable[[], Awaitable[None]]


class World:
    """All that can fail.

    :param store: `memory`, `sqlite` or `redis`.
    :param loop: `asyncio` or `uvloop`.
    """

    def __init__(self, store: str, loop: str, seed: int) -> None:
        self.store = store
        self.random = random.Random(seed)
        self.folder = Path(tempfile.mkdtemp(prefix="faults-"))
        self.amnesia = 0.0
        """The last time at which the store forgot an acknowledged event."""
        self.redis: RedisProcess | None = None
        self.replica: RedisProcess | None = None
        self._snapshot: Path | None = None
        if store == "redis":
            self.redis = RedisProcess(self.folder / "redis-a")
        self.lines: list[Network] = []
        """Between each node and Redis."""
        self.nodes = [
            Node(self.folder, f"node-{number}", self._address(number), loop)
            for number in range(3 if store == "redis" else 1)
        ]

    def _address(self, number: int) -> Callable[[], str]:
        if self.store == "redis":
            return lambda: f"redis://127.0.0.1:{self.lines[number].port}/0?grace=1"
        return lambda: f"sqlite:{self.folder / 'events.db'}" if self.store == "sqlite" else "memory"

    async def begin(self) -> None:
        for node in self.nodes:
            await node.network.start()
            if self.redis is not None:
                self.lines.append(Network(self.redis.port))
                await self.lines[-1].start()
            node.start()

    async def end(self) -> list[str]:
        """End all processes; return what was wrong with them."""
        wrong = []
        for node in self.nodes:
            node.go_on()
            assert node.process is not None
            if node.process.poll() is not None:
                node.unexpected.append(node.process.returncode)
            else:
                node.process.send_signal(signal.SIGTERM)
                if (status := await asyncio.to_thread(node.process.wait, 30)) != 0:
                    wrong.append(f"{node.name} ended with status {status} at SIGTERM")
            wrong += [f"{node.name} ended by itself with status {status}" for status in node.unexpected]
            text = node.log.read_text(errors="replace")
            if "Traceback" in text:
                at = text.index("Traceback")
                wrong.append(f"{node.name} logged a traceback: {text[at - 300 : at + 1500]}")
            await node.network.stop()
        for line in self.lines:
            await line.stop()
        for redis in filter(None, (self.redis, self.replica)):
            redis.process.send_signal(signal.SIGCONT)
            redis.end()
        if not wrong:
            shutil.rmtree(self.folder)
        return wrong

    def forget(self) -> None:
        self.amnesia = time.monotonic()

    def mend(self) -> None:
        """End the faults."""
        for node in self.nodes:
            node.go_on()
            node.network.mend()
            node.set_clock(0)
            assert node.process is not None
            if node.process.poll() is not None:
                node.unexpected.append(node.process.returncode)
                node.start()
        for line in self.lines:
            line.mend()

    # The faults

    def faults(self) -> list[Fault]:
        """The faults that are possible with this store."""
        common = [self.kill_node, self.end_node, self.stop_node, self.cut, self.reset, self.delay, self.slow]
        clock = [self.move_clock] if FAKETIME is not None else []
        if self.store == "sqlite":
            return [*common, *clock, self.lock_file, self.read_file_for_long, self.fill_disk]
        if self.store == "redis":
            lines = [self.cut_line, self.reset_line, self.slow_line]
            redis = [self.kill_redis, self.stop_redis, self.fill_redis, self.trim, self.write_nonsense, self.evict]
            return [*common, *clock, *lines, *lines, *redis, *redis, self.flush_redis, self.restore, self.fail_over]
        return [*common, *clock]

    async def _for(self, least: float, most: float) -> None:
        await asyncio.sleep(self.random.uniform(least, most))

    def _node(self) -> Node:
        return self.random.choice(self.nodes)

    async def kill_node(self) -> None:
        node = self._node()
        if self.store == "memory":
            self.forget()
        node.end(signal.SIGKILL)
        await self._for(0, 3)
        node.start()

    async def end_node(self) -> None:
        node = self._node()
        if self.store == "memory":
            self.forget()
        await asyncio.to_thread(node.end, signal.SIGTERM)
        await self._for(0, 1)
        node.start()

    async def stop_node(self) -> None:
        node = self._node()
        node.stop()
        await self._for(0.5, 14)
        node.go_on()

    async def cut(self) -> None:
        node = self._node()
        node.network.cut()
        await self._for(0.5, 8)
        node.network.mend()

    async def reset(self) -> None:
        self._node().network.reset()

    async def delay(self) -> None:
        node = self._node()
        node.network.delay = self.random.uniform(0.01, 0.5)
        await self._for(1, 6)
        node.network.mend()

    async def slow(self) -> None:
        node = self._node()
        node.network.bytes_per_second = self.random.choice([2_000, 50_000])
        await self._for(1, 8)
        node.network.mend()

    async def move_clock(self) -> None:
        node = self._node()
        if self.store == "memory":
            self.forget()  # a hub in memory begins anew with another clock
        node.set_clock(self.random.choice([-7200, -30, 5, 30, 7200, 365 * 86400]))
        await self._for(2, 8)
        node.set_clock(0)
        await asyncio.sleep(1.5)

    async def lock_file(self) -> None:
        other = sqlite3.connect(self.folder / "events.db", isolation_level=None, timeout=5)
        with contextlib.suppress(sqlite3.Error):
            other.execute("BEGIN IMMEDIATE")
            await self._for(0.5, 6)
            other.execute("ROLLBACK")
        other.close()

    async def read_file_for_long(self) -> None:
        other = sqlite3.connect(self.folder / "events.db", isolation_level=None, timeout=5)
        with contextlib.suppress(sqlite3.Error):
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM events").fetchone()
            await self._for(1, 8)
            other.execute("COMMIT")
        other.close()

    async def fill_disk(self) -> None:
        node = self._node()
        if node.process is None or node.process.poll() is not None:
            return
        node.limit_files(200_000)
        await self._for(1, 5)
        node.limit_files(None)

    async def cut_line(self) -> None:
        line = self.random.choice(self.lines)
        line.cut()
        await self._for(0.5, 9)
        line.mend()

    async def reset_line(self) -> None:
        line = self.random.choice(self.lines)
        line.reset(refuse=True)
        await self._for(0, 3)
        line.mend()

    async def slow_line(self) -> None:
        line = self.random.choice(self.lines)
        line.bytes_per_second, line.delay = self.random.choice([20_000, 300_000]), self.random.choice([0, 0.05, 0.4])
        await self._for(1, 9)
        line.mend()

    async def kill_redis(self) -> None:
        assert self.redis is not None
        self.redis.end()
        await self._for(0, 4)
        await asyncio.to_thread(self.redis.start)

    async def stop_redis(self) -> None:
        assert self.redis is not None
        self.redis.process.send_signal(signal.SIGSTOP)
        await self._for(0.3, 7)
        self.redis.process.send_signal(signal.SIGCONT)

    async def fill_redis(self) -> None:
        assert self.redis is not None
        self.redis.ask("CONFIG", "SET", "maxmemory", "1")
        await self._for(0.5, 5)
        self.redis.ask("CONFIG", "SET", "maxmemory", "0")

    async def trim(self) -> None:
        assert self.redis is not None
        self.redis.ask("XTRIM", "{sse-hub}:events", "MAXLEN", str(self.random.choice([0, 10, 100])))

    async def write_nonsense(self) -> None:
        assert self.redis is not None
        for key in ("events", "ephemeral"):
            self.redis.ask("XADD", f"{{sse-hub}}:{key}", "*", "not", "ours")

    async def evict(self) -> None:
        assert self.redis is not None
        key = self.random.choice(["floors", "over", "channels"])
        if key == "floors":
            self.forget()  # the highest of all is then that of every channel
        self.redis.ask("DEL", f"{{sse-hub}}:{key}")

    async def flush_redis(self) -> None:
        assert self.redis is not None
        self.forget()
        self.redis.ask("FLUSHALL")
        await asyncio.sleep(3)
        self.forget()

    async def restore(self) -> None:
        """Restore an older copy of the data."""
        assert self.redis is not None
        if self._snapshot is None:
            self._snapshot = self.folder / "snapshot"
            shutil.copytree(self.redis.folder, self._snapshot)
            return
        self.forget()
        self.redis.end()
        shutil.rmtree(self.redis.folder)
        shutil.copytree(self._snapshot, self.redis.folder)
        shutil.rmtree(self._snapshot)
        self._snapshot = None
        await asyncio.to_thread(self.redis.start)
        self.forget()
        await asyncio.sleep(3)
        self.forget()

    async def fail_over(self) -> None:
        """Let a replica become the master, with the data that it has. Connections to the old master stay."""
        assert self.redis is not None
        old = self.redis
        if self.replica is not None:
            self.replica.end()
        name = re.sub(r"\W", "", str(time.monotonic()))
        new = self.replica = await asyncio.to_thread(RedisProcess, self.folder / f"redis-{name}")
        new.ask("REPLICAOF", "127.0.0.1", str(old.port))
        await self._for(0.5, 3)
        self.forget()
        for line in self.lines:
            line.target = new.port
        new.ask("REPLICAOF", "NO", "ONE")
        old.ask("REPLICAOF", "127.0.0.1", str(new.port))
        self.redis, self.replica = new, old
        if self._snapshot is not None:
            shutil.rmtree(self._snapshot)
            self._snapshot = None
        await asyncio.sleep(3)
        self.forget()
