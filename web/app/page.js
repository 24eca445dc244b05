// The page: one connection to the hub, what came of it, and the parts that show it. Everything that comes from outside
// becomes text, never markup.

import { connect } from "../client/sse.js";
import { paint } from "./colours.js";
import { ConnectionBar } from "./connection-bar.js";
import { find } from "./dom.js";
import { csv, ndjson, save } from "./files.js";
import { Inspector } from "./inspector.js";
import { listenToKeys } from "./keys.js";
import { EventList } from "./list.js";
import { Model } from "./model.js";
import { offerNames } from "./names.js";
import { StreamOptions } from "./options.js";
import { PublishForm } from "./publish.js";
import { SessionDialog } from "./session.js";
import { StreamList } from "./streams.js";
import { Subscribers } from "./subscribers.js";
import { Timeline } from "./timeline/timeline.js";
import { choose, view } from "./view.js";
import { Views } from "./views.js";

find("#open-settings", HTMLButtonElement).addEventListener("click", () => find("#settings", HTMLDialogElement).showModal());

const hub = connect(".");
const model = new Model();
const list = new EventList(model, hub.base);
/** @type {Timeline<import("./model.js").Entry>} */
const timeline = new Timeline(find("#timeline", HTMLElement), { colour: paint, choose: (entry) => list.reveal(entry) });
model.on("add", (entry) => entry.note || timeline.add(entry, { replayed: entry.replayed }));
model.on("gap", (from, to) => timeline.gap(from, to));
model.on("lost", (loss) => timeline.lost(loss));
model.on("clear", () => timeline.clear());

new SessionDialog(hub);
const bar = new ConnectionBar(hub, model);
const streams = new StreamList(hub, model);
const options = new StreamOptions((text, replaced) => streams.follow(text, replaced));
const inspector = new Inspector(model, hub.base, {
  remove: (stream) => streams.remove(stream),
  mute: (stream) => streams.toggleMute(stream),
  only: (stream) => list.only(stream.name),
  change: (stream) => options.open(stream),
});
const publish = new PublishForm(hub.base);
const views = new Views(hub, bar, new Subscribers());
listenToKeys({ list, inspector, publish, views });

find("#save-ndjson", HTMLButtonElement).addEventListener("click", () => save("events.ndjson", "application/x-ndjson", ndjson(list.shown)));
find("#save-csv", HTMLButtonElement).addEventListener("click", () => save("events.csv", "text/csv", csv(list.shown)));
model.on("select", (chosen) => {
  if (!chosen) return;
  if (view.view === "publish" && !inspector.isSheet) choose({ view: "events" });
  views.show();
  inspector.open();
});
void offerNames();
