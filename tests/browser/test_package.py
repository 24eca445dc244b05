"""The client as a package: its unit tests and types, and what `npm pack` gives, in a Vite project and in Node."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from aiohttp import web
from hubs import Server, mounted
from playwright.async_api import Page, expect
from programs import ROOT, skip, tool

from sse_hub import __version__

CLIENT = ROOT / "web" / "client"
TESTS = ROOT / "tests" / "js"
USE = """
import { connect, type HubEvent, type Hub, type State } from "sse-hub-client";
import { useChannel } from "sse-hub-client/react";

const hub: Hub = connect("http://127.0.0.1/", { token: async () => "t", identity: "anna" });
const seen: HubEvent[] = [];
const listener = { event: (event: HubEvent) => seen.push(event), state: ({ name }: State) => name };
const following = hub.follow("main", listener, { replay: "latest" });
const last: string | null = following.last;
const pings: number[] = hub.streams.map(({ pings }) => pings);
export function View() {
  const { events } = useChannel(hub, ["main"], { keep: 5 });
  return <p>{events.length + pings.length}{last}</p>;
}
// @ts-expect-error only one word says where
hub.follow("main", {}, { from: "end" });
"""
PAGE = """
import { createElement } from "react";
import { createRoot } from "react-dom/client";
import { connect } from "sse-hub-client";
import { useChannel } from "sse-hub-client/react";

const hub = connect(new URLSearchParams(location.search).get("hub"));
function View({ keep }) {
  const { events, state } = useChannel(hub, "main", { keep });
  return createElement("p", { "data-state": state.name }, events.map(({ data }) => data).join(" "));
}
createRoot(document.querySelector("main")).render([2, 1, 0].map((keep) => createElement(View, { keep, key: keep })));
"""
PROGRAM = """
import { connect } from "sse-hub-client";
const hub = connect(process.argv[2]);
hub.follow("main", { event: ({ data }) => { console.log(data); hub.close(); } }, { replay: 1 });
"""


async def run(*command: str, cwd: Path) -> str:
    """Run a program; what it has printed."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.fixture
def node() -> str:
    return tool("node", "nodejs")


@pytest.fixture
async def modules(node: str) -> Path:
    """What the tests need of npm, installed where git does not look."""
    folder = TESTS / "node_modules"
    if not (folder / ".package-lock.json").exists():
        process = await asyncio.create_subprocess_exec(tool("npm", "npm"), "ci", "--ignore-scripts", cwd=TESTS)
        if await process.wait():
            skip("the packages of tests/js cannot be installed: npm ci, with a way to a registry")
    return folder


@pytest.fixture
async def project(modules: Path, tmp_path: Path) -> Path:
    """A project of somebody else's, in which the packed client is installed."""
    (tmp_path / "package.json").write_text('{"private": true, "type": "module"}')
    await run("npm", "pack", "--pack-destination", str(tmp_path), cwd=CLIENT)
    (packed,) = tmp_path.glob("*.tgz")
    await run("npm", "install", "--offline", "--omit=peer", "--no-audit", "--no-fund", str(packed), cwd=tmp_path)
    for name in ("react", "react-dom", "scheduler", "@types", "csstype"):
        (tmp_path / "node_modules" / name).symlink_to(modules / name)
    return tmp_path


async def test_the_unit_tests_of_the_client_pass(node: str) -> None:
    await run(node, "--test", *sorted(map(str, TESTS.glob("*.test.js"))), cwd=TESTS)


async def test_the_types_hold_for_the_code(modules: Path, node: str) -> None:
    await run(node, str(modules / "typescript" / "bin" / "tsc"), "-p", ".", cwd=TESTS)


async def test_the_types_hold_for_a_user_of_strict_typescript(project: Path, modules: Path, node: str) -> None:
    (project / "use.tsx").write_text(USE)
    options = ("--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--jsx", "react-jsx")
    await run(node, str(modules / "typescript" / "bin" / "tsc"), *options, "use.tsx", cwd=project)


async def test_a_vite_project_with_react_shows_events(
    project: Path, modules: Path, node: str, page: Page, server: Server
) -> None:
    (project / "index.html").write_text('<main></main><script type="module" src="page.js"></script>')
    (project / "page.js").write_text(PAGE)
    await run(node, str(modules / "vite" / "bin" / "vite.js"), "build", cwd=project)
    app = web.Application()
    app.router.add_static("/", project / "dist")
    async with mounted(app) as url:
        await page.goto(f"{url}/index.html?hub={server.url}/")
        await expect(page.locator('p[data-state="live"]')).to_have_count(3)
        for data in "abc":
            await server.hub.publish(data)
        await expect(page.locator("p")).to_have_text(["b c", "c", ""])
        await page.goto("about:blank")


async def test_a_program_in_node_reads_events(project: Path, node: str, server: Server) -> None:
    await server.hub.publish("a")
    (project / "program.js").write_text(PROGRAM)
    assert await run(node, "program.js", f"{server.url}/", cwd=project) == "a\n"


def test_the_package_has_the_version_and_the_licence_of_the_hub() -> None:
    package = json.loads((CLIENT / "package.json").read_text())
    assert package["version"] == __version__
    assert (CLIENT / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


@pytest.mark.parametrize("path", sorted(CLIENT.glob("*.*s")), ids=lambda path: path.name)
def test_a_module_of_the_client_is_short_and_so_are_its_lines(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 400
    assert max(map(len, lines)) <= 120


def test_the_document_of_the_client_names_every_option_fact_and_function() -> None:
    types, text = (CLIENT / "types.d.ts").read_text(), (CLIENT / "README.md").read_text()
    for name in ("Options", "FollowOptions", "StreamFacts", "Listener", "Hub"):
        body = types.split(f"export interface {name} {{")[1].split("\n}")[0]
        members = [line.strip().removeprefix("readonly ") for line in body.splitlines()]
        for member in (each for each in members if each and each[0].isalpha()):
            word = re.split(r"\W", member)[0]
            assert f"`{word}" in text or f".{word}" in text, word


async def test_the_hub_serves_the_same_files(server: Server) -> None:
    for path in CLIENT.iterdir():
        async with server.client.get(f"{server.url}/web/client/{path.name}") as response:
            assert (response.status, await response.read()) == (200, path.read_bytes())
