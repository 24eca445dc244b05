"""Start and cancel jobs. Run: uvicorn web:app --port 8001"""

import os
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from fastapi import FastAPI
from fastapi.responses import FileResponse, RedirectResponse
from tasks import HUB, work

from sse_client import Ended, SSEClient

app = FastAPI()


@app.get("/")
def page() -> FileResponse:
    return FileResponse(Path(__file__).with_name("page.html"))


@app.post("/jobs")
def start() -> dict[str, str]:
    return {"id": work.delay().id}


@app.get("/jobs/{id}")
def follow(id: UUID) -> RedirectResponse:
    """Here you can check the log-in, and add a token for this channel."""
    return RedirectResponse(f"{HUB}/realtime/jobs.{id}?from=start")


@app.delete("/jobs/{id}")
def cancel(id: UUID) -> None:
    with SSEClient.sync(HUB, token=os.environ.get("SSE_TOKEN")) as hub, suppress(Ended):
        hub.end(f"jobs.{id}", "cancelled")
