/**
 * Events of an SSE hub in a browser: one connection for all channels of a tab, and for all tabs of an origin.
 *
 *     import { connect } from "./sse.js";
 *
 *     const hub = connect("https://hub.example.org/");
 *     const following = hub.follow(["main", "sensors.*"], {
 *       event: ({ id, channel, event, data, timestamp }) => console.log(channel, data),
 *       lost: ({ after, next }) => console.warn("events are gone", after, next),
 *     });
 *     following.close();
 *
 * A browser opens six connections to an HTTP/1.1 host, and an EventSource in each of seven tabs is one too many. So one
 * tab leads: it holds a Web Lock and the only EventSource, and passes everything on by BroadcastChannel. When it is
 * closed, the lock goes to another tab, which goes on after the oldest cursor that any tab has; each drops what it has
 * already. Where a browser lacks either, every tab leads for itself.
 *
 * An EventSource gives up for ever on some faults, and hides how long it waits. This one reconnects itself: with
 * jittered backoff, after its cursor, until the server says that asking again makes no sense (a 4xx).
 *
 * @typedef {{id: ?string, channel: string, event: string, data: string, timestamp: string}} HubEvent
 * @typedef {{name: "connecting"|"live"|"catching"|"waiting"|"closed", seconds?: number, reason?: string}} State
 * @typedef {{event?: function(HubEvent), state?: function(State), lost?: function({after: string, next: string}),
 *            problem?: function(object), closing?: function()}} Listener
 */

import { Connection } from "./connection.js";
import { covers, isAfter } from "./names.js";
import { Team } from "./team.js";

export { covers, isAfter };

/** What somebody in this tab follows. */
class Following {
  /** Cursor: the id of the last event that was handed out. */
  last = null;
  #held = null; // live events that wait until older ones have come
  #from = null; // where these begin, until the shared connection is there
  #past = null; // the stream that brings them

  constructor(hub, channels, listener, from) {
    this.hub = hub;
    this.channels = channels;
    this.listener = listener;
    if (from.lastEventId) this.last = from.lastEventId;
    if (from.lastEventId || from.replay) {
      this.#from = from;
      this.#held = [];
    }
  }

  /** Take an event of the shared connection. */
  take(event) {
    if (!this.channels.some((pattern) => covers(pattern, event.channel))) return;
    if (this.#held) this.#held.push(event);
    else this.#give(event);
  }

  /** Take the state of the shared connection. */
  hear(state) {
    const refused = this.channels.find((channel) => channel in (state.refused ?? {}));
    const covered = this.channels.every((channel) => state.channels?.includes(channel));
    if (refused) this.#tell({ name: "closed", reason: state.refused[refused] });
    else if (state.channels && !covered) this.#tell({ name: "connecting" });
    else if (covered && this.#from) this.#catchUp();
    else this.#tell(this.#past ? { name: "catching" } : state);
  }

  /**
   * Bring older events, from a stream of their own that ends when it is live. Only now that the shared connection is
   * there: what is published meanwhile comes by that one, and is held.
   */
  #catchUp() {
    this.#past = new Connection(this.hub.base, this.hub.options, {
      event: (event) => this.#give(event),
      lost: (loss) => this.listener.lost?.(loss),
      problem: (problem) => this.listener.problem?.(problem),
      state: ({ name }) => {
        if (name === "live" || name === "closed") this.#release();
        else this.#tell({ name: "catching" });
      },
    });
    this.#past.open(this.channels, this.#from);
    this.#from = null;
  }

  #release() {
    this.#past.close();
    this.#past = null;
    const held = this.#held;
    this.#held = null;
    for (const event of held) this.#give(event);
    this.hear(this.hub.state);
  }

  #give(event) {
    if (event.id !== null) {
      if (!isAfter(event.id, this.last)) return;
      this.last = event.id;
    }
    this.listener.event?.(event);
  }

  #tell({ name, seconds, reason }) {
    this.listener.state?.({ name, seconds, reason });
  }

  /** Follow no longer. Another `follow` with `after: last` goes on without loss. */
  close() {
    this.#past?.close();
    this.hub.leave(this);
  }
}

/** A hub, as all tabs of this origin share it. Made by `connect`. */
class Hub {
  constructor(base, options) {
    this.base = new URL(base, document.baseURI).href;
    this.options = options;
    this.state = { name: "connecting" };
    this.followings = new Set();
    this.team = new Team(this.base, options, {
      cursor: () => this.cursor,
      event: (event) => this.#event(event),
      state: (state) => this.#state(state),
      notice: (name, value) => this.#tell(name, value),
    });
    /** Cursor of this tab: the id of the last event that it has seen, of whatever channel. */
    this.cursor = null;
  }

  /** Whether this tab holds the connection that all share. */
  get leads() {
    return this.team.leads;
  }

  /**
   * Follow channels and patterns.
   *
   * @param {string[]} channels
   * @param {Listener} listener
   * @param {{replay?: number, after?: ?string}} from so many events back, or after this id; by default what comes now
   * @returns {Following}
   */
  follow(channels, listener, { replay = 0, after = null } = {}) {
    const from = after ? { lastEventId: after } : replay ? { replay } : {};
    const following = new Following(this, channels, listener, from);
    this.followings.add(following);
    following.hear(this.state);
    this.#want();
    return following;
  }

  leave(following) {
    if (this.followings.delete(following)) this.#want();
  }

  /** Break the connection that all tabs share, as a network would. It comes back by itself. */
  cut() {
    this.team.cut();
  }

  /** End everything in this tab. */
  close() {
    this.followings.clear();
    this.team.close();
  }

  #want() {
    this.team.want([...new Set([...this.followings].flatMap(({ channels }) => channels))]);
  }

  #event(event) {
    if (event.id !== null && isAfter(event.id, this.cursor)) this.cursor = event.id;
    for (const following of [...this.followings]) following.take(event);
  }

  #state(state) {
    this.state = state;
    if (state.cursor && isAfter(state.cursor, this.cursor)) this.cursor = state.cursor;
    for (const following of [...this.followings]) following.hear(state);
  }

  #tell(name, value) {
    for (const { listener } of [...this.followings]) listener[name]?.(value);
  }
}

/**
 * @param {string} base where the hub is, with a slash at the end
 * @param {{token?: function(): (string|Promise<string>), credentials?: boolean, shared?: boolean}} options `token` gives a
 *   bearer token for each connection; `credentials` sends the cookie of a hub of another origin, as that of its own is
 *   always sent; `shared: false` keeps the connection to this tab, as `token` does
 */
export function connect(base = ".", options = {}) {
  return new Hub(base, options);
}
