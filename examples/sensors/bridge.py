"""Pass on what MQTT sensors send to the hub: topic sensors/7 becomes channel sensors.7. Run: python bridge.py"""

import asyncio
import logging
import os
from hashlib import sha256

import aiohttp
import aiomqtt

HUB = os.environ.get("SSE_URL", "http://127.0.0.1:8000")
HOST, PORT = os.environ.get("MQTT_HOST", "127.0.0.1"), int(os.environ.get("MQTT_PORT", "1883"))


async def publish(hub: aiohttp.ClientSession, topic: str, payload: bytes) -> None:
    """Publish until the hub has it. With QoS 1, MQTT may send a message twice; the key makes one event of both."""
    channel = topic.replace("/", ".")
    key = sha256(topic.encode() + b"\n" + payload).hexdigest()
    while True:
        try:
            async with hub.post(
                f"{HUB}/realtime/{channel}?event=reading", data=payload, headers={"Idempotency-Key": key}
            ) as answer:
                if answer.status < 400:
                    return
                if answer.status not in (429, 503):  # it will never be accepted
                    logging.error("%s: %s", topic, await answer.text())
                    return
        except aiohttp.ClientError as error:
            logging.warning("the hub is away: %s", error)
        await asyncio.sleep(1)


async def main() -> None:
    async with aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as hub:
        while True:
            try:
                # A session that is not clean: the broker keeps what comes while the bridge is away.
                async with aiomqtt.Client(HOST, PORT, identifier="sse-bridge", clean_session=False) as broker:
                    await broker.subscribe("sensors/#", qos=1)
                    async for message in broker.messages:
                        await publish(hub, str(message.topic), bytes(message.payload))
            except aiomqtt.MqttError as error:
                logging.warning("the broker is away: %s", error)
                await asyncio.sleep(1)


asyncio.run(main())
