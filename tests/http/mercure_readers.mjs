// Follows topics with a library of npm and prints each message as a line of JSON, after the word "open".
// Its arguments: the library, the URL with the topics, the token, and how many messages it waits for.

const [library, url, token, count] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };
let left = Number(count);

function print(message) {
  const { data, lastEventId, id = lastEventId, type, event = type } = message;
  console.log(JSON.stringify({ id, type: event || "message", data }));
  left -= 1;
  if (left === 0) process.exit();
}

function follow(source) {
  source.addEventListener("open", () => console.log("open"));
  source.addEventListener("message", print);
  source.addEventListener("news", print);
}

const readers = {
  async eventsource() {
    const { EventSource } = await import("eventsource");
    const withToken = (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...headers } });
    follow(new EventSource(url, { fetch: withToken }));
  },
  async "event-source-polyfill"() {
    const { default: polyfill } = await import("event-source-polyfill");
    follow(new polyfill.EventSourcePolyfill(url, { headers }));
  },
  async "@microsoft/fetch-event-source"() {
    // It is for browsers only: it looks at whether the page is visible.
    globalThis.window = globalThis;
    globalThis.document = new EventTarget();
    const { fetchEventSource } = await import("@microsoft/fetch-event-source");
    const onopen = async () => console.log("open");
    await fetchEventSource(url, { headers, onopen, onmessage: print, openWhenHidden: true });
  },
};

await readers[library]();
