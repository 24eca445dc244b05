// The page at "/": follows channels, shows their events as they come, and publishes.
// Whatever arrives is shown by textContent: a script in a message is text.

const SHOWN = 500; // rows; older ones leave, so that a tab left open for days does not grow

const state = document.querySelector("#state");
const events = document.querySelector("#events");
const row = document.querySelector("#event").content.firstElementChild;
const answer = document.querySelector("#answer");
const followed = document.querySelector("#follow");
const published = document.querySelector("#publish");

let source = null;

function show(name, words) {
  state.dataset.state = name;
  state.textContent = words;
}

function add({ channel, event, data, timestamp }) {
  const item = row.cloneNode(true);
  item.dataset.type = event;
  item.querySelector("time").dateTime = timestamp;
  item.querySelector("time").textContent = new Date(timestamp).toLocaleTimeString();
  item.querySelector(".channel").textContent = channel;
  item.querySelector(".type").textContent = event;
  item.querySelector(".data").textContent = data;
  events.prepend(item);
  while (events.childElementCount > SHOWN) events.lastElementChild.remove();
}

function note(event, data) {
  add({ channel: "–", event, data, timestamp: new Date().toISOString() });
}

// With envelope=1 every event has the type "message", so types that nobody knew beforehand arrive as well.
function follow(channels) {
  source?.close();
  show("connecting", "connecting");
  const query = new URLSearchParams({ envelope: "1" });
  for (const channel of channels) query.append("channel", channel);
  source = new EventSource(`stream?${query}`);
  source.addEventListener("connected", ({ data }) => {
    const { channels, lost } = JSON.parse(data);
    show("live", `live: ${channels.join(", ")}`);
    if (lost) note("lost", "Events between the last one here and the oldest retained are gone.");
  });
  source.addEventListener("lost", ({ data }) => note("lost", data));
  source.addEventListener("closing", () => show("waiting", "the server is ending; reconnecting"));
  source.addEventListener("message", ({ data }) => add(JSON.parse(data)));
  source.addEventListener("error", ({ data, target }) => {
    if (data !== undefined) note("error", data); // the server's own event, not a broken connection
    else if (target.readyState === EventSource.CLOSED) show("closed", "refused by the server");
    else show("waiting", "connection lost; reconnecting");
  });
}

followed.addEventListener("submit", (submit) => {
  submit.preventDefault();
  follow(followed.elements.channels.value.split(/[\s,]+/).filter(Boolean));
});

document.querySelector("#disconnect").addEventListener("click", () => {
  source?.close();
  show("closed", "disconnected");
});

published.addEventListener("submit", async (submit) => {
  submit.preventDefault();
  const body = JSON.stringify(Object.fromEntries(new FormData(published)));
  const headers = { "Content-Type": "application/json" };
  try {
    const response = await fetch("api/broadcast", { method: "POST", headers, body });
    const said = await response.json();
    answer.dataset.state = response.ok ? "published" : "refused";
    answer.textContent = response.ok ? `${said.id} went to ${said.subscribers} subscribers` : said.detail;
  } catch (error) {
    answer.dataset.state = "refused";
    answer.textContent = `The server cannot be reached: ${error.message}`;
  }
});

follow(["main"]);
