// A hub for tests: a server that keeps what it has published, and says what it was asked for.

import { createServer } from "node:http";
import { once } from "node:events";

export class TestHub {
  asked = [];
  streams = new Set();
  #log = [];
  #sequence = 0;
  #trimmed = new Map(); // by channel: the last event that is gone

  /** Run one until a test ends. */
  static async run(test, settings = {}) {
    const hub = new TestHub(settings);
    await once(hub.server.listen(0, "127.0.0.1"), "listening");
    hub.url = `http://127.0.0.1:${hub.server.address().port}/`;
    test.after(() => {
      hub.server.closeAllConnections();
      hub.server.close();
    });
    return hub;
  }

  constructor({ refuse = () => null } = {}) {
    this.refuse = refuse;
    this.server = createServer((request, response) => this.#answer(request, response));
  }

  #answer(request, response) {
    const url = new URL(request.url, this.url);
    this.asked.push({ url, headers: request.headers });
    const channels = url.searchParams.getAll("channel");
    const refusal = this.refuse(channels, request);
    if (refusal?.event) {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      return void response.end(`retry: 20\nevent: error\ndata: ${JSON.stringify(refusal.event)}\n\n`);
    }
    if (refusal) {
      response.writeHead(refusal.status, { "Content-Type": "application/problem+json" });
      return void response.end(JSON.stringify(refusal));
    }
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    const after = url.searchParams.get("lastEventId");
    const isUnknown = Number.parseInt(after) > this.#sequence;
    const lost = isUnknown || channels.some((channel) => this.#trimmed.get(channel) > Number.parseInt(after));
    const cursor = after === null || isUnknown ? `${this.#sequence}-0` : after;
    const said = { channels, resumed: after !== null && !lost, lost };
    response.write(`retry: 20\nid: ${cursor}\nevent: connected\ndata: ${JSON.stringify(said)}\n\n`);
    if (after !== null) {
      const newer = this.#log.filter(({ id }) => Number.parseInt(id) > Number.parseInt(after));
      for (const event of newer) write(response, channels, event);
      response.write("event: live\ndata: {}\n\n");
    }
    const stream = { response, channels };
    this.streams.add(stream);
    response.on("close", () => this.streams.delete(stream));
  }

  publish(data, channel = "main") {
    const id = `${(this.#sequence += 1)}-0`;
    const event = { id, channel, event: "message", data, timestamp: "2026-11-24T02:00:00Z" };
    this.#log.push(event);
    for (const { response, channels } of this.streams) write(response, channels, event);
    return event.id;
  }

  /** Keep nothing of what a channel has had. */
  trim(channel) {
    this.#log = this.#log.filter((event) => event.channel !== channel);
    this.#trimmed.set(channel, this.#sequence);
  }

  /** Be another hub, whose ids begin below those of this one. */
  restart() {
    this.#log = [];
    this.#trimmed.clear();
    this.#sequence = 0;
    this.cut();
  }

  /** Break all streams off. */
  cut() {
    for (const { response } of this.streams) response.destroy();
  }
}

function write(response, channels, event) {
  if (channels.includes(event.channel)) response.write(`id: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`);
}

/** Wait until a condition holds. */
export async function until(condition, what = String(condition)) {
  const end = Date.now() + 20_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`it never came to be: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
