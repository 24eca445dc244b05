"""Users log in and get notifications in their own channel. Run: uvicorn app:app --port 8001"""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import jwt
from fastapi import Cookie, FastAPI, HTTPException, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel

from sse_client import SSEClient

HUB = os.environ.get("SSE_URL", "http://127.0.0.1:8000")
KEY = os.environ["SSE_JWT_KEY"]  # the hub has the same
PASSWORDS = {"anna": "blue", "bruno": "green"}  # yours are hashed, in a database


class Login(BaseModel):
    user: str
    password: str


def sign(seconds: float, **claims: object) -> str:
    return jwt.encode({"exp": time.time() + seconds, **claims}, KEY, "HS256")


def publisher() -> str:
    return sign(60, sub="app", sse={"subscribe": [], "publish": ["user.*"]})


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with SSEClient(HUB, token=publisher) as app.state.hub:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(Path(__file__).with_name("page.html"))


@app.post("/login")
async def login(given: Login, response: Response) -> None:
    if PASSWORDS.get(given.user) != given.password:
        raise HTTPException(403, "wrong user or password")
    response.set_cookie("session", sign(86400, sub=given.user, aud="app"), httponly=True, samesite="strict")


def user_of(session: str) -> str:
    try:
        return str(jwt.decode(session, KEY, ["HS256"], audience="app")["sub"])
    except jwt.InvalidTokenError:
        raise HTTPException(401, "log in first") from None


@app.get("/stream-address")
async def address(session: Annotated[str, Cookie()] = "") -> dict[str, str]:
    user = user_of(session)
    token = sign(3600, sub=user, sse={"subscribe": [f"user.{user}"], "publish": []})
    return {"user": user, "url": f"{HUB}/realtime/user.{user}?token={token}"}


@app.post("/notify/{user}")
async def notify(user: str, text: str, session: Annotated[str, Cookie()] = "") -> None:
    message = {"from": user_of(session), "text": text}
    await app.state.hub.publish(message, channel=f"user.{user}", event="notification")
