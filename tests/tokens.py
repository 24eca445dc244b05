"""Tokens for tests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import jwt

SECRET = "0123456789abcdef0123456789abcdef"


def mint(
    subscribe: Sequence[str] = (),
    publish: Sequence[str] = (),
    *,
    key: Any = SECRET,
    algorithm: str = "HS256",
    lasts: float = 3600,
    headers: dict[str, Any] | None = None,
    admin: bool = False,
    **claims: Any,
) -> str:
    """A token with these rights and this lifetime in seconds."""
    claim = {"subscribe": list(subscribe), "publish": list(publish), **({"admin": True} if admin else {})}
    return jwt.encode({"exp": time.time() + lasts, "sse": claim, **claims}, key, algorithm, headers)


def bearer(*arguments: Any, **options: Any) -> dict[str, str]:
    """The header with a token; see `mint`."""
    return {"Authorization": f"Bearer {mint(*arguments, **options)}"}
