"""`python -m bench`: the hub, its peers and the limit, as suite.py measures them.

`python -m bench WHAT` is one of the other files: what only we have, and nobody can be measured beside. The files here
import each other by their names, as scripts do.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

WHAT = {
    "browser": "the browser client, at 10,000 events a second in Chromium",
    "charts": "what the charts and the timeline of the page cost in Chromium",
    "compress": "shared compression, beside none and a compressor for each connection",
    "faults": "what the field does to nodes, stores and networks, and what is left",
    "nodes": "several processes that share a port and one Redis",
    "parse": "the client's parser",
    "publish": "what the stores cost",
    "requests": "a single publish and the opening of a stream, beside a bare aiohttp handler",
    "resume": "a thousand who resume at once, and those who are live beside them",
    "screenshots": "pictures of the page: its views, widths, themes and languages",
    "soak": "everything at once, for hours",
    "users": "a channel for each user, patterns over very many channels, the largest requests beside the live",
}


def main() -> int:
    sys.path.insert(0, str(Path(__file__).parent))
    what = sys.argv[1] if len(sys.argv) > 1 and sys.argv[1] in WHAT else "suite"
    sys.argv[0] = "python -m bench" if what == "suite" else f"python -m bench {sys.argv.pop(1)}"
    status: int = importlib.import_module(what).main()
    return status


if __name__ == "__main__":
    raise SystemExit(main())
