// Films: both begin together, once both are here; nothing can be answered before, and the time taken counts from then.
// The films of the next task are fetched meanwhile. Without a script the page works, but sides may begin apart.
"use strict";
(() => {
  const { complain, tell } = window.preflab;
  let looking = 0;

  const loaded = (film) => new Promise((resolve, reject) => {
    const settle = () => (film.naturalWidth ? resolve() : reject(new Error(film.src)));
    if (film.complete) { settle(); return; }
    film.addEventListener("load", settle, { once: true });
    film.addEventListener("error", settle, { once: true });
  });
  const hold = (form, held) => form.querySelectorAll("button[name=answer]").forEach((button) => { button.disabled = held; });
  const why = async (address) => {
    const answer = await fetch(address, { headers: { Accept: "application/json" }, cache: "no-store" }).catch(() => null);
    if (!answer) return "no connection";
    if (answer.ok) return "this browser cannot show it";
    return (await answer.json().catch(() => ({}))).error || `the server answered ${answer.status}`;
  };
  const begin = async (form) => {
    const films = [...form.querySelectorAll("[data-film]")];
    hold(form, true);
    const results = await Promise.allSettled(films.map(loaded));
    if (!document.contains(form)) return;
    const missing = films.filter((_, k) => results[k].status === "rejected");
    if (missing.length) {
      complain(`A film cannot be shown: ${await why(missing[0].src)}. Put this task back, or load the page again.`);
      return;
    }
    for (const film of films) film.src = film.src; // both from their first picture, together
    form.dataset.since = String(Date.now());
    hold(form, false);
    tell("Both films are here.");
    const coming = form.querySelector("[data-coming]");
    for (const address of coming ? coming.dataset.coming.split(" ").filter(Boolean) : []) new Image().src = address;
  };
  document.addEventListener("preflab:page", () => {
    clearTimeout(looking);
    const form = document.querySelector("form[data-films]");
    const wait = document.querySelector("[data-again]");
    if (form) begin(form);
    if (wait) looking = setTimeout(() => location.replace(wait.dataset.again), 4000);
  });
})();
