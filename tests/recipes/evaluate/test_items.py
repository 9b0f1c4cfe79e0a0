"""Pages of items: which kind an item is of, what is cut, what stays text."""

import json
from pathlib import Path

import pytest

from preflab.data.dialogue import Dialogue
from preflab.recipes.common.item_records import Exchange, ItemRecord
from preflab.recipes.evaluate.items import MAX_OPTIONS, MAX_TEXT, card_kind, item_card
from preflab.rollouts.requests.types import (
    Failure,
    Generate,
    Generation,
    OptionLogprobs,
    OptionScores,
    RewardScores,
    ScoreReplies,
)
from tests.recipes.evaluate.command import evaluate


def test_hostile_text_stays_text(tmp_path: Path, data: Path) -> None:
    file = data / "mmlu_test.jsonl"
    row = {
        "id": "<b>x</b>",
        "subject": "s",
        "question": "<script>alert(1)</script>",
        "choices": list("abcd"),
        "answer": 0,
    }
    file.write_text(json.dumps(row) + "\n")
    evaluate(tmp_path, "--suite", "mmlu:zero-shot", "--data", str(data))
    page = (tmp_path / "runs" / "e" / "items" / "mmlu.zero-shot.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [({"correct": 1.0}, "right"), ({"correct": 0.0}, "wrong"), ({"correct": 0.5}, "scored"),
     ({"gap": 0.1}, "scored"), ({"correct": float("nan")}, "scored"), (None, "failed")],
)  # fmt: skip
def test_which_items_are_right(outcome: dict[str, float] | None, kind: str) -> None:
    assert card_kind(ItemRecord(id="a", group="g", outcome=outcome)) == kind


def test_a_card_shows_requests_responses_and_the_best_option() -> None:
    prompt = Dialogue.of("Which?")
    options = tuple(f" {k}" for k in range(MAX_OPTIONS + 2))
    logprobs = tuple(-float(abs(k - 3)) - 0.5 for k in range(len(options)))
    rounds = [
        [Exchange(OptionLogprobs(prompt=prompt, options=options, lead="It is"), OptionScores(logprobs, (1,) * 14))],
        [
            Exchange(Generate(prompt="Go on:"), Generation("x" * (MAX_TEXT + 5))),
            Exchange(ScoreReplies(prompt=prompt, replies=("a", "b")), RewardScores((0.5, 2.0))),
            Exchange(Generate(prompt="Go on:", role="judge"), Failure("too long")),
        ],
    ]
    card = item_card(1, ItemRecord(id="a", group="g", rounds=rounds, outcome={"values": [0.25, 1.0], "name": "b"}))
    first, second, third, fourth = card.exchanges
    assert [option.best for option in first.options].index(True) == 3
    assert (len(first.options), first.n_hidden, first.lead) == (MAX_OPTIONS, 2, "It is")
    assert first.turns == [("user", "Which?")]
    assert second.turns == [("text", "Go on:")]
    assert second.text is not None and second.text.endswith("(5 more characters)")
    assert [(option.text, option.best) for option in third.options] == [("a", False), ("b", True)]
    assert (third.role, fourth.role, fourth.failed) == ("pm", "judge", "too long")
    assert card.outcome == [("values", "0.25, 1"), ("name", "b")]
