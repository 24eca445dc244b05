// What differs between browsers, workers and Node, and between https and plain http.

/** A random name. (`crypto.randomUUID` exists only in secure contexts.) */
export function randomName() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(16).padStart(8, "0")).join("");
}

/** The address that a relative one is relative to; undefined in Node. */
export function baseAddress() {
  return globalThis.document?.baseURI ?? globalThis.location?.href;
}

/**
 * Call a function of the user. One that throws must not cost others anything: the error is reported as uncaught.
 *
 * @template {unknown[]} A
 * @param {?((...values: A) => unknown)|undefined} listener
 * @param {A} values
 */
export function call(listener, ...values) {
  try {
    listener?.(...values);
  } catch (error) {
    if (typeof reportError === "function") reportError(error);
    else console.error(error); // Node would end the process
  }
}

/** Let others have their turn. A timer would do, but in a hidden tab it waits for a second. */
export function turn() {
  const scheduler = /** @type {{scheduler?: {yield?: () => Promise<void>}}} */ (globalThis).scheduler;
  if (scheduler?.yield) return scheduler.yield();
  return new Promise((resolve) => {
    if (!globalThis.document) return void setTimeout(resolve, 0);
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve(undefined);
    };
    port2.postMessage(null);
  });
}

/**
 * Wait for a promise, but no longer than a signal allows: what users give may never come to an end.
 *
 * @template T
 * @param {T|Promise<T>} promise
 * @param {AbortSignal} signal
 * @returns {Promise<T>}
 */
export function unlessAborted(promise, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    Promise.resolve(promise)
      .then(resolve, reject)
      .finally(() => signal.removeEventListener("abort", abort));
  });
}

/**
 * @param {string} text
 * @returns {Record<string, unknown>} an object; an empty one where the text is none
 */
export function parsed(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}
