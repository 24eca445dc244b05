"""Fifty sensors that are not there: each sends a temperature by MQTT every second. Run: python sensors.py"""

import asyncio
import itertools
import json
import os
import random

import aiomqtt

HOST, PORT = os.environ.get("MQTT_HOST", "127.0.0.1"), int(os.environ.get("MQTT_PORT", "1883"))


async def main() -> None:
    async with aiomqtt.Client(HOST, PORT) as broker:
        for number in itertools.count(1):
            for sensor in range(1, 51):
                reading = {"number": number, "celsius": round(random.gauss(20, 2), 1)}
                await broker.publish(f"sensors/{sensor}", json.dumps(reading), qos=1)
            await asyncio.sleep(1)


asyncio.run(main())
