// Copying a text that the page shows.

import { say } from "./words.js";

const SHOWN_MS = 1500;

/**
 * Copy the text of an element, and say so on the button that asked for it. On plain http there is no clipboard for
 * pages: then the text is selected and copied as a person would.
 */
export async function copy(element, button) {
  if (navigator.clipboard) await navigator.clipboard.writeText(element.textContent);
  else {
    getSelection().selectAllChildren(element);
    document.execCommand("copy");
  }
  button.textContent = say("copied");
  setTimeout(() => (button.textContent = say("copy")), SHOWN_MS);
}
