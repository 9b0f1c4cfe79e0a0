// Replies that grow: fetched and written on where they stand, so that nothing that is read, selected or scrolled is
// disturbed. A screen reader hears once that they are coming and once that they are there.
"use strict";
(() => {
  const { complain, tell, say } = window.preflab;
  const PAUSE = 600;
  const LONGEST_PAUSE = 10000;
  let pause = PAUSE;
  let timer = 0;

  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(look, pause);
  };
  const look = async () => {
    const talk = document.getElementById("talk");
    const from = talk && talk.dataset.follow;
    if (!from) return;
    try {
      const answer = await fetch(from, { cache: "no-store" });
      if (answer.status === 429 || answer.status >= 500) throw new Error("busy");
      const text = await answer.text();
      const next = new DOMParser().parseFromString(text, "text/html").getElementById("talk");
      if (talk !== document.getElementById("talk")) return; // another page has come meanwhile
      if (!answer.ok || answer.redirected || !next) { location.reload(); return; }
      if (pause !== PAUSE) complain("");
      pause = PAUSE;
      take(talk, next);
    } catch {
      if (talk !== document.getElementById("talk")) return;
      complain("No connection. Your message is kept; looking again for the replies …");
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
    later();
  };
  const take = (talk, next) => {
    const old = talk.querySelectorAll(".reply");
    const now = next.querySelectorAll(".reply");
    const ready = !next.dataset.follow;
    if (old.length !== now.length) {
      talk.replaceWith(document.adoptNode(next));
    } else {
      old.forEach((reply, k) => grow(reply, now[k]));
      if (ready) finish(talk, next);
    }
    if (!ready) return;
    tell(document.querySelector("#talk .complaint") ? "An assistant gave no answer." : now.length > 1 ? "Both replies are here." : "The reply is here.");
    say("preflab:part");
  };
  const grow = (reply, next) => {
    reply.className = next.className;
    const text = reply.querySelector(".text bdi");
    const [was, is] = [text.textContent, next.querySelector(".text bdi").textContent];
    if (was && is.startsWith(was)) text.firstChild.appendData(is.slice(was.length));
    else if (is !== was) text.textContent = is;
    const [note, newer] = [reply.querySelector(":scope > p"), next.querySelector(":scope > p")];
    if (note && newer && note.className === newer.className) {
      if (note.textContent !== newer.textContent) note.textContent = newer.textContent;
    } else {
      if (note) note.remove();
      if (newer) reply.append(document.adoptNode(newer));
    }
  };
  const finish = (talk, next) => {
    talk.removeAttribute("data-follow");
    talk.removeAttribute("aria-busy");
    for (const part of [talk, next]) {
      const list = part.querySelector(".replies");
      if (part === talk) while (list.nextSibling) list.nextSibling.remove();
      else while (list.nextSibling) talk.append(document.adoptNode(list.nextSibling));
    }
  };
  document.addEventListener("preflab:page", () => {
    pause = PAUSE;
    const talk = document.getElementById("talk");
    if (!talk || !talk.dataset.follow) return;
    tell("Being written …");
    later();
  });
  window.addEventListener("online", () => { pause = PAUSE; if (document.querySelector("#talk[data-follow]")) later(); });
})();
