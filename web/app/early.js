// What has to be known before anything is drawn: the theme and the language. A page must not flash in others. A classic
// script, because modules wait until the document is read.

(() => {
  const address = new URLSearchParams(location.hash.slice(1));
  /** @type {{theme?: unknown, language?: unknown}} */
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem("sse-hub view") ?? "{}") ?? {};
  } catch {
    // storage is forbidden, or holds something else
  }
  const theme = address.get("theme") ?? String(kept.theme);
  const language = address.get("language") || String(kept.language || navigator.language);
  const { dataset } = document.documentElement;
  dataset.theme = ["light", "dark"].includes(theme) ? theme : "system";
  // The document is in English. For others it waits for its words (page.css), which dress.js puts there.
  if (language.startsWith("pt")) dataset.spoken = "false";
})();
