"""A job for a Celery worker that tells its progress. Run: celery --app tasks worker"""

import os
import time
from typing import Any

from celery import Celery
from celery.contrib.abortable import AbortableTask

from sse_client import SSEClient

HUB = os.environ.get("SSE_URL", "http://127.0.0.1:8000")
REDIS = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
STEPS = 20

app = Celery("tasks", broker=REDIS, backend=REDIS)
app.conf.broker_connection_retry_on_startup = True


@app.task(bind=True, base=AbortableTask)
def work(self: Any) -> str:
    # The client is made in the task: a worker forks, and a connection must not be shared with a child.
    with SSEClient.sync(HUB, token=os.environ.get("SSE_TOKEN")) as hub:
        for step in range(1, STEPS + 1):
            if self.is_aborted():
                hub.publish({"state": "cancelled"}, channel=f"jobs.{self.request.id}", event="progress")
                return "cancelled"
            time.sleep(0.2)  # the work itself
            state = "done" if step == STEPS else "working"
            progress = {"state": state, "step": step, "steps": STEPS}
            hub.publish(progress, channel=f"jobs.{self.request.id}", event="progress")
    return "done"
