"""Start and cancel jobs. Run: uvicorn web:app --port 8001"""

import os
from contextlib import suppress
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from tasks import HUB, work

from sse_client import Ended, SSEClient

app = FastAPI()


@app.get("/")
def page() -> FileResponse:
    return FileResponse(Path(__file__).with_name("page.html"))


@app.post("/jobs")
def start() -> dict[str, str]:
    job = work.delay()
    return {"id": job.id, "url": os.environ.get("SSE_PUBLIC_URL", HUB) + f"/realtime/jobs.{job.id}?from=start"}


@app.delete("/jobs/{id}")
async def cancel(id: str) -> None:
    async with SSEClient(HUB, token=os.environ.get("SSE_TOKEN")) as hub:
        with suppress(Ended):  # the job was quicker
            await hub.end(f"jobs.{id}", "cancelled")
