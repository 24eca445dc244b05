"""Start and cancel jobs. Run: uvicorn web:app --port 8001"""

import os
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from tasks import HUB, work

app = FastAPI()


@app.get("/")
def page() -> FileResponse:
    return FileResponse(Path(__file__).with_name("page.html"))


@app.post("/jobs")
def start() -> dict[str, str]:
    job = work.delay()
    return {"id": job.id, "url": os.environ.get("SSE_PUBLIC_URL", HUB) + f"/realtime/jobs.{job.id}?replay=100"}


@app.delete("/jobs/{id}")
def cancel(id: str) -> None:
    work.AsyncResult(id).abort()
