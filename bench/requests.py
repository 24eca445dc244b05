"""A single publish and the opening of a stream, compared with the least that aiohttp does: `python -m bench requests`.

It measures the CPU time of the server, so other programs on the machine disturb little. Rounds alternate, and the least
of each is compared. The median, and the quartiles of the ratios within a round, show how much the machine disturbed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

from servers import MANY, Server, bare, hub, pin_load
from users import Publisher, Subscriber, cost

__all__ = ["main"]

_PUBLISHES = 1000
_STREAMS = 200
_SETTLE = 0.3


def _publish(server: Server) -> Callable[[], None]:
    publisher = Publisher(server)

    def act() -> None:
        for _ in range(_PUBLISHES):
            publisher.publish("/realtime/main")

    return act


def _open(server: Server) -> Callable[[], None]:
    def act() -> None:
        streams = [Subscriber(server, "/realtime/main") for _ in range(_STREAMS)]
        for stream in streams:
            stream.until(b"connected")
            stream.close()
        time.sleep(_SETTLE)  # until the server has noticed

    return act


def _row(name: str, ours: Sequence[float], least: Sequence[float]) -> str:
    costs = " | ".join(f"{min(found):.1f} ({statistics.median(found):.1f})" for found in (ours, least))
    low, _, high = statistics.quantiles([one / other for one, other in zip(ours, least, strict=True)], n=4)
    return f"| {name} | {costs} | {min(ours) / min(least):.2f} ({low:.2f} to {high:.2f}) |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench requests", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="at least 2 (15)")
    given = parser.parse_args(arguments)
    if given.rounds < 2:
        parser.error(f"--rounds is {given.rounds}; it takes at least 2, because the table shows how they differ")
    pin_load()
    print("| µs of the server's CPU: least (median) | sse-hub | bare aiohttp | ratio (quartiles of the rounds) |")
    print("| --- | --: | --: | --: |")
    with hub(*MANY) as ours, bare() as least:
        for name, make, count in (
            ("a publish", _publish, _PUBLISHES),
            ("a stream, opened and closed", _open, _STREAMS),
        ):
            acts = [(server, make(server)) for server in (ours, least)]
            costs: list[list[float]] = [[], []]
            for _ in range(given.rounds):
                for (server, act), found in zip(acts, costs, strict=True):
                    found.append(cost(server, act, count))
            print(_row(name, *costs), flush=True)
    return 0
