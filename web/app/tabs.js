// Tabs, one panel of which is shown: by pointer, and by the arrow keys (ARIA Authoring Practices, "Tabs").

import { make, worded } from "./make.js";

let numbered = 0; // elements that others refer to have names of their own

/**
 * @param {[name: string, panel: () => HTMLElement][]} all the name is a key of the dictionary, after `tab_`
 * @param {string} first shown at the beginning
 * @param {(name: string) => void} chosen
 * @returns {HTMLElement}
 */
export function tabs(all, first, chosen) {
  const list = make("div", "tabs");
  list.setAttribute("role", "tablist");
  const panel = make("div", "panel");
  const id = `tabs-${(numbered += 1)}`;
  panel.id = id;
  panel.tabIndex = 0;
  panel.setAttribute("role", "tabpanel");
  const buttons = all.map(([name]) => tab(name, id));
  const show = (/** @type {number} */ at) => {
    buttons.forEach((each, index) => {
      each.setAttribute("aria-selected", String(index === at));
      each.tabIndex = index === at ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", buttons[at].id);
    panel.replaceChildren(all[at][1]());
  };
  buttons.forEach((each, at) => each.addEventListener("click", () => {
    chosen(all[at][0]);
    show(at);
  }));
  list.append(...buttons);
  list.addEventListener("keydown", (key) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key.key];
    const at = buttons.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    if (!step || at < 0) return;
    const next = buttons[(at + step + buttons.length) % buttons.length];
    next.click();
    next.focus();
  });
  show(Math.max(0, all.findIndex(([name]) => name === first)));
  return make("div", "tabbed", list, panel);
}

/**
 * @param {string} name
 * @param {string} panel id
 */
function tab(name, panel) {
  const element = worded("button", `tab_${name}`);
  element.type = "button";
  element.id = `${panel}-${name}`;
  element.setAttribute("role", "tab");
  element.setAttribute("aria-controls", panel);
  return element;
}
