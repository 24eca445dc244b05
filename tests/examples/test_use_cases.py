"""The examples, each run as its README says, with a real hub and a real browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiomqtt
import pytest
from eventually import eventually
from hubs import NDJSON, Server, remote, serving
from playwright.async_api import Browser, Page, expect
from programs import ROOT, Start, fetch, free_port, tool
from redis_server import RedisServer
from shells import Shell, adapted, shell
from tokens import SECRET

EXAMPLES = ROOT / "examples"


@contextmanager
def example(command: str, name: str, **variables: str) -> Iterator[Shell]:
    """A program of an example, started in its folder."""
    with shell(f"exec {command}", EXAMPLES / name, PYTHONDONTWRITEBYTECODE="1", **variables) as run:
        yield run


def page_of(name: str, server: Server) -> str:
    return f"{(EXAMPLES / name / 'page.html').as_uri()}?hub={server.url}"


async def test_the_dashboard_shows_a_row_for_each_host_and_marks_a_silent_one(server: Server, page: Page) -> None:
    await page.goto(page_of("dashboard", server))
    with example("python host.py", "dashboard", SSE_URL=server.url, HOST_NAME="one"):
        with example("python host.py", "dashboard", SSE_URL=server.url, HOST_NAME="two"):
            await expect(page.locator("#hosts tr")).to_have_count(2)
            await expect(page.locator("#hosts [data-figure=memory]").first).to_contain_text("%")
        await expect(page.locator("#hosts tr.old")).to_contain_text("two")


async def test_the_dashboard_gets_the_newest_figures_of_many_and_of_a_host_that_was_silent_before(
    page: Page, program: Start
) -> None:
    hub = program("--no-demo", "--config", str(EXAMPLES / "dashboard" / "hub.toml"))
    async with remote(hub.url) as server:

        async def publish(host: str, *loads: int) -> None:
            lines = "\n".join(json.dumps({"cpu": load, "memory": 1, "disk": 1}) for load in loads)
            await server.post(f"/realtime/hosts.{host}?event=figures", data=lines, headers=NDJSON)

        await publish("silent", 1, 7)
        await page.goto(f"{(EXAMPLES / 'dashboard' / 'page.html').as_uri()}?hub={server.url}")
        await expect(page.locator("#hosts tr", has_text="silent")).to_contain_text("7 %")
        await publish("busy", *range(101))
        await expect(page.locator("#hosts tr", has_text="busy")).to_contain_text("100 %")
        assert await server.figure("sse_events_conflated_total") > 0
        assert len(await server.retained("hosts.busy")) == 1


async def test_a_notification_reaches_its_user_only_and_waits_while_he_is_away(browser: Browser) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    async with serving(jwt_key=SECRET) as hub:
        command = f"uvicorn app:app --port {port}"
        with example(command, "notifications", SSE_URL=hub.url, SSE_JWT_KEY=SECRET) as run:
            await asyncio.to_thread(run.until, b"running on")
            anna, bruno = await (await browser.new_context()).new_page(), await (await browser.new_context()).new_page()
            for page, user, password in ((anna, "anna", "blue"), (bruno, "bruno", "green")):
                await page.goto(url)
                await page.get_by_placeholder("user").fill(user)
                await page.get_by_placeholder("password").fill(password)
                await page.get_by_role("button").click()
                await expect(page.locator("#state")).to_have_text(f"{user} is connected")
            await anna.evaluate("fetch('/notify/bruno?text=one', {method: 'POST'})")
            await expect(bruno.locator("#toasts li")).to_have_text(["anna: one"])
            await bruno.goto("about:blank")
            await anna.evaluate("fetch('/notify/bruno?text=two', {method: 'POST'})")
            await eventually(lambda: hub.hub.statistics().subscribers == 1)
            await bruno.goto(url)
            await expect(bruno.locator("#toasts li")).to_have_text(["anna: two"])
            await expect(anna.locator("#toasts li")).to_have_count(0)


async def test_a_notification_is_shown_once_where_the_browser_has_none_of_its_own(browser: Browser) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    async with serving(jwt_key=SECRET) as hub:
        with example(f"uvicorn app:app --port {port}", "notifications", SSE_URL=hub.url, SSE_JWT_KEY=SECRET) as run:
            await asyncio.to_thread(run.until, b"running on")
            page = await browser.new_page()
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            await page.add_init_script("delete window.Notification")
            await page.add_init_script("Object.defineProperty(document, 'hidden', { get: () => true })")
            await page.goto(url)
            await page.get_by_placeholder("user").fill("anna")
            await page.get_by_placeholder("password").fill("blue")
            await page.get_by_role("button").click()
            await expect(page.locator("#state")).to_have_text("anna is connected")
            await page.evaluate("fetch('/notify/anna?text=one', {method: 'POST'})")
            await expect(page.locator("#toasts li")).to_have_text(["anna: one"])
            await page.reload()
            await expect(page.locator("#state")).to_have_text("anna is connected")
            await page.evaluate("fetch('/notify/anna?text=two', {method: 'POST'})")
            await expect(page.locator("#toasts li")).to_have_text(["anna: two"])
            assert errors == []


async def test_the_notifications_need_a_log_in() -> None:
    port = free_port()
    with example(f"uvicorn app:app --port {port}", "notifications", SSE_JWT_KEY=SECRET) as run:
        run.until(b"running on")
        assert fetch(f"http://127.0.0.1:{port}/stream-address").status == 401
        wrong = fetch(
            f"http://127.0.0.1:{port}/login",
            json.dumps({"user": "anna", "password": "red"}).encode(),
            headers={"Content-Type": "application/json"},
        )
        assert wrong.status == 403


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[int]:
    """Port of an MQTT broker."""
    port = free_port()
    with shell(f"exec {tool('mosquitto', 'mosquitto')} -v -p {port}", tmp_path) as run:
        run.until(b"running")
        yield port


async def test_the_page_shows_fifty_sensors_of_a_broker(server: Server, page: Page, mosquitto: int) -> None:
    variables = {"SSE_URL": server.url, "MQTT_PORT": str(mosquitto)}
    await page.goto(page_of("sensors", server))
    with example("python bridge.py", "sensors", **variables), example("python sensors.py", "sensors", **variables):
        await expect(page.locator("#sensors div")).to_have_count(50)
        await expect(page.locator("#sensors div").first).to_contain_text("°C")


async def test_a_reading_that_the_broker_delivers_twice_is_one_event(server: Server, mosquitto: int) -> None:
    with example("python bridge.py", "sensors", SSE_URL=server.url, MQTT_PORT=str(mosquitto)):
        async with aiomqtt.Client("127.0.0.1", mosquitto) as broker:

            async def arrived() -> list[str]:
                # A message before the bridge has subscribed goes nowhere.
                await broker.publish("sensors/1", '{"number": 1, "celsius": 20.0}', qos=1)
                return await server.retained("sensors.1")

            await eventually(arrived)
            for reading in ('{"number": 1, "celsius": 20.0}', '{"number": 2, "celsius": 20.0}'):
                await broker.publish("sensors/1", reading, qos=1)

            async def both() -> bool:
                return len(await server.retained("sensors.1")) > 1

            await eventually(both)
    assert [json.loads(data)["number"] for data in await server.retained("sensors.1")] == [1, 2]


async def test_an_alert_of_prometheus_goes_through_alertmanager_to_the_page(
    server: Server, page: Page, tmp_path: Path
) -> None:
    manager, prometheus, shop = free_port(), free_port(), free_port()
    folder = EXAMPLES / "monitoring"
    adapted(folder / "alertmanager.yml", tmp_path, server.url)
    adapted(folder / "rules.yml", tmp_path, "", "nothing to change")
    adapted(folder / "prometheus.yml", tmp_path, f"127.0.0.1:{manager}", "127.0.0.1:9093")
    adapted(tmp_path / "prometheus.yml", tmp_path, f"127.0.0.1:{shop}", "127.0.0.1:9999")
    grouping = (
        f"exec {tool('prometheus-alertmanager', 'prometheus-alertmanager')} --config.file=alertmanager.yml"
        f" --cluster.listen-address= --web.listen-address=127.0.0.1:{manager} --storage.path=alertmanager"
    )
    watching = (
        f"exec {tool('prometheus', 'prometheus')} --config.file=prometheus.yml"
        f" --web.listen-address=127.0.0.1:{prometheus} --storage.tsdb.path=prometheus"
    )
    await page.goto(page_of("monitoring", server))
    with shell(grouping, tmp_path), shell(watching, tmp_path):
        await expect(page.locator("#alerts li")).to_contain_text("ShopIsDown: firing")


async def test_a_job_shows_its_progress_over_a_reload(server: Server, page: Page, shared_redis: RedisServer) -> None:
    with jobs(server, shared_redis) as (url, _):
        await begin(page, url)
        await page.reload()
        await expect(page.locator("#state")).to_have_text("done")
        await expect(page.get_by_role("button", name="Cancel")).to_be_disabled()
        assert await page.locator("#bar").evaluate("bar => bar.value") == 1


async def test_a_job_that_is_cancelled_frees_its_worker(server: Server, page: Page, shared_redis: RedisServer) -> None:
    with jobs(server, shared_redis, STEPS="1000000") as (url, worker):
        await begin(page, url)
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.locator("#state")).to_have_text("cancelled")
        await asyncio.to_thread(worker.until, b": 'cancelled'")


@contextmanager
def jobs(server: Server, redis: RedisServer, **variables: str) -> Iterator[tuple[str, Shell]]:
    """The example about jobs: the address of its page, and its worker."""
    port = free_port()
    variables |= {"SSE_URL": server.url, "REDIS_URL": redis.url}
    with (
        example("celery --app tasks worker --pool solo --loglevel INFO", "job-progress", **variables) as worker,
        example(f"uvicorn web:app --port {port}", "job-progress", **variables) as web,
    ):
        worker.until(b"ready.")
        web.until(b"running on")
        yield f"http://127.0.0.1:{port}/", worker


async def begin(page: Page, url: str) -> None:
    """Start a job, and wait for its first step."""
    await page.goto(url)
    await page.get_by_role("button", name="Start").click()
    await expect(page.locator("#state")).to_have_text("working")
