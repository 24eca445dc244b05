"""A job of three steps, for a worker of Celery or RQ."""

import os

from sse_client import Ended, SSEClient


def report(name: str) -> str:
    hub_url = os.environ.get("SSE_URL", "http://127.0.0.1:8000")
    try:
        with SSEClient.sync(hub_url, token=os.environ.get("SSE_TOKEN")) as hub, hub.run(f"reports.{name}") as run:
            for step in ("reading", "counting", "writing"):
                run.write(step)
    except Ended as ended:  # somebody has stopped the report
        return ended.reason
    return "done"
