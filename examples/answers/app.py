"""Ask a language model; each answer is a channel with an end. Run: uvicorn app:app --port 8001"""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import BackgroundTasks, Body, FastAPI
from fastapi.responses import FileResponse, RedirectResponse
from model import answer

from sse_client import Ended, SSEClient

HUB = os.environ.get("SSE_URL", "http://127.0.0.1:8000")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with SSEClient(HUB, token=os.environ.get("SSE_TOKEN")) as app.state.hub:
        yield


app = FastAPI(lifespan=lifespan)


async def write(id: UUID, question: str) -> None:
    try:
        async with app.state.hub.run(f"answers.{id}", event="token", interrupt=True) as run:
            async for token in answer(question):
                await run.write(token)
    except Ended as ended:  # somebody has pressed Stop: the model writes no further
        print(f"{id}: {ended.reason}", flush=True)
    except Exception:  # the run has ended the channel as failed
        logging.exception("%s: the model failed", id)


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(Path(__file__).with_name("page.html"))


@app.post("/answers")
async def ask(question: Annotated[str, Body(embed=True)], background: BackgroundTasks) -> dict[str, UUID]:
    id = uuid4()  # nobody guesses it
    background.add_task(write, id, question)
    return {"id": id}


@app.get("/answers/{id}")
async def read(id: UUID) -> RedirectResponse:
    """Here you can check the log-in, and add a token for this channel."""
    return RedirectResponse(f"{HUB}/realtime/answers.{id}?from=start")


@app.delete("/answers/{id}")
async def stop(id: UUID) -> None:
    with suppress(Ended):
        await app.state.hub.end(f"answers.{id}", "cancelled")
