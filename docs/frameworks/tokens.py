import os
import time

import jwt


def token_for(user: str) -> str:
    grant = {"subscribe": [f"user.{user}"], "publish": []}
    claims = {"sub": user, "sse": grant, "exp": time.time() + 3600}
    return jwt.encode(claims, os.environ["SSE_JWT_KEY"], "HS256")


if __name__ == "__main__":
    print(token_for("7"))
