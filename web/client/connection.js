// One EventSource after the other: a stream of the hub that comes back by itself. Used by sse.js.

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;

export class Connection {
  #source = null;
  #timer = null;
  #failures = 0;
  #channels = [];
  #query = {};
  #refused = {}; // by channel: why

  /**
   * @param {string} base
   * @param {{token?: function(): (string|Promise<string>), credentials?: boolean}} options
   * @param {object} on `event`, `state`, `lost`, `problem`, `closing`
   */
  constructor(base, { token, credentials = false }, on) {
    this.base = base;
    this.token = token;
    this.credentials = credentials;
    this.on = on;
    this.cursor = null;
    this.name = "closed";
  }

  /** Open the stream of these channels; `query` says where it begins, if it has no cursor yet. */
  async open(channels, query = {}, refused = {}) {
    this.#stop();
    this.#refused = refused;
    this.#channels = channels;
    this.#query = query;
    this.#state("connecting");
    const url = new URL("stream", this.base);
    for (const channel of channels) url.searchParams.append("channel", channel);
    url.searchParams.set("envelope", "1");
    const from = this.cursor ? { lastEventId: this.cursor } : query;
    for (const [name, value] of Object.entries(from)) url.searchParams.set(name, value);
    const source = (this.#source = { close() {} }); // what is opened while the token is waited for wins
    if (this.token) url.searchParams.set("token", await this.token());
    if (this.#source !== source) return;
    this.#listen(new EventSource(url, { withCredentials: this.credentials }), url, Object.keys(from).length > 0);
  }

  #listen(source, url, catching) {
    this.#source = source;
    source.addEventListener("connected", ({ data, lastEventId }) => {
      const { lost } = JSON.parse(data);
      this.#failures = 0;
      if (lost) this.on.lost?.({ after: this.cursor ?? "", next: lastEventId });
      this.cursor = lastEventId;
      this.#open(catching ? "catching" : "live");
    });
    source.addEventListener("live", () => this.#open("live"));
    source.addEventListener("message", ({ data, lastEventId }) => {
      this.cursor = lastEventId;
      this.on.event?.(JSON.parse(data));
    });
    source.addEventListener("lost", ({ data }) => this.on.lost?.(JSON.parse(data)));
    source.addEventListener("closing", () => this.on.closing?.());
    source.addEventListener("error", ({ data }) => {
      // The server's own events of this type carry data; a broken connection does not.
      if (data !== undefined) this.on.problem?.(JSON.parse(data));
      else this.#failed(source, url);
    });
  }

  /** The stream is there; say for which channels, and why not for others. */
  #open(name) {
    this.#state(name, { cursor: this.cursor, channels: this.#channels, refused: this.#refused });
  }

  async #failed(source, url) {
    const refused = source.readyState === EventSource.CLOSED;
    source.close();
    if (this.#source !== source) return;
    const problem = refused ? await this.#refusal(url) : null;
    if (this.#source !== source) return;
    if (!problem || (problem.status === 401 && this.token && this.#failures === 0)) {
      this.#comeBack();
    } else if (this.#channels.length > 1) {
      await this.#sortOut(source, url); // one that is not granted must not cost the others theirs
    } else {
      this.#source = null;
      this.on.problem?.(problem);
      this.#state("closed", { reason: problem.detail ?? problem.title });
    }
  }

  /** Ask for each channel by itself, and go on with those that are not refused. */
  async #sortOut(source, url) {
    const refused = {};
    for (const channel of this.#channels) {
      url.searchParams.delete("channel");
      url.searchParams.set("channel", channel);
      const problem = await this.#refusal(url);
      if (problem) refused[channel] = problem.detail ?? problem.title;
    }
    if (this.#source !== source) return;
    const left = this.#channels.filter((channel) => !(channel in refused));
    this.#refused = refused;
    if (left.length === this.#channels.length) this.#comeBack();
    else if (left.length) this.open(left, this.#query, refused);
    else this.#state("closed", { reason: Object.values(refused)[0] });
  }

  /** What the server has against the request; null if it has nothing that lasts. EventSource does not tell. */
  async #refusal(url) {
    const stop = new AbortController();
    try {
      const response = await fetch(url, {
        headers: { Accept: "text/event-stream" },
        credentials: this.credentials ? "include" : "same-origin",
        signal: stop.signal,
      });
      if (response.status < 400 || response.status >= 500 || [408, 425, 429].includes(response.status)) return null;
      return await response.json().catch(() => ({ status: response.status, title: response.statusText }));
    } catch {
      return null; // nobody there: that may pass
    } finally {
      stop.abort();
    }
  }

  #comeBack() {
    const most = Math.min(FIRST_WAIT_MS * 2 ** this.#failures, LONGEST_WAIT_MS);
    const wait = most * (0.5 + Math.random() / 2); // so that not all come back in the same moment
    this.#failures += 1;
    this.#state("waiting", { seconds: wait / 1000 });
    this.#timer = setTimeout(() => this.open(this.#channels, this.#query, this.#refused), wait);
  }

  /** Break the stream off and come back, as after a fault. */
  cut() {
    if (!this.#source) return;
    this.#stop();
    this.#comeBack();
  }

  /** Do not wait any longer: the network is back, perhaps. */
  hurry() {
    if (this.name === "waiting") this.open(this.#channels, this.#query, this.#refused);
  }

  /** Close for good. */
  close() {
    this.#stop();
    this.name = "closed";
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #state(name, more = {}) {
    this.name = name;
    this.on.state?.({ name, ...more });
  }
}
