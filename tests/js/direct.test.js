// Connections that the page has besides the shared one, and answers of servers that are no hub.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";

import { Direct } from "../../web/app/direct.js";
import { connect } from "../../web/client/sse.js";
import { until } from "./hub.js";

/** A server that gives every request this answer; its open connections, and the cursors that it was asked for. */
async function serving(t, status, headers, body = "", { ends = false } = {}) {
  const cursors = []; // that were asked for
  const server = createServer((request, response) => {
    cursors.push(request.headers["last-event-id"]);
    response.writeHead(status, headers);
    response.write(body);
    if (ends) response.end();
  });
  const sockets = new Set();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: new URL(`http://127.0.0.1:${server.address().port}/`), sockets, cursors };
}

/** A direct connection to it, and what it says. */
function direct(t, { url }) {
  const found = { events: [], states: [], problems: [] };
  const connection = new Direct(url, "main", {
    event: (event) => found.events.push(event),
    state: (state) => found.states.push(state),
    problem: (problem) => found.problems.push(problem),
  });
  t.after(() => connection.close());
  found.reached = (name) => until(() => found.states.at(-1)?.name === name);
  return found;
}

const HTML = { "Content-Type": "text/html" };

test("a page that never ends in place of a stream is left, and its connection is closed", async (t) => {
  const server = await serving(t, 200, HTML, "<p>Please sign in to this network.</p>\n\n");
  const found = direct(t, server);
  await found.reached("waiting");
  assert.match(found.states.at(-1).reason, /text\/html, and no event stream/);
  await until(() => server.sockets.size === 0);
});

test("so does the client of the hub", async (t) => {
  const server = await serving(t, 200, HTML, "<p>Please sign in to this network.</p>\n\n");
  const states = [];
  const hub = connect(server.url);
  t.after(() => hub.close());
  hub.follow("main", { state: ({ name }) => states.push(name) });
  await until(() => states.at(-1) === "waiting");
  await until(() => server.sockets.size === 0);
});

test("Retry-After is obeyed", async (t) => {
  const found = direct(t, await serving(t, 503, { ...HTML, "Retry-After": "70" }, "", { ends: true }));
  await found.reached("waiting");
  assert.ok(found.states.at(-1).seconds >= 70);
});

test("what is refused for good is not asked for again", async (t) => {
  const server = await serving(t, 403, HTML, "No.");
  const found = direct(t, server);
  await found.reached("closed");
  assert.equal(found.problems.at(-1).status, 403);
  await until(() => server.sockets.size === 0);
});

test("the type of a stream is known in any spelling (RFC 9110, section 8.3.1)", async (t) => {
  const server = await serving(t, 200, { "Content-Type": "Text/Event-Stream;Charset=UTF-8" }, "data: a\n\n");
  const found = direct(t, server);
  await until(() => found.events.length === 1);
  assert.equal(found.states.at(-1).name, "live");
});

test("a cursor of any characters is sent as UTF-8", async (t) => {
  const id = "urn:é:😀";
  const stream = { "Content-Type": "text/event-stream" };
  const server = await serving(t, 200, stream, `retry: 20\nid: ${id}\ndata: a\n\n`, { ends: true });
  direct(t, server);
  await until(() => server.cursors.length === 2);
  assert.equal(Buffer.from(server.cursors[1], "latin1").toString("utf8"), id);
});
