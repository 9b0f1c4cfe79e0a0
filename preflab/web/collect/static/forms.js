// Forms: sent once, under the key that the page made, again and again until an answer comes, and never emptied by a
// refusal. History and focus, as if the browser had sent them.
"use strict";
(() => {
  const { complain, tell, say } = window.preflab;
  const BUSY = [429, 502, 503, 504];
  const REFUSED = [400, 401, 403, 413, 500];
  const FIRST_PAUSE = 1000;
  const LONGEST_PAUSE = 15000;
  let pause = FIRST_PAUSE;
  let shown = location.pathname + location.search;
  const waiting = new Map(); // form -> timer of the next attempt
  const pressed = new WeakMap(); // form -> the button that sent it: its value belongs to the form

  const prepare = () => {
    document.querySelectorAll("form[method=post]").forEach((form) => {
      if (form.dataset.ready) return;
      form.dataset.ready = "1";
      form.dataset.since ||= String(Date.now()); // when what it asks could first be seen
      form.setAttribute("hx-post", form.getAttribute("action") || location.pathname);
      form.setAttribute("hx-target", "#page");
      form.setAttribute("hx-select", "#page");
      form.setAttribute("hx-swap", "outerHTML");
      form.setAttribute("hx-sync", "this:drop");
      form.setAttribute("hx-disabled-elt", "#page form button"); // nor anything else until the answer is here
      window.htmx.process(form);
    });
  };
  document.addEventListener("preflab:page", prepare);
  document.addEventListener("preflab:part", prepare);

  // -- sending ---------------------------------------------------------------------------------------------
  const formOf = ({ detail }) => {
    const from = detail.requestConfig ? detail.requestConfig.elt : detail.elt; // of an answer, elt is where it goes
    return from instanceof HTMLFormElement ? from : null;
  };
  const maySendAgain = (form) => form.querySelector("[name=key]") !== null;

  document.addEventListener("submit", (event) => {
    if (event.submitter) pressed.set(event.target, event.submitter);
  }, true);
  document.addEventListener("htmx:configRequest", (event) => {
    const form = formOf(event);
    if (!form) return;
    forget(form);
    const button = pressed.get(form); // htmx knows only buttons that were clicked, not those pressed by a key
    if (button && button.name) event.detail.parameters[button.name] = button.value;
    if (!form.matches("[data-timed]")) return;
    form.dataset.took ||= String((Number(event.detail.parameters.seconds) || 0) + (Date.now() - Number(form.dataset.since)) / 1000);
    event.detail.parameters.seconds = Number(form.dataset.took).toFixed(3);
  });
  const forget = (form) => {
    clearTimeout(waiting.get(form));
    waiting.delete(form);
  };
  const again = (form) => {
    forget(form);
    if (!document.contains(form)) return;
    const button = pressed.get(form);
    if (button && document.contains(button)) form.requestSubmit(button);
    else form.requestSubmit();
  };
  const lost = (form, why) => {
    const button = pressed.get(form);
    if (document.activeElement === document.body && button && document.contains(button)) setTimeout(() => button.focus({ preventScroll: true }));
    if (!maySendAgain(form)) {
      complain(`${why} Perhaps it did not arrive: please try again.`);
      return;
    }
    complain(`Not sent yet: ${why} What you wrote is kept here; trying again …`);
    clearTimeout(waiting.get(form));
    waiting.set(form, setTimeout(() => again(form), pause));
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  };
  for (const kind of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(kind, (event) => {
      const form = formOf(event);
      if (form) lost(form, "no connection.");
    });
  }
  window.addEventListener("online", () => [...waiting.keys()].forEach(again));
  window.addEventListener("beforeunload", (event) => { if (waiting.size) event.preventDefault(); });

  // -- forms that wait beside the one that was sent: what was filled in there is filled in again -------------
  let halves = [];
  const hold = (sent) => {
    halves = [...document.querySelectorAll("form.judge")].filter((form) => form !== sent).map((form) => ({
      action: form.getAttribute("action"),
      since: form.dataset.since,
      open: Boolean(form.closest("details[open]")),
      fields: [...form.elements].filter((field) => field.name && field.type !== "hidden").map((field) => [field.name, field.value, field.checked]),
    }));
  };
  const refill = () => {
    for (const { action, since, open, fields } of halves) {
      const form = [...document.querySelectorAll("form.judge")].find((candidate) => candidate.getAttribute("action") === action);
      if (!form) continue;
      form.dataset.since = since;
      const details = form.closest("details");
      if (open && details) details.open = true;
      for (const [name, value, checked] of fields) {
        for (const field of form.elements) {
          if (field.name !== name) continue;
          if (field.type !== "radio" && field.type !== "checkbox") field.value = value;
          else if (field.value === value) field.checked = checked;
        }
      }
    }
    halves = [];
  };

  // -- what comes back -------------------------------------------------------------------------------------
  const message = (xhr) => {
    if (!(xhr.getResponseHeader("content-type") || "").startsWith("text/html")) return xhr.responseText;
    const complaint = new DOMParser().parseFromString(xhr.responseText, "text/html").querySelector("main .complaint");
    return complaint ? complaint.textContent : `the server answered ${xhr.status}`;
  };
  document.addEventListener("htmx:beforeSwap", (event) => {
    const form = formOf(event);
    const { xhr } = event.detail;
    if (!form) return;
    event.detail.isError = false; // told to the person, below or by the page itself
    if (BUSY.includes(xhr.status)) {
      event.detail.shouldSwap = false;
      lost(form, "the server is busy.");
      return;
    }
    pause = FIRST_PAUSE;
    delete form.dataset.took;
    const isPage = (xhr.getResponseHeader("content-type") || "").startsWith("text/html");
    if (!isPage || (REFUSED.includes(xhr.status) && maySendAgain(form))) {
      event.detail.shouldSwap = false; // what was written stays where it is
      complain(`Not sent: ${message(xhr)}`);
      return;
    }
    complain("");
    tell("");
    hold(form);
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (!document.getElementById("page")) return;
    const { xhr, requestConfig } = event.detail;
    const to = xhr && xhr.responseURL ? new URL(xhr.responseURL) : null;
    const requested = requestConfig ? new URL(requestConfig.path, location.href) : null;
    if (to && requested && to.pathname !== requested.pathname) { // sent on to a page that has an address of its own
      const next = to.pathname + to.search;
      history[next === shown ? "replaceState" : "pushState"]({}, "", next);
      shown = next;
    }
    refill();
    say("preflab:page");
    arrive();
  });
  const arrive = () => {
    const complaint = document.querySelector("[data-focus]");
    const talk = document.getElementById("talk");
    const before = talk && talk.previousElementSibling;
    if (complaint) {
      window.scrollTo(0, 0);
      complaint.focus();
    } else if (talk && (before || talk.querySelector(".message"))) {
      (talk.querySelector(".message") ? talk : before).scrollIntoView({ block: talk.closest(".pane") ? "nearest" : "start" });
      const field = talk.querySelector("textarea");
      if (field && matchMedia("(pointer: fine)").matches) field.focus({ preventScroll: true });
      else document.getElementById("main").focus({ preventScroll: true });
    } else {
      window.scrollTo(0, 0);
      document.getElementById("main").focus({ preventScroll: true });
    }
  };
  window.addEventListener("popstate", () => { if (location.pathname + location.search !== shown) location.reload(); });
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
})();
