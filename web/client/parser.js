// The bytes of an event stream in, events out (WHATWG HTML, sections 9.2.5 and 9.2.6). No I/O.

const LF = 10;
const CR = 13;
const BOM = [0xef, 0xbb, 0xbf];
/** Most bytes of one event. A stream that never ends a line must not fill the memory. */
const LARGEST_BYTES = 16 << 20;

/** An event is larger than the parser takes. It would come again after every reconnect. */
export class EventTooLarge extends RangeError {}

/**
 * One parser reads one stream.
 *
 * @typedef {{type: string, data: string, id: string, raw: Uint8Array}} ParsedEvent
 */
export class EventParser {
  /** The last event ID (9.2.6). It moves when a block is complete, so a stream that is cut moves nothing. */
  lastEventId = "";
  /** The reconnection time in milliseconds that the stream last named. @type {?number} */
  retry = null;
  /** How many comments have come. A ping is a comment. */
  comments = 0;

  #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #buffer = new Uint8Array(1 << 12);
  #block = 0; // where the block begins that is not complete
  #line = 0; // where its line begins that is not complete
  #seek = 0; // up to here there is no end of that line
  #end = 0;
  #begins = true; // no byte of the stream was looked at: a byte order mark may come
  #skipLf = false; // the last byte was a CR; an LF belongs to it
  #type = "";
  /** @type {?string} */
  #data = null;
  #id = "";

  /** @param {{lastEventId?: string, largestBytes?: number}} options `lastEventId`: the cursor that was sent */
  constructor({ lastEventId = "", largestBytes = LARGEST_BYTES } = {}) {
    this.lastEventId = this.#id = lastEventId;
    this.largestBytes = largestBytes;
  }

  /**
   * Take the next bytes, split anywhere; give the events that are complete with them.
   *
   * @param {Uint8Array} bytes
   * @returns {ParsedEvent[]}
   * @throws {EventTooLarge}
   */
  feed(bytes) {
    this.#append(bytes);
    /** @type {ParsedEvent[]} */
    const events = [];
    if (this.#begins && !this.#passBom()) return events;
    for (let end = this.#lineEnd(); end >= 0; end = this.#lineEnd()) {
      const begin = this.#line;
      this.#line = this.#seek = this.#afterLine(end);
      if (end === begin) this.#endBlock(events);
      else this.#readLine(begin, end);
    }
    if (this.#end - this.#block > this.largestBytes) {
      throw new EventTooLarge(`An event is larger than ${this.largestBytes} bytes.`);
    }
    return events;
  }

  /** @param {Uint8Array} bytes */
  #append(bytes) {
    if (this.#end + bytes.length > this.#buffer.length) {
      const kept = this.#buffer.subarray(this.#block, this.#end);
      const needed = kept.length + bytes.length;
      const buffer = needed > this.#buffer.length / 2 ? new Uint8Array(2 * needed) : this.#buffer;
      buffer.set(kept);
      this.#line -= this.#block;
      this.#seek -= this.#block;
      this.#end = kept.length;
      this.#block = 0;
      this.#buffer = buffer;
    }
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** Pass a byte order mark at the beginning; false while nobody can say whether there is one. */
  #passBom() {
    const first = this.#buffer.subarray(0, Math.min(3, this.#end));
    const fits = first.every((byte, at) => byte === BOM[at]);
    if (fits && first.length < 3) return false;
    if (fits) this.#block = this.#line = this.#seek = 3;
    this.#begins = false;
    return true;
  }

  /** Where the line ends that begins at `#line`; -1 if its end has not come. */
  #lineEnd() {
    if (this.#skipLf && this.#line < this.#end) {
      this.#skipLf = false;
      if (this.#buffer[this.#line] === LF) {
        if (this.#block === this.#line) this.#block += 1;
        this.#line += 1;
        this.#seek = this.#line;
      }
    }
    const buffer = this.#buffer;
    let at = this.#seek;
    while (at < this.#end && buffer[at] !== LF && buffer[at] !== CR) at += 1;
    this.#seek = at;
    return at < this.#end ? at : -1;
  }

  /** @param {number} end */
  #afterLine(end) {
    if (this.#buffer[end] === LF) return end + 1;
    if (end + 1 === this.#end) this.#skipLf = true;
    return this.#buffer[end + 1] === LF && end + 1 < this.#end ? end + 2 : end + 1;
  }

  /**
   * @param {number} begin
   * @param {number} end
   */
  #readLine(begin, end) {
    const text = this.#decoder.decode(this.#buffer.subarray(begin, end));
    const colon = text.indexOf(":");
    if (colon === 0) {
      this.comments += 1;
      if (begin === this.#block) this.#block = this.#line; // a ping between two events is part of neither
      return;
    }
    const name = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + (text[colon + 1] === " " ? 2 : 1));
    this.#readField(name, value);
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  #readField(name, value) {
    if (name === "data") this.#data = this.#data === null ? value : `${this.#data}\n${value}`;
    else if (name === "event") this.#type = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^[0-9]+$/.test(value)) this.retry = Number(value);
  }

  /** @param {ParsedEvent[]} events */
  #endBlock(events) {
    this.lastEventId = this.#id;
    if (this.#data !== null) {
      const raw = this.#buffer.slice(this.#block, this.#line);
      events.push({ type: this.#type || "message", data: this.#data, id: this.#id, raw });
    }
    this.#block = this.#line;
    this.#type = "";
    this.#data = null;
  }
}
