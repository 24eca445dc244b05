"""A Flask application that publishes from a route. Run: flask --app flask_app run --port 8001"""

import os

from flask import Flask

from sse_client import SSEClient

app = Flask(__name__)
HUB = os.environ.get("SSE_URL", "http://127.0.0.1:8000")


@app.post("/orders/<item>")
def order(item: str) -> dict[str, str | None]:
    with SSEClient.sync(HUB, token=os.environ.get("SSE_TOKEN")) as hub:
        published = hub.publish({"item": item}, channel="orders.new", event="order", deadline=5)
    return {"event": published.id}
