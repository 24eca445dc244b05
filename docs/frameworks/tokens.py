"""Tokens that an application signs with the key of the hub, for its users and for itself."""

import os
import time

import jwt


def token_for(user: str) -> str:
    grant = {"subscribe": [f"user.{user}"], "publish": []}
    claims = {"sub": user, "sse": grant, "exp": time.time() + 3600}
    return jwt.encode(claims, os.environ["SSE_JWT_KEY"], "HS256")


def token_to_publish() -> str:
    grant = {"subscribe": [], "publish": ["user.*"]}
    claims = {"sub": "application", "sse": grant, "exp": time.time() + 60}
    return jwt.encode(claims, os.environ["SSE_JWT_KEY"], "HS256")


if __name__ == "__main__":
    print(token_for("7"))
