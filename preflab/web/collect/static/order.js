// The order of three and more replies: by dragging their headings, by buttons, by keys, or by the lists of places.
// The order of the cards and the places in the lists always say the same.
"use strict";
(() => {
  const { tell } = window.preflab;
  const placeOf = (card) => card.querySelector("select[name^=rank_]");
  const tieOf = (card) => card.querySelector("[data-tie]");

  const number = (list) => {
    let rank = 0;
    [...list.children].forEach((card, position) => {
      const tie = tieOf(card);
      if (tie && position === 0) tie.checked = false;
      if (tie) tie.disabled = position === 0;
      if (!(tie && tie.checked)) rank = position + 1;
      placeOf(card).value = String(rank);
    });
  };
  const arrange = (list) => {
    // From the lists to the cards, once every place is chosen.
    const cards = [...list.children];
    if (!cards.every((card) => placeOf(card).value)) return;
    const at = document.activeElement;
    const sorted = [...cards].sort((a, b) => Number(placeOf(a).value) - Number(placeOf(b).value));
    sorted.forEach((card, k) => {
      if (list.children[k] !== card) list.insertBefore(card, list.children[k]);
      const tie = tieOf(card);
      if (!tie) return;
      tie.checked = k > 0 && placeOf(card).value === placeOf(sorted[k - 1]).value;
      tie.disabled = k === 0;
    });
    if (at && list.contains(at)) at.focus();
  };
  const report = (card) => {
    const place = placeOf(card);
    tell(`${card.querySelector("h2").textContent}: place ${place.value} of ${card.parentElement.children.length}`);
  };
  const move = (card, by, focus) => {
    const list = card.parentElement;
    const other = by < 0 ? card.previousElementSibling : card.nextElementSibling;
    if (!other) return;
    if (by < 0) list.insertBefore(card, other);
    else list.insertBefore(other, card);
    number(list);
    focus.focus();
    report(card);
  };

  let dragged = null;
  const attach = (list) => {
    list.addEventListener("click", (event) => {
      const button = event.target.closest("[data-move]");
      if (button) move(button.closest("[data-card]"), Number(button.dataset.move), button);
    });
    list.addEventListener("change", (event) => {
      const card = event.target.closest("[data-card]");
      if (event.target.matches("[data-tie]")) { number(list); report(card); }
      else if (event.target === placeOf(card)) arrange(list);
    });
    list.addEventListener("keydown", (event) => {
      const card = event.target;
      if (!card.matches("[data-card]")) return;
      const tie = tieOf(card);
      if (event.key === "ArrowUp" || event.key === "ArrowDown") move(card, event.key === "ArrowUp" ? -1 : 1, card);
      else if (event.key === "=" && tie && !tie.disabled) { tie.checked = !tie.checked; number(list); report(card); }
      else return;
      event.preventDefault();
    });
    list.addEventListener("dragstart", (event) => {
      dragged = event.target.closest("[data-card]");
      event.dataTransfer.setData("text/plain", "");
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setDragImage(dragged, 20, 20);
      dragged.classList.add("moving");
    });
    list.addEventListener("dragover", (event) => {
      const over = event.target.closest("[data-card]");
      if (!dragged || !over) return;
      event.preventDefault();
      if (over === dragged) return;
      const box = over.getBoundingClientRect();
      list.insertBefore(dragged, event.clientY > box.top + box.height / 2 ? over.nextSibling : over);
    });
    list.addEventListener("drop", (event) => event.preventDefault());
    list.addEventListener("dragend", () => {
      if (!dragged) return;
      dragged.classList.remove("moving");
      number(list);
      report(dragged);
      dragged = null;
    });
  };
  document.addEventListener("preflab:page", () => {
    document.querySelectorAll("[data-replies]").forEach((list) => {
      if (Number(list.dataset.replies) < 3 || list.dataset.ready) return;
      list.dataset.ready = "1";
      attach(list);
      arrange(list);
    });
    // A prompt that is shown once every reply is put into words.
    document.querySelectorAll("[data-later]").forEach((prompt) => {
      const form = prompt.closest("form");
      const look = () => {
        if ([...form.querySelectorAll("[data-first]")].every((field) => field.value.trim())) prompt.classList.add("seen");
      };
      form.addEventListener("input", look);
      look();
    });
  });
})();
