"""How many events a second are accepted in batches: `python bench/batch.py`.

One connection posts NDJSON, 1,000 events of 100 bytes in each request, to the hub with each store that it is asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence

import aiohttp
from servers import Server, hub, pin_load

__all__ = ["main"]

_EVENTS = 1000


async def _measure(server: Server, seconds: float) -> float:
    line = '{"sensor":"temperature","room":"kitchen","value":21.5,"unit":"°C","pad":"'
    body = "\n".join(line.ljust(98 - len(str(n)), "x") + f'{n}"}}' for n in range(_EVENTS)).encode()
    url = f"http://{server.address[0]}:{server.address[1]}/realtime/batch"
    async with aiohttp.ClientSession(headers={"Content-Type": "application/x-ndjson"}) as client:
        accepted, began = 0, time.monotonic()
        while time.monotonic() - began < seconds:
            async with client.post(url, data=body) as response:
                assert response.status == 200
            accepted += _EVENTS
        return accepted / (time.monotonic() - began)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Events accepted in batches.")
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args(arguments)
    pin_load()
    with tempfile.TemporaryDirectory() as folder:
        for store in ("memory", f"sqlite:{folder}/events.db"):
            with hub("--store", store, "--log-level", "warning") as server:
                print(f"{store.partition(':')[0]:8}{asyncio.run(_measure(server, given.seconds)):12,.0f} events/s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
