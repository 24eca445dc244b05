// A hub that lives in the page, for what no page can do to a real one: make it full, restart it, stop reading from it.
// It answers `fetch` with the bytes that the hub sends (docs/protocol.md), for one channel.

const utf8 = new TextEncoder();

/**
 * @typedef {{id: string, sequence: number, data: string, bytes: Uint8Array}} Logged
 * @typedef {object} Settings
 * @property {number} [retry]  the reconnection time in milliseconds
 * @property {number} [places]  subscribers that it takes
 * @property {number} [buffered]  events that a connection holds for a reader that does not read
 * @property {number} [logged]  events that it keeps
 */

/** A problem document as the hub sends it. @type {(status: number, title: string, detail: string) => string} */
const problem = (status, title, detail) => JSON.stringify({ type: "about:blank", title, status, detail });

/** @type {(fields: Record<string, string>) => Uint8Array} */
const block = (fields) => utf8.encode(`${Object.entries(fields).map(([name, value]) => `${name}: ${value}\n`).join("")}\n`);

/** A subscriber: a place in the log, and a connection with a buffer. */
class Reader {
  /** Whether it gets events as they come; otherwise it is fed from the log. */
  live = false;
  closed = false;
  /** @type {?ReadableStreamDefaultController<Uint8Array>} */
  #out = null;

  /**
   * @param {PageHub} hub
   * @param {number} cursor sequence of the last event that it has
   * @param {AbortSignal} [signal]
   */
  constructor(hub, cursor, signal) {
    this.hub = hub;
    this.cursor = cursor;
    this.stream = new ReadableStream(
      { start: (out) => void (this.#out = out), pull: () => this.feed(), cancel: () => this.leave() },
      { highWaterMark: hub.settings.buffered },
    );
    signal?.addEventListener("abort", () => this.fail(signal.reason));
  }

  /** Whether its buffer takes an event. */
  get takes() {
    return (this.#out?.desiredSize ?? 0) > 0;
  }

  /** @param {Uint8Array} bytes */
  send(bytes) {
    if (!this.closed) this.#out?.enqueue(bytes);
  }

  /** Take the next events after the cursor, as far as the buffer takes them. */
  feed() {
    if (this.closed || this.live) return;
    for (const event of this.hub.after(this.cursor)) {
      if (!this.takes) return;
      this.send(event.bytes);
      this.cursor = event.sequence;
    }
    this.live = true;
    this.hub.changed();
  }

  leave() {
    this.closed = true;
    this.hub.readers.delete(this);
  }

  end() {
    if (!this.closed) this.#out?.close();
    this.leave();
  }

  /** @param {unknown} reason */
  fail(reason) {
    if (!this.closed) this.#out?.error(reason);
    this.leave();
  }
}

export class PageHub {
  /** @type {Set<Reader>} */
  readers = new Set();
  /** @type {Logged[]} */
  log = [];
  /** Called when a reader falls behind or has caught up. */
  changed = () => {};
  /** Whether it can be reached. */
  up = true;

  #sequence = 0;

  /**
   * @param {string} channel
   * @param {Settings} settings
   */
  constructor(channel, settings = {}) {
    this.channel = channel;
    this.settings = { retry: 1500, places: 10, buffered: 100, logged: 1000, ...settings };
  }

  /** In place of the global function. @type {typeof fetch} */
  fetch = async (resource, options = {}) => {
    if (!this.up) throw new TypeError("Failed to fetch");
    const signal = options.signal ?? undefined;
    signal?.throwIfAborted();
    const asked = new URL(String(resource)).searchParams.get("lastEventId");
    const cursor = asked === null ? this.#sequence : this.log.find(({ id }) => id === asked)?.sequence ?? 0;
    const reader = new Reader(this, cursor, signal);
    if (this.readers.size >= this.settings.places) this.#refuse(reader);
    else this.#begin(reader, asked !== null);
    const headers = { "Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform" };
    return new Response(reader.stream, { status: 200, statusText: "OK", headers });
  };

  /** @param {Reader} reader */
  #refuse(reader) {
    const seconds = this.settings.retry / 1000;
    const detail = `All ${this.settings.places} slots for subscribers are in use (--max-subscribers). Try again in ${seconds} s.`;
    reader.send(block({ retry: String(this.settings.retry), event: "error", data: problem(503, "Service Unavailable", detail) }));
    reader.end();
  }

  /**
   * @param {Reader} reader
   * @param {boolean} resumed
   */
  #begin(reader, resumed) {
    this.readers.add(reader);
    const said = { channels: [this.channel], resumed, lost: false, timestamp: new Date().toISOString(), ping: 15 };
    const id = this.log.find(({ sequence }) => sequence === reader.cursor)?.id ?? `${Date.now()}-0`;
    reader.send(block({ retry: String(this.settings.retry), id, event: "connected", data: JSON.stringify(said) }));
    const missed = this.after(reader.cursor);
    for (const { bytes } of missed) reader.send(bytes);
    if (resumed) reader.send(block({ event: "live", data: JSON.stringify({ replayed: missed.length }) }));
    reader.cursor = this.#sequence;
    reader.live = true;
  }

  /** @param {number} cursor */
  after(cursor) {
    return this.log.filter(({ sequence }) => sequence > cursor);
  }

  /** @param {unknown} value */
  publish(value) {
    this.#sequence += 1;
    const timestamp = new Date().toISOString();
    const id = `${Date.now()}-${this.#sequence}`;
    const event = { id, channel: this.channel, event: "message", data: JSON.stringify(value), timestamp };
    const bytes = block({ id, data: JSON.stringify(event) });
    this.log.push({ id, sequence: this.#sequence, data: event.data, bytes });
    if (this.log.length > this.settings.logged) this.log.shift();
    for (const reader of this.readers) {
      if (reader.live && reader.takes) {
        reader.send(bytes);
        reader.cursor = this.#sequence;
      } else if (reader.live) {
        reader.live = false;
        this.changed();
      }
    }
    return event;
  }

  /** End as a real hub does: it asks every subscriber to come back, and then takes no request. */
  stop() {
    this.up = false;
    for (const reader of [...this.readers]) {
      reader.send(block({ retry: String(this.settings.retry), event: "closing", data: "{}" }));
      reader.end();
    }
  }
}
