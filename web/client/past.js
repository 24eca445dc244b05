// What a following wants of the past comes by streams of its own, one after the other. Each names as many channels as
// fit into an address, and ends when it is live.

import { inParts } from "./address.js";
import { Connection } from "./connection.js";

/**
 * @typedef {object} PastListener
 * @property {(event: import("./connection.js").Received) => void} event
 * @property {(channels: string[], cursor: ?string) => void} reached everything of these channels up to this id has come
 * @property {(loss: import("./types.js").Loss) => void} lost
 * @property {(problem: import("./types.js").Problem) => void} problem
 * @property {(channels: string[], lacks: boolean) => void} refused nothing more comes of the past of these; `lacks`:
 *   also not what was too much to hold
 * @property {(channels: string[]) => void} ended the hub says that nothing more will come of these
 * @property {() => void} progress
 * @property {() => void} done
 * @typedef {{channels: string[], cursor: ?string, lacks: boolean}} Part `lacks`: it has to bring what was too much to
 *   hold
 */

export class Past {
  /** Events that have come. */
  replayed = 0;

  /** Parts that have yet to come. The first one is under way. @type {Part[]} */
  #parts;
  /** Parts that have come, up to their cursors. @type {Part[]} */
  #done = [];
  #again = false; // whether these have to go on
  #closed = false;

  /**
   * @param {import("./connection.js").Settings} settings
   * @param {Part & {conflate: number, start: Record<string, string>}} wanted
   * @param {PastListener} on
   */
  constructor(settings, wanted, on) {
    this.on = on;
    this.wanted = wanted;
    const { cursor, lacks } = wanted;
    this.#parts = inParts(wanted.channels).map((channels) => ({ channels, cursor, lacks }));
    this.connection = new Connection(settings, {
      events: (events) => {
        for (const event of events) {
          this.replayed += 1;
          on.event(event);
        }
        on.progress();
      },
      connected: ({ id, after, lost }) => {
        if (lost) on.lost({ after: after ?? "", next: id });
      },
      live: () => this.#reach(),
      lost: on.lost,
      problem: on.problem,
      ended: () => {
        on.ended(this.#parts[0].channels);
        this.#next();
      },
      refused: (problem) => {
        on.problem(problem);
        const [{ channels, lacks }] = this.#parts;
        on.refused(channels, lacks);
        this.#next();
      },
    });
  }

  begin() {
    const [{ channels, cursor }] = this.#parts;
    this.connection.cursor = cursor;
    const { conflate, start } = this.wanted;
    this.connection.open({ channels, conflate, start });
  }

  /**
   * What came meanwhile by the shared connection was too much to hold. It may have been of any part: bring it for those
   * that have come, too.
   */
  bringMore() {
    this.#again = true;
    for (const part of [...this.#parts, ...this.#done]) part.lacks = true;
  }

  close() {
    this.#closed = true;
    this.connection.close();
  }

  #reach() {
    const [part] = this.#parts;
    part.cursor = this.connection.cursor;
    part.lacks = this.#again; // what was dropped before this stream began has come by it
    this.on.reached(part.channels, part.cursor);
    this.#done.push(part);
    this.#next();
  }

  #next() {
    if (this.#closed) return; // a function of the user did that
    this.connection.close();
    this.#parts.shift();
    if (this.#again) this.#parts.push(...this.#done.splice(0));
    this.#again = false;
    if (this.#parts.length) this.begin();
    else this.on.done();
  }
}
