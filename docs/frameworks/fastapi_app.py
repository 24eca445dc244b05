"""Users log in, order, and see their orders as they come. Run: uvicorn fastapi_app:app --port 8001"""

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.templating import Jinja2Templates
from starlette.middleware.sessions import SessionMiddleware
from tokens import token_for, token_to_publish

from sse_client import SSEClient

HUB = os.environ.get("SSE_URL", "http://127.0.0.1:8000")
PASSWORDS = {"anna": "blue", "bruno": "green"}  # yours are hashed, in a database
templates = Jinja2Templates(Path(__file__).with_name("templates"))


def user_of(request: Request) -> str:
    if "user" not in request.session:
        raise HTTPException(403, "log in first")
    return str(request.session["user"])


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with SSEClient(HUB, token=token_to_publish) as app.state.hub:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/orders", status_code=204)
async def order(item: Annotated[str, Form()], user: Annotated[str, Depends(user_of)]) -> None:
    await app.state.hub.publish({"item": item}, channel=f"user.{user}", event="order")


@app.get("/")
async def page(request: Request) -> Response:
    context = {}
    if user := request.session.get("user"):
        context = {"user": user, "stream": f"{HUB}/realtime/user.{user}?replay=20&token={token_for(user)}"}
    return templates.TemplateResponse(request, "orders.html", context)


@app.post("/login")
async def login(user: Annotated[str, Form()], password: Annotated[str, Form()], request: Request) -> Response:
    if PASSWORDS.get(user) != password:
        raise HTTPException(403, "wrong user or password")
    request.session["user"] = user
    return RedirectResponse("/", status_code=303)


app.add_middleware(SessionMiddleware, secret_key=secrets.token_hex())  # yours stays over a restart
