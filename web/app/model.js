// What the page knows: events and streams. The parts of the page read it, and hear of changes; none keeps events of its
// own.
//
// - `model.events`: entries, oldest first, in one order over all streams: that of their ids. An event without an id
//   stands where its timestamp belongs, and a note (a loss, an error) where it happened. There are at most KEPT, and
//   KEPT_BYTES in all: the oldest go.
// - `model.streams`: one Stream for each row (stream.js).
// - `model.selected`: the entry or the stream that the inspector shows.
// - `model.on(kind, listener)` hears of changes, and gives a function that ends it:
//   `add` (entry, isNewest) · `drop` (entry) the oldest has gone · `clear` () · `select` (entry, stream or null) ·
//   `streams` () one was added or removed · `state` (stream) its state or its figures have changed ·
//   `gap` (from, to) the connection was down, in Unix milliseconds; `to` is null when it begins · `lost` (loss).

export const KEPT = 5000;
export const KEPT_BYTES = 64 << 20;

/**
 * @typedef {object} Received an event as it came
 * @property {?string} id
 * @property {string} channel
 * @property {string} event
 * @property {string} data
 * @property {string} timestamp
 * @property {Uint8Array} [raw]
 *
 * @typedef {Received & {arrived: number, replayed: boolean, stream: string, note?: boolean, foreign?: boolean, order: Order}} Entry
 *   `arrived`: Unix milliseconds; `stream`: text of the stream that brought it first; `note`: a line of the page's own;
 *   `foreign`: neither id nor timestamp is a time of the hub
 * @typedef {[ms: number, sequence: number, place: number]} Order
 * @typedef {import("./stream.js").Stream} Stream
 * @typedef {import("../client/sse.js").Loss} Loss
 *
 * @typedef {object} Listeners
 * @property {(entry: Entry, isNewest: boolean) => void} add
 * @property {(entry: Entry) => void} drop
 * @property {() => void} clear
 * @property {(chosen: Entry|Stream|null) => void} select
 * @property {() => void} streams
 * @property {(stream: Stream) => void} state
 * @property {(from: number, to: ?number) => void} gap
 * @property {(loss: Loss) => void} lost
 */

export class Model {
  /** @type {Entry[]} */
  events = [];
  /** @type {Stream[]} */
  streams = [];
  /** @type {Entry|Stream|null} */
  selected = null;
  /** Events that have come in all. */
  total = 0;

  #ids = new Set();
  #bytes = 0;
  /** @type {{[kind in keyof Listeners]: Set<Listeners[kind]>}} */
  #listeners = {
    add: new Set(), drop: new Set(), clear: new Set(), select: new Set(), streams: new Set(), state: new Set(),
    gap: new Set(), lost: new Set(),
  };

  /**
   * @template {keyof Listeners} K
   * @param {K} kind
   * @param {Listeners[K]} listener
   */
  on(kind, listener) {
    /** @type {Set<Listeners[K]>} */
    const listeners = this.#listeners[kind];
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /**
   * @template {keyof Listeners} K
   * @param {K} kind
   * @param {Parameters<Listeners[K]>} values
   */
  tell(kind, ...values) {
    for (const listener of this.#listeners[kind]) /** @type {(...values: unknown[]) => void} */ (listener)(...values);
  }

  /**
   * Take an event. It is passed over if it came by another stream already.
   *
   * @param {Received} event
   * @param {{stream: string, replayed?: boolean, note?: boolean, foreign?: boolean, own?: boolean, before?: string}} facts
   *   `own`: the stream's events are told apart from those of others; `before`: a note stands right before this id
   * @returns {?Entry}
   */
  add(event, { stream, replayed = false, note = false, foreign = false, own = false, before }) {
    const key = event.id === null ? null : own ? `${stream} ${event.id}` : event.id;
    if (key !== null) {
      if (this.#ids.has(key)) return null;
      this.#ids.add(key);
    }
    const last = this.events.at(-1);
    const order = before === undefined ? orderOf(event, note || foreign, last) : beforeId(before, last);
    const kind = { ...(note ? { note } : {}), ...(foreign ? { foreign } : {}) };
    /** @type {Entry} */
    const entry = { ...event, arrived: Date.now(), replayed, stream, order, ...kind };
    keys.set(entry, key);
    const at = this.#place(order);
    this.events.splice(at, 0, entry);
    this.total += note ? 0 : 1;
    this.#bytes += size(entry);
    this.tell("add", entry, at === this.events.length - 1);
    while (this.events.length > 1 && (this.events.length > KEPT || this.#bytes > KEPT_BYTES)) this.#drop();
    return entry;
  }

  clear() {
    this.events = [];
    this.#ids.clear();
    this.#bytes = 0;
    this.tell("clear");
  }

  /** @param {Entry|Stream|null} chosen */
  select(chosen) {
    this.selected = chosen;
    this.tell("select", chosen);
  }

  #drop() {
    const entry = this.events.shift();
    if (!entry) return;
    this.#ids.delete(keys.get(entry));
    this.#bytes -= size(entry);
    this.tell("drop", entry);
  }

  /**
   * Where an entry belongs. Most are the newest, so the search begins at the end.
   *
   * @param {Order} order
   */
  #place(order) {
    let [low, high] = [0, this.events.length];
    const last = this.events.at(-1);
    if (!last || compare(last.order, order) <= 0) return high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compare(this.events[middle].order, order) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** By entry: its key among those that are known. @type {WeakMap<Entry, ?string>} */
const keys = new WeakMap();

/** @param {Entry} entry */
const size = ({ data, raw }) => 2 * data.length + (raw?.length ?? 0);

/**
 * @param {Order} a
 * @param {Order} b
 */
const compare = (a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2];

/**
 * @param {string} id
 * @returns {?[number, number]}
 */
function pair(id) {
  const found = /^(\d+)-(\d+)$/.exec(id);
  return found && [Number(found[1]), Number(found[2])];
}

/**
 * @param {Received} event
 * @param {boolean} isNow whether it stands where it came, as notes and foreign events do
 * @param {Entry|undefined} last
 * @returns {Order}
 */
function orderOf({ id, timestamp }, isNow, last) {
  const numbers = id === null || isNow ? null : pair(id);
  if (numbers) return [...numbers, 0];
  const ms = Date.parse(timestamp);
  const end = last?.order ?? [0, 0, 0];
  // The clock of the hub gives an ephemeral event its place, as it gives the ids.
  if (isNow || id !== null || Number.isNaN(ms)) return [end[0], end[1], end[2] + 1];
  return [ms, Number.MAX_SAFE_INTEGER, 0];
}

/**
 * @param {string} id
 * @param {Entry|undefined} last
 * @returns {Order}
 */
function beforeId(id, last) {
  const numbers = pair(id);
  if (numbers) return [numbers[0], numbers[1], -1];
  const end = last?.order ?? [0, 0, 0];
  return [end[0], end[1], end[2] + 1];
}
