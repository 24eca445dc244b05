// What Node has not and browsers have: Web Locks (W3C Web Locks API), for tests of tabs in one process.

export class Locks {
  #held = new Map(); // by name
  #queues = new Map();

  request(name, options, callback) {
    if (options.signal?.aborted) return Promise.reject(options.signal.reason);
    return new Promise((resolve, reject) => {
      const wish = { name, callback, resolve, reject };
      const queue = this.#queues.get(name) ?? [];
      this.#queues.set(name, queue);
      if (options.steal) {
        this.#held.get(name)?.reject(new DOMException("stolen", "AbortError"));
        this.#held.delete(name);
        queue.unshift(wish);
      } else {
        queue.push(wish);
        options.signal?.addEventListener("abort", () => {
          if (!queue.includes(wish)) return;
          queue.splice(queue.indexOf(wish), 1);
          reject(options.signal.reason);
        });
      }
      queueMicrotask(() => this.#grant(name));
    });
  }

  async query() {
    return { held: [...this.#held.keys()].map((name) => ({ name })), pending: [] };
  }

  #grant(name) {
    const wish = this.#held.has(name) ? undefined : this.#queues.get(name).shift();
    if (!wish) return;
    this.#held.set(name, wish);
    const release = () => {
      if (this.#held.get(name) !== wish) return;
      this.#held.delete(name);
      this.#grant(name);
    };
    Promise.resolve(wish.callback({ name })).then(wish.resolve, wish.reject).finally(release);
  }
}

/** Let this process be a browser on https. */
export function beBrowser() {
  Object.defineProperty(globalThis, "navigator", { value: { locks: new Locks() }, configurable: true });
}
