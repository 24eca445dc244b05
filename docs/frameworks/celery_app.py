"""The job as a task of Celery. Run: celery --app celery_app worker"""

import os

from celery import Celery
from report import report

app = Celery("reports", broker=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
app.conf.broker_connection_retry_on_startup = True
app.task(report, name="report")
