// What the other scripts share: the line about the connection, the voice for screen readers, and the two events
// "preflab:page" (a page has come, by itself or in the place of another) and "preflab:part" (a part of it has).
// Every form works without any script; these only make them kinder.
"use strict";
window.preflab = (() => {
  const line = (id) => (text) => {
    const element = document.getElementById(id);
    if (!element || element.textContent === text) return;
    element.textContent = text;
    if (id === "connection") element.hidden = !text;
  };
  const reachable = () => {
    // What scrolls must be reachable by keys.
    document.querySelectorAll(".text, .wide").forEach((box) => {
      const scrolls = box.scrollHeight > box.clientHeight + 1 || box.scrollWidth > box.clientWidth + 1;
      if (scrolls) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    });
  };
  for (const kind of ["preflab:page", "preflab:part"]) document.addEventListener(kind, reachable);
  window.addEventListener("resize", reachable);
  return {
    complain: line("connection"), // seen and heard, until it is taken back with ""
    tell: line("told"), // heard only
    say: (kind) => document.dispatchEvent(new CustomEvent(kind)),
  };
})();
