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
 * @property {(channels: string[]) => void} ended the hub says that nothing more will come of these
 * @property {() => void} progress
 * @property {() => void} done
 */

export class Past {
  /** Events that have come. */
  replayed = 0;

  /** @type {string[][]} */
  #parts;
  #again = false;

  /**
   * @param {import("./connection.js").Settings} settings
   * @param {{channels: string[], conflate: number, start: Record<string, string>, cursor: ?string}} wanted
   * @param {PastListener} on
   */
  constructor(settings, wanted, on) {
    this.on = on;
    this.wanted = wanted;
    this.#parts = inParts(wanted.channels);
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
        on.ended(this.#parts[0]);
        this.#next();
      },
      refused: (problem) => {
        on.problem(problem);
        this.#next();
      },
    });
  }

  begin() {
    this.connection.cursor = this.wanted.cursor;
    const { conflate, start } = this.wanted;
    this.connection.open({ channels: this.#parts[0], conflate, start });
  }

  /** What came meanwhile by the shared connection was too much to hold: bring that, too. */
  bringMore() {
    this.#again = true;
  }

  close() {
    this.connection.close();
  }

  #reach() {
    this.on.reached(this.#parts[0], this.connection.cursor);
    if (this.#again) {
      this.#again = false;
      queueMicrotask(() => this.connection.renew());
    } else this.#next();
  }

  #next() {
    this.connection.close();
    this.#parts.shift();
    if (this.#parts.length) this.begin();
    else this.on.done();
  }
}
