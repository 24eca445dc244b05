"""A job for a Celery worker that tells its progress. Run: celery --app tasks worker"""

import os
import time
from typing import Any

from celery import Celery

from sse_client import Ended, SSEClient

HUB = os.environ.get("SSE_URL", "http://127.0.0.1:8000")
STEPS = int(os.environ.get("STEPS", "20"))

app = Celery("tasks", broker=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
app.conf.broker_connection_retry_on_startup = True


@app.task(bind=True)
def work(self: Any) -> str:
    try:
        # A run belongs to one process, so the task begins it. A client made at import would work, too.
        with (
            SSEClient.sync(HUB, token=os.environ.get("SSE_TOKEN")) as hub,
            hub.run(f"jobs.{self.request.id}", event="progress") as run,
        ):
            for step in range(1, STEPS + 1):
                time.sleep(0.2)  # the work itself
                run.write({"step": step, "steps": STEPS})
    except Ended as ended:  # somebody has cancelled the job
        return ended.reason
    return "done"
