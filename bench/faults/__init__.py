"""Causes faults by the hundred, and checks that no event is lost in silence: `python -m bench faults --seconds 600
--seed 1`.

Publishers remember the acknowledged events. Followers remember the events that they got, and the losses that were
reported to them. Meanwhile nodes are killed, stopped and continued, connections cut, delayed and reset, clocks moved,
stores killed, filled, locked, trimmed by others, failed over and restored from an old copy. Then all faults are ended.
`check.py` checks that each follower has every acknowledged event once and in order, or got a report of a loss that
covers the missing ones, and that no report is false. Every node must work again. No node may have ended, or logged a
traceback.

    parts.py    nodes, a Redis, and the network between: real processes and sockets
    world.py    all of them, and the faults
    load.py     publishers and followers, with their memories
    check.py    the checks of these memories; knows nothing of the faults
    run.py      one run, from a seed

A seed decides the faults, their order and their length. The rest depends on the machine.
"""

from __future__ import annotations

from .run import main

__all__ = ["main"]
