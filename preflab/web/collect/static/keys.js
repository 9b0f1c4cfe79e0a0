// Keys: whatever carries data-key is pressed by it, unless somebody is typing.
"use strict";
(() => {
  const WRITES = "textarea, select, input:not([type=radio]):not([type=checkbox])";

  const choose = (radio) => {
    radio.checked = true;
    radio.focus();
    radio.dispatchEvent(new Event("change", { bubbles: true }));
  };
  document.addEventListener("keydown", (event) => {
    const at = event.target instanceof Element ? event.target : document.body;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      const form = at.closest("form");
      if (form && !event.repeat) { event.preventDefault(); form.requestSubmit(); }
      return;
    }
    if (at.matches(WRITES) || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Enter" && at.matches("a, button, summary")) return;
    const digits = at.closest("fieldset[data-digits]");
    const digit = digits && digits.querySelector(`input[type=radio][value="${CSS.escape(event.key)}"]`);
    const target = digit || document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (!target || event.defaultPrevented) return;
    event.preventDefault();
    if (event.repeat || target.disabled) return; // a key held down judges one task, not the next ones too
    if (target.matches("input[type=radio]")) choose(target);
    else if (target.matches("button.main")) target.form.requestSubmit(target);
    else target.click();
  });

  // What the chosen point of a scale means, in words, beneath it.
  const spell = (radio) => {
    const description = radio.closest("fieldset").querySelector("[data-said]");
    if (description) description.textContent = radio.getAttribute("aria-label");
  };
  document.addEventListener("change", (event) => {
    if (event.target.matches(".scale input[type=radio]")) spell(event.target);
  });
  const spelled = () => document.querySelectorAll(".scale input:checked").forEach(spell);
  document.addEventListener("preflab:page", spelled);
})();
