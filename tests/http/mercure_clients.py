"""Speaks with a hub by a library of PyPI, and prints what comes. Arguments: the library, the URL of the hub, a secret.

It is a program of its own, because two of these libraries replace parts of Python when they are imported (gevent).
"""

from __future__ import annotations

import json
import os
import queue
import sys

import jwt

TOPICS = ["https://e.com/books/1", "https://e.com/books"]


def mercure_publisher(url: str, secret: str) -> None:
    """Publish a private update with tokens of its own, which end."""
    from mercure_publisher import MercureConfig, MercurePublisher

    with MercurePublisher(MercureConfig(url, secret, ["*"])) as publisher:
        show(publisher.publish(TOPICS, {"title": 1}, private=True, id="urn:id:1", type="news", retry=5000))


def pymercure(url: str, secret: str) -> None:
    """Follow, publish, and see the two errors of publishing."""
    from pymercure.consumer import Consumer
    from pymercure.exceptions import PublishRejectedError, UnauthorizedPublisherError
    from pymercure.message import Message
    from pymercure.publisher.sync import SyncPublisher

    received: queue.Queue[Message] = queue.Queue()
    consumer = Consumer(url, ["https://e.com/books/{id}"], received.put)
    consumer.daemon = True
    consumer.start_consumption()
    message = Message(TOPICS, '{"title": 1}', message_id="urn:id:1", event_type="news")
    show(SyncPublisher(url, token(secret, publish=["*"])).publish(message))
    got = received.get()
    show(got.message_id, got.event_type, got.data)
    for refused, error in (
        (token(secret, publish=["other"]), PublishRejectedError),
        (token("x" * 32, publish=["*"]), UnauthorizedPublisherError),
    ):
        try:
            SyncPublisher(url, refused).publish(message)
        except error:
            show(error.__name__)
    os._exit(0)  # its consumer has no way to end, and keeps the interpreter from ending


def flask_mercure_sse(url: str, secret: str) -> None:
    """Publish, make a URL with authorization, and read the list of subscriptions of a topic."""
    from flask import Flask
    from flask_mercure_sse import MercureSSE

    app = Flask("test")
    app.config["SECRET_KEY"] = secret
    mercure = MercureSSE(app, hub_url=url, hub=False)
    show(mercure.publish(TOPICS[0], {"title": 1}, private=True, id="urn:id:1", type="news"))
    with app.test_request_context():
        show(mercure.authentified_hub_url(TOPICS[0]))
    found = mercure.get_subscriptions("books")  # it leaves slashes as they are, so a topic must have none
    show([each["topic"] for each in found["subscriptions"]])


def token(secret: str, **claim: list[str]) -> str:
    return jwt.encode({"mercure": claim}, secret)


def show(*values: object) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    {each.__name__: each for each in (mercure_publisher, pymercure, flask_mercure_sse)}[sys.argv[1]](*sys.argv[2:])
