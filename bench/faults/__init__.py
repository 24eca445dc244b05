"""Faults by the hundred, and what they must not do: `python -m bench faults --seconds 600 --seed 1`.

Publishers remember what was acknowledged, followers what they got and what they were told is lost. Meanwhile nodes are
killed, stopped and continued, connections cut, delayed and reset, clocks moved, stores killed, filled, locked, trimmed
by others, failed over and restored from an old copy. Then everything is mended, and `check.py` looks whether each
follower has every acknowledged event once and in order, or was told a loss that covers what it lacks, and no loss that
is none. Every node must be well again; none may have ended, or logged a traceback.

    parts.py    nodes, a Redis, and the network between: real processes and sockets
    world.py    all of them, and the faults that can be done to them
    load.py     publishers and followers, and what they remember
    check.py    what must hold of that; knows nothing of how it came about
    run.py      one run, from a seed

A seed decides the faults, their order and their length. What happens between them is up to the machine.
"""

from __future__ import annotations

from .run import main

__all__ = ["main"]
