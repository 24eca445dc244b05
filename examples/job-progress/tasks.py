"""A job for a Celery worker that tells its progress. Run: celery --app tasks worker"""

import os
import time
from typing import Any

from celery import Celery

from sse_client import Ended, SSEClient

HUB = os.environ.get("SSE_URL", "http://127.0.0.1:8000")
REDIS = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
STEPS = 20

app = Celery("tasks", broker=REDIS, backend=REDIS)
app.conf.broker_connection_retry_on_startup = True


@app.task(bind=True)
def work(self: Any) -> str:
    # The run ends the channel: as done here, as failed if the work raises an error.
    with SSEClient.sync(HUB, token=os.environ.get("SSE_TOKEN")) as hub:
        try:
            with hub.run(f"jobs.{self.request.id}", event="progress") as run:
                for step in range(1, STEPS + 1):
                    run.write({"step": step, "steps": STEPS})
                    time.sleep(0.2)  # the work itself
        except Ended as ended:  # somebody has pressed Cancel
            return ended.reason
    return "done"
