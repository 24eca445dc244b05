"""A single publish and the opening of a stream, compared with the least that aiohttp does: `python -m bench requests`.

It measures the CPU time of the server, so other programs on the machine disturb little. Rounds alternate, and the least
of each is compared.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

from servers import MANY, Server, bare, hub, pin_load
from users import Publisher, Subscriber

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench requests", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args(arguments)
    pin_load()
    print("| µs of the server's CPU | sse-hub | bare aiohttp | ratio |\n| --- | --: | --: | --: |")
    with hub(*MANY) as ours, bare() as least:
        for name, make, count in (
            ("a publish", _publish, _PUBLISHES),
            ("a stream, opened and closed", _open, _STREAMS),
        ):
            acts = [(server, make(server)) for server in (ours, least)]
            costs: list[list[float]] = [[], []]
            for _ in range(given.rounds):
                for (server, act), found in zip(acts, costs, strict=True):
                    before = server.cpu()
                    act()
                    found.append((server.cpu() - before) / count * 1e6)
            hub_cost, least_cost = map(min, costs)
            print(f"| {name} | {hub_cost:.0f} | {least_cost:.0f} | {hub_cost / least_cost:.2f} |", flush=True)
    return 0
