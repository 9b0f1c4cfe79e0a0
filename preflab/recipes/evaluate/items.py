"""A page of a suite's items: what was asked, what the model said, how it was judged. No scripts; filters by CSS."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from preflab.evals.core.runner import read_items
from preflab.reporting.html import render_page, truncate

MOST_ITEMS = 500
"""Items on a page; all of them stand in the file beside it."""
LONGEST = 1_500
MOST_OPTIONS = 12


def write_items_page(folder: Path, name: str, result: Mapping[str, Any]) -> Path | None:
    """Write ``items/<suite>.html`` from ``items/<suite>.jsonl``; None where there is no such file."""
    source = folder / "items" / f"{name}.jsonl"
    if not source.exists():
        return None
    lines = list(read_items(source))
    shown = [_card(n, line) for n, line in enumerate(lines[:MOST_ITEMS], start=1)]
    return render_page(
        source.with_suffix(".html"),
        Path(__file__).with_name("items.html.j2"),
        title=f"{result['title']} ({result['way']})",
        run=folder.resolve().name,
        file=source.name,
        cards=shown,
        total=len(lines),
        counts={kind: sum(card["kind"] == kind for card in shown) for kind in ("right", "wrong", "scored", "failed")},
    )


def _card(n: int, line: Mapping[str, Any]) -> dict[str, Any]:
    outcome = line.get("outcome")
    correct = None if outcome is None else outcome.get("correct")
    kind = "failed" if outcome is None else "scored"
    if isinstance(correct, int | float):
        kind = "right" if correct == 1 else "wrong" if correct == 0 else "scored"
    return {
        "n": n,
        "id": truncate(str(line["id"]), 80),
        "kind": kind,
        "failed": line.get("failed"),
        "outcome": [(key, _plain(value)) for key, value in (outcome or {}).items()],
        "asks": [_asked(one) for own in line["rounds"] for one in own],
    }


def _asked(one: Mapping[str, Any]) -> dict[str, Any]:
    ask, answer = one["ask"], one["answer"]
    prompt = ask["prompt"]
    said = [("text", prompt)] if isinstance(prompt, str) else [(turn["role"], turn["content"]) for turn in prompt]
    options = ask.get("options") or ask.get("replies") or ()
    numbers = answer.get("logprobs") or answer.get("scores") or ()
    best = max(range(len(numbers)), key=numbers.__getitem__) if numbers else None
    found: list[dict[str, Any]] = [
        {"text": truncate(str(option), LONGEST), "number": value, "best": i == best}
        for i, (option, value) in enumerate(zip(options, numbers, strict=False))
    ]
    return {
        "whom": ask.get("whom", "pm" if ask["kind"] == "rate" else "policy"),
        "kind": ask["kind"],
        "turns": [(role, truncate(text, LONGEST)) for role, text in said],
        "lead": ask.get("lead", ""),
        "options": found[:MOST_OPTIONS],
        "more": max(0, len(found) - MOST_OPTIONS),
        "text": truncate(answer["text"], LONGEST) if "text" in answer else None,
        "failed": answer.get("reason"),
    }


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_plain(own) for own in value)
    return truncate(str(value), 300)
