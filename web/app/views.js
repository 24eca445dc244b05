// The views: one is shown, and only what is shown works. On a wide screen, streams, events and inspector are one view,
// and publishing takes the place of the inspector.

import { CASES, links, openCase } from "./cases/cases.js";
import { figures } from "./chart/figures.js";
import { find } from "./dom.js";
import { lab } from "./lab/lab.js";
import { worded } from "./make.js";
import { choose, view } from "./view.js";
import { say } from "./words.js";

/**
 * @typedef {{close: () => void}} Open
 * @typedef {import("../client/sse.js").Hub} Hub
 */

export class Views {
  #hub;
  #bar;
  #subscribers;
  /** @type {Record<string, Open>} */
  #open = {};

  /**
   * @param {Hub} hub
   * @param {import("./connection-bar.js").ConnectionBar} bar
   * @param {import("./subscribers.js").Subscribers} subscribers
   */
  constructor(hub, bar, subscribers) {
    this.#hub = hub;
    this.#bar = bar;
    this.#subscribers = subscribers;
    for (const button of buttons()) {
      button.addEventListener("click", () => {
        const isOpen = view.view === button.dataset.view && !view.case;
        const isToggle = button.dataset.view === "publish" && isOpen;
        choose({ view: isToggle ? "events" : button.dataset.view ?? "events", case: "" });
        this.show();
      });
    }
    find("#leave-case", HTMLButtonElement).addEventListener("click", () => {
      choose({ case: "" });
      this.show();
      find("#log", HTMLElement).focus();
    });
    find("#case-links", HTMLElement).append(links());
    document.addEventListener("view", () => this.show());
    document.addEventListener("power", () => this.show());
    this.show();
  }

  show() {
    const name = view.case ? "case" : view.view;
    const { isOff } = this.#bar;
    document.body.dataset.view = name;
    for (const button of buttons()) {
      if (button.dataset.view === name) button.setAttribute("aria-current", "page");
      else button.removeAttribute("aria-current");
    }
    find("#figures", HTMLElement).hidden = name !== "figures";
    find("#lab", HTMLElement).hidden = name !== "lab";
    find("#case", HTMLElement).hidden = name !== "case";
    this.#keep("figures", name === "figures" && !isOff, () => figures(find("#figures-place", HTMLElement), this.#hub));
    if (isOff && ["figures", "case"].includes(name)) {
      find(`#${name}-place`, HTMLElement).replaceChildren(worded("p", "viewOff", "note"));
    }
    this.#showCase(name === "case" && !isOff ? view.case : "");
    this.#keep("lab", name === "lab", () => lab(find("#lab-place", HTMLElement), { base: this.#hub.base }));
    if (name === "figures") this.#subscribers.open();
    else this.#subscribers.close();
  }

  /** @param {string} name of a case; nothing if none is shown */
  #showCase(name) {
    for (const each of Object.keys(this.#open)) if (each.startsWith("case ")) this.#keep(each, each === `case ${name}`, idle);
    if (!name) return;
    const title = find("#case-title", HTMLElement);
    title.dataset.words = CASES.find((each) => each.name === name)?.title ?? "cases";
    title.textContent = say(title.dataset.words);
    this.#keep(`case ${name}`, true, () => openCase(find("#case-place", HTMLElement), name, { hub: this.#hub, base: this.#hub.base }));
  }

  /**
   * Open a part of the page that is shown, close one that is not.
   *
   * @param {string} name
   * @param {boolean} isShown
   * @param {() => Open} open
   */
  #keep(name, isShown, open) {
    if (isShown && !this.#open[name]) this.#open[name] = open();
    if (isShown || !this.#open[name]) return;
    this.#open[name].close();
    delete this.#open[name];
  }
}

const idle = () => ({ close: () => {} });
const buttons = () => /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("#views button"));
