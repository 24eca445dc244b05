// Ways to the hub that can be watched and disturbed: functions in place of `fetch`.

/**
 * @typedef {typeof fetch} Fetch
 * @typedef {{asked: (line: string) => void, answered: (line: string) => void, bytes: (bytes: Uint8Array) => void}} Watcher
 */

/** Headers of an answer that say something about streams. */
const TELLING = ["content-type", "cache-control", "retry-after"];

/**
 * Show what goes over a way: the request, the beginning of the answer, and its bytes as they come.
 *
 * @param {Watcher} watcher
 * @param {Fetch} way
 * @returns {Fetch}
 */
export function tapped(watcher, way = (...request) => fetch(...request)) {
  return async (resource, options = {}) => {
    const url = new URL(String(resource));
    watcher.asked(`${options.method ?? "GET"} ${decodeURIComponent(url.pathname + url.search)}`);
    const response = await way(resource, options);
    const headers = TELLING.flatMap((name) => (response.headers.has(name) ? [`${name}: ${response.headers.get(name)}`] : []));
    watcher.answered([`${response.status} ${response.statusText}`.trim(), ...headers].join("\n"));
    return through(response, {
      transform(chunk, out) {
        watcher.bytes(chunk);
        out.enqueue(chunk);
      },
    });
  };
}

/**
 * A proxy that passes bytes on only when it has so many, as one that buffers does.
 *
 * @param {number} size in bytes
 * @param {Fetch} way
 * @returns {Fetch}
 */
export function buffering(size, way = (...request) => fetch(...request)) {
  return async (resource, options) => {
    /** @type {Uint8Array[]} */
    let held = [];
    let length = 0;
    const pass = (/** @type {TransformStreamDefaultController<Uint8Array>} */ out) => {
      for (const chunk of held) out.enqueue(chunk);
      held = [];
      length = 0;
    };
    return through(await way(resource, options), {
      transform(chunk, out) {
        held.push(chunk);
        length += chunk.length;
        if (length >= size) pass(out);
      },
      flush: pass,
    });
  };
}

/**
 * @param {Response} response
 * @param {Transformer<Uint8Array, Uint8Array>} transformer
 */
function through(response, transformer) {
  if (!response.body) return response;
  const { status, statusText, headers } = response;
  return new Response(response.body.pipeThrough(new TransformStream(transformer)), { status, statusText, headers });
}
