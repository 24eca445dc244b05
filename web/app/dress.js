// The beginning of the page: the theme and the language that a person has chosen, and then everything else. The page has
// a hundred modules. Its words must not wait for all of them on a slow network, so they come first.

import { find } from "./dom.js";
import { choose, view } from "./view.js";
import { browserLanguage, speak } from "./words.js";

const theme = find("#theme", HTMLSelectElement);
const language = find("#language", HTMLSelectElement);

function dress() {
  document.documentElement.dataset.theme = theme.value = view.theme;
  document.dispatchEvent(new Event("theme"));
}

function talk() {
  language.value = view.language || browserLanguage();
  speak(language.value);
  delete document.documentElement.dataset.spoken;
}

dress();
talk();
theme.addEventListener("input", () => {
  choose({ theme: theme.value });
  dress();
});
language.addEventListener("input", () => {
  choose({ language: language.value });
  talk();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", dress);
document.addEventListener("view", () => {
  dress();
  talk();
});

void import("./page.js");
