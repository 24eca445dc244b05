"""The number of this process among the workers of one server, and the figures that the workers share.

The figures are shared memory with a row for each worker. It is made before the workers start, and each inherits it. A
worker writes its own row and reads all rows, so it does not have to ask the others.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

__all__ = ["MAX_WORKERS", "Board", "Figures", "Worker"]

MAX_WORKERS = 256
"""Largest number of workers, enough for any machine. The id of a subscriber modulo this number is the number of its
worker."""


class Figures(NamedTuple):
    """The counters of a worker."""

    subscribers: int = 0
    published: int = 0
    delivered: int = 0
    requests: int = 0
    errors: int = 0


_ROW = struct.Struct(f"={len(Figures._fields)}q")
_SERVING = struct.Struct("=q")
_SIZE_BYTES = _SERVING.size + _ROW.size


class Board:
    """The figures of all workers."""

    def __init__(self, rows: int = 1) -> None:
        self._rows = rows
        self._memory = mmap.mmap(-1, rows * _SIZE_BYTES)

    def write(self, row: int, figures: Figures) -> None:
        """Write the figures of a worker into its row."""
        _ROW.pack_into(self._memory, row * _SIZE_BYTES + _SERVING.size, *figures)

    def total(self) -> Figures:
        """The sums over all workers. Every worker has every event, so the number of events is the largest count."""
        rows = [
            Figures(*_ROW.unpack_from(self._memory, row * _SIZE_BYTES + _SERVING.size)) for row in range(self._rows)
        ]
        sums = Figures(*map(sum, zip(*rows, strict=True)))
        return sums._replace(published=max(row.published for row in rows))

    def begin(self, row: int) -> None:
        """Note that a worker serves."""
        _SERVING.pack_into(self._memory, row * _SIZE_BYTES, 1)

    def clear(self, row: int) -> None:
        """Forget a worker that has ended."""
        self._memory[row * _SIZE_BYTES : (row + 1) * _SIZE_BYTES] = bytes(_SIZE_BYTES)

    def serving(self) -> int:
        """The number of workers that serve."""
        return sum(_SERVING.unpack_from(self._memory, row * _SIZE_BYTES)[0] for row in range(self._rows))


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that serves; without `--workers` it is the only one."""

    number: int = 0
    """Counted from 0. A worker that replaces another one takes its number."""
    sockets: Path | None = None
    """Folder in which each worker listens for the others; None for the only one."""
    board: Board = field(default_factory=Board)
