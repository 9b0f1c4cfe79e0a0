"""A judge's labels in words: every count stands there, and what did not happen is not mentioned."""

from typing import Any

from preflab.maths.statistics import Estimate
from preflab.reporting.judge_text import judge_text

JUDGE: dict[str, Any] = {
    "spec": "pm:a",
    "judge": "pm:a@0123",
    "pairs": {"train": 1200, "held_out": 300},
    "abstained": {},
    "left_out": {},
    "replies_left_out": 0,
    "agreement": Estimate(0.8, 0.7, 0.9, 1400, 500).to_json(),
    "changed": Estimate(0.25, 0.2, 0.3, 1500, 520).to_json(),
    "agreement_by_part": {"held_out": Estimate(0.6, 0.5, 0.7, 290, 99).to_json()},
}


def test_labels_and_agreement() -> None:
    assert judge_text(JUDGE) == [
        "All labels, those of the held-out part too, are of the judge pm:a@0123: it was asked about 1,500 pairs of "
        "replies (train 1,200, held out 300).",
        "It names the same winner as the labels before in 80.0 % [70.0, 90.0] of 1,400 pairs (in 500 prompts), a tie "
        "counting half: held out 60.0 % [50.0, 70.0].",
        "25.0 % [20.0, 30.0] of the labels say something else than before (a tie in place of a winner counts).",
    ]


def test_what_was_left_out_is_counted_with_its_reason() -> None:
    left_out = {"abstained": {"both are bad": 7}, "left_out": {"no label": 2}, "replies_left_out": 3}
    assert judge_text(JUDGE | left_out)[3:] == [
        "Not labelled: 7 pairs, since both are bad.",
        "Left out after labelling: 2 comparisons, since no label.",
        "Left out of comparisons with other replies: 3 replies without a label.",
    ]


def test_nothing_to_agree_with_is_said_and_no_judge_is_no_text() -> None:
    sentences = judge_text(JUDGE | {"agreement": None, "agreement_by_part": {}})
    assert sentences[1] == "The labels before named no winner, so there is nothing to agree with."
    assert judge_text(None) == []
