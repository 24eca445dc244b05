import os

from sse_client import SSEClient

with SSEClient.sync(os.environ.get("SSE_URL", "http://127.0.0.1:8000")) as hub:
    published = hub.publish({"total": 42}, channel="user.7", event="order")
    print(published.id)
