/** An event of a channel. */
export interface HubEvent {
  /** The event's id and cursor; null for an ephemeral event. */
  id: string | null;
  channel: string;
  /** Its type: `message` unless the publisher named another. */
  event: string;
  data: string;
  /** When it was accepted: ISO 8601. */
  timestamp: string;
  /** Its bytes as they came, with the empty line that ends them. Only with the option `raw`. */
  raw?: Uint8Array;
}

/**
 * - `connecting`: a request is under way.
 * - `catching`: older events come, up to those of now.
 * - `live`: events come as they happen.
 * - `waiting`: an attempt failed; the next one comes by itself.
 * - `closed`: the hub refused, for `reason`; it is not asked again unless `renew()` is called.
 * - `ended`: the channels have ended; nothing more will come.
 */
export type StateName = "connecting" | "catching" | "live" | "waiting" | "closed" | "ended";

export interface State {
  name: StateName;
  /** `waiting`: seconds until the next attempt, counted from now on. */
  seconds?: number;
  /** `waiting`: when the next attempt is: Unix time in milliseconds. */
  nextAttempt?: number;
  /** `waiting`, `connecting`: attempts that failed since the last good connection. */
  attempts?: number;
  /** `waiting`, `closed`: why. `ended`: the reason of the end, where it is known. */
  reason?: string;
  /** `catching`: older events that have come. */
  replayed?: number;
  /** `catching`: the most that can come, where `replay` says so. */
  expected?: number;
}

/** Events between these two ids are gone; `next` is the first that can still come. */
export interface Loss {
  after: string;
  next: string;
}

/** A channel has ended. */
export interface End {
  channel: string;
  /** `done`, `failed`, `cancelled`, `abandoned`; null where the hub only said that it is over. */
  reason: string | null;
  id: string | null;
}

/** A problem document (RFC 9457) of the hub, or one that this client made in its place. */
export interface Problem {
  type?: string;
  title: string;
  status: number;
  detail?: string;
}

/** Functions of yours. One that throws costs no other anything; the error is reported as uncaught. */
export interface Listener {
  event?(event: HubEvent): void;
  state?(state: State): void;
  lost?(loss: Loss): void;
  end?(end: End): void;
  problem?(problem: Problem): void;
  /** The server ends, and asks to come back. */
  closing?(): void;
}

/** Where a following begins. Only one of `replay`, `from` and `after` can be given; without any, it begins now. */
export interface FollowOptions {
  /** So many events back, or `latest`: the newest event of each channel. */
  replay?: number | "latest";
  /** `start`: everything that is retained. */
  from?: "start";
  /** After this id. */
  after?: string | null;
  /** At most one event for each channel and type every so many milliseconds (10 to 60,000): the newest. */
  conflate?: number;
  /** Give each event its bytes. */
  raw?: boolean;
}

export interface Following {
  readonly channels: readonly string[];
  /** Cursor: the id of the last event that was handed out. `follow(…, { after: last })` goes on there. */
  readonly last: string | null;
  readonly state: State;
  /** Follow no longer. */
  close(): void;
}

export interface Options {
  /** Gives a bearer token for each connection. If it throws or rejects, it is asked again later. */
  token?: () => string | Promise<string>;
  /**
   * With `token`: who this is. Tabs of the same identity share a connection, so it has to name what the token grants,
   * too. Without it, a tab that gives a token keeps its connection to itself.
   */
  identity?: string;
  /** Send the cookie of a hub of another origin. (That of one's own origin is always sent.) */
  credentials?: boolean;
  /** `false`: a connection for this tab alone. */
  shared?: boolean;
  /** Seconds without a byte after which a connection is given up; by default three pings of the hub. */
  silence?: number;
  /** In place of the global function, for programs that need another way to the hub. */
  fetch?: typeof fetch;
}

/** What there is to know about one stream to the hub. All times are Unix milliseconds. */
export interface StreamFacts {
  /** Channels and patterns that it follows. */
  channels: string[];
  conflate: number;
  state: State;
  /** Attempts since the beginning, the successful ones included. */
  attempts: number;
  /** Attempts that failed since the last good connection. */
  failures: number;
  nextAttempt: number | null;
  /** When the stream was `connected`; null while it is not. */
  connectedAt: number | null;
  /** When the last byte came. */
  heardAt: number | null;
  /** Pings (comments) that have come over this connection. */
  pings: number;
  pingedAt: number | null;
  /** Seconds between two pings, as the hub says; null where it says nothing. */
  ping: number | null;
  /** Seconds without a byte after which the connection is given up. */
  silence: number;
  /** The reconnection time in effect, in milliseconds; null until the hub has named one. */
  retry: number | null;
  cursor: string | null;
  /** The address that was asked for, without tokens. */
  url: string;
  /** Status of the last answer; null if there was none. */
  status: number | null;
  /** Its headers, as far as a page may read them. */
  headers: [string, string][];
  /** Bytes and events of this connection. */
  bytes: number;
  events: number;
  /** Events since the cursor that this connection brought before it was live. */
  replayed: number;
  /** Why the last attempt failed. */
  problem: Problem | null;
}

/** A hub, as all tabs of this origin share it. */
export interface Hub {
  readonly base: string;
  /** Whether this tab holds the connection that all share. */
  readonly leads: boolean;
  /** The streams that are open, or being opened, by whichever tab leads. */
  readonly streams: readonly StreamFacts[];
  /** Follow channels and patterns. */
  follow(channels: string | readonly string[], listener: Listener, options?: FollowOptions): Following;
  /** Call a function whenever `streams` has changed, at most four times a second. Gives a function that ends it. */
  watch(listener: (streams: readonly StreamFacts[]) => void): () => void;
  /** Somebody has signed in or out: begin anew, in all tabs, with the cookie and the token of now. */
  renew(): void;
  /** Break the connection that all tabs share, as a network would. It comes back by itself. */
  cut(): void;
  /** End everything in this tab. */
  close(): void;
}
