// The theme, before anything is drawn: a page must not flash in the other one. A classic script, because modules wait
// until the document is read.

(() => {
  const themes = ["light", "dark"];
  let theme = new URLSearchParams(location.hash.slice(1)).get("theme");
  try {
    theme ??= JSON.parse(localStorage.getItem("sse-hub view") ?? "{}")?.theme;
  } catch {
    // storage is forbidden, or holds something else: the theme of the system is used
  }
  document.documentElement.dataset.theme = themes.includes(theme ?? "") ? theme ?? "" : "system";
})();
