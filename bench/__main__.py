"""`python -m bench`: the hub, its peers and the limit, as suite.py measures them.

`python -m bench NAME` runs one of the other files: measurements without peers. The files here import each other by
their names, as scripts do.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

WHAT = {
    "answers": "a thousand answers of language models at once, with an early and a late reader each",
    "browser": "the browser client, at 10,000 events a second in Chromium",
    "charts": "what the charts and the timeline of the page cost in Chromium",
    "compress": "shared compression, beside none and a compressor for each connection",
    "faults": "faults of nodes, stores and networks under load, and the events that are lost",
    "mercure": "updates of the Mercure protocol for a thousand subscribers, and for one of ten thousand",
    "nodes": "several processes that share a port and one Redis",
    "parse": "the client's parser",
    "publish": "the costs of the stores",
    "requests": "a single publish and the opening of a stream, beside a bare aiohttp handler",
    "resume": "a thousand subscribers that resume at once, and the latency of live ones meanwhile",
    "screenshots": "pictures of the page: its views, widths, themes and languages",
    "soak": "everything at once, for hours",
    "users": "a channel for each user, patterns over very many channels, the largest requests beside the live",
    "values": "a thousand channels, conflated for a hundred dashboards",
}


def main() -> int:
    sys.path.insert(0, str(Path(__file__).parent))
    what = sys.argv[1] if len(sys.argv) > 1 and sys.argv[1] in WHAT else "suite"
    sys.argv[0] = "python -m bench" if what == "suite" else f"python -m bench {sys.argv.pop(1)}"
    status: int = importlib.import_module(what).main()
    return status


if __name__ == "__main__":
    raise SystemExit(main())
