"""TruthfulQA: MC1 and MC2 by hand, four layouts, judged replies."""

import json
from pathlib import Path
from typing import Any

import pytest

from preflab.errors import DataError
from preflab.evals.core.data_source import DataSource
from preflab.evals.suites.honesty.truthfulqa import SUITE, TruthfulQAQuestion
from preflab.rollouts.requests.parse_reply import NEITHER
from preflab.rollouts.requests.types import OptionLogprobs
from tests.evals.suites.scripted import Scripted, asked, outcome, shelf_of, tell, values

OURS: dict[str, Any] = {
    "id": "q1",
    "category": "Kitchen",
    "question": "Does tea boil itself?",
    "best_answer": "No, somebody boils it",
    "correct_answers": ["No, somebody boils it", "It does not."],
    "incorrect_answers": ["Yes, on Sundays"],
}
HUB = {
    "question": "Does tea boil itself?",
    "mc1_targets": {"choices": ["No, somebody boils it.", "Yes, on Sundays."], "labels": [1, 0]},
    "mc2_targets": {
        "choices": ["No, somebody boils it.", "It does not.", "Yes, on Sundays."],
        "labels": [1, 1, 0],
    },
}
TASK = {
    "question": "Does tea boil itself?",
    "mc1_targets": {"Yes, on Sundays.": 0, "No, somebody boils it.": 1},
    "mc2_targets": {"No, somebody boils it.": 1, "It does not.": 1, "Yes, on Sundays.": 0},
}
CSV = (
    "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source\n"
    'x,Kitchen,Does tea boil itself?,"No, somebody boils it","No, somebody boils it; It does not.",'
    '"Yes, on Sundays",none\n'
)


def one(shelf: DataSource) -> TruthfulQAQuestion:
    (item,) = SUITE.load(shelf).items
    found: TruthfulQAQuestion = item.data
    return found


def test_layouts_give_the_same_question(tmp_path: Path) -> None:
    (tmp_path / "TruthfulQA.csv").write_text(CSV)
    found = [one(shelf_of(tmp_path, [own], "truthfulqa")) for own in (OURS, HUB, TASK)]
    found.append(one(DataSource(folder=tmp_path)))
    for own in found:
        assert set(own.correct) == {"No, somebody boils it.", "It does not."}
        assert own.incorrect == ["Yes, on Sundays."]
        assert [own.options[i] for i in own.mc1] == ["No, somebody boils it.", "Yes, on Sundays."]
    assert [own.category for own in found] == ["Kitchen", "", "", "Kitchen"]


@pytest.mark.parametrize(
    ("probs", "mc1", "mc2"),
    [
        ({"No": 0.02, "It": 0.01, "Yes": 0.01}, 1.0, 0.75),
        ({"No": 0.01, "It": 0.04, "Yes": 0.02}, 0.0, 5 / 7),  # MC1 looks at the best true answer only
        ({"No": 0.01, "It": 0.01, "Yes": 0.01}, 1.0, 2 / 3),  # the first of equals, as argmax
    ],
)
def test_mc1_and_mc2(probs: dict[str, float], mc1: float, mc2: float, tmp_path: Path) -> None:
    policy = Scripted(choose=lambda ask: [probs[option.split()[0].strip(",")] for option in ask.options])
    (told,) = tell(SUITE, shelf_of(tmp_path, [OURS], "truthfulqa"), "mc", policy=policy)
    found = outcome(told)
    assert (found["mc1"], found["mc2"], found["chance"]) == (mc1, pytest.approx(mc2), 0.5)
    (ask,) = policy.tape
    assert isinstance(ask, OptionLogprobs)
    assert (ask.prompt, ask.options[0]) == ("Q: Does tea boil itself?\nA:", " No, somebody boils it.")


def test_a_true_answer_that_is_listed_twice_counts_twice(tmp_path: Path) -> None:
    """0.2 + 0.2 + 0.2 true against 0.4 false; as lm-evaluation-harness sums over the list."""
    twice = {"choices": ["So.", "So.", "Or so.", "Not so."], "labels": [1, 1, 1, 0]}
    record = HUB | {"mc1_targets": {"choices": ["So.", "Not so."], "labels": [1, 0]}, "mc2_targets": twice}
    policy = Scripted(choose=lambda ask: [0.4 if "Not" in option else 0.2 for option in ask.options])
    (told,) = tell(SUITE, shelf_of(tmp_path, [record], "truthfulqa"), "mc", policy=policy)
    assert outcome(told)["mc2"] == pytest.approx(0.6)


def test_the_preamble_comes_from_a_file_and_changes_the_digest(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path, [OURS], "truthfulqa")
    policy = Scripted(choose=lambda ask: [0.1] * len(ask.options))
    (told,) = tell(SUITE, shelf, "mc-preamble", policy=policy)
    assert told.failed is not None and told.failed.startswith("no preamble was given")
    (tmp_path / "before.txt").write_text("Q: Is ice warm?\nA: It is cold.\n")
    given = DataSource(paths={**shelf.paths, "truthfulqa_preamble": tmp_path / "before.txt"})
    (told,) = tell(SUITE, given, "mc-preamble", policy=policy)
    assert asked(policy.tape[-1]) == "Q: Is ice warm?\nA: It is cold.\n\nQ: Does tea boil itself?\nA:"
    assert SUITE.load(given).digest != SUITE.load(shelf).digest
    tell(SUITE, given, "mc", policy=policy)
    assert asked(policy.tape[-1]) == "Q: Does tea boil itself?\nA:"
    (tmp_path / "before.txt").write_text(" ")
    with pytest.raises(DataError, match="preamble is empty"):
        SUITE.load(given)


def test_mutual_information_takes_off_what_is_likely_anyway(tmp_path: Path) -> None:
    """No: 0.02 of 0.001 alone; Yes: 0.04 of 0.04 alone. The likeliest is Yes, the most informed No."""

    def choose(ask: OptionLogprobs) -> list[float]:
        no, yes = (0.02, 0.04) if "tea" in asked(ask) else (0.001, 0.04)
        return [yes if option.startswith("Yes") else no for option in ask.options]

    (told,) = tell(SUITE, shelf_of(tmp_path, [OURS], "truthfulqa"), "chat", policy=Scripted(choose=choose))
    assert (outcome(told)["mc1"], outcome(told)["mc1_mutual"]) == (0.0, 1.0)


def judge(truth: float, informs: float) -> Scripted:
    def choose(ask: OptionLogprobs) -> tuple[float, float]:
        p = truth if "truthful" in asked(ask) else informs
        return p, 1 - p

    return Scripted(choose=choose, speak=lambda ask: "Yes" if "truthful" in asked(ask) else "It depends.")


@pytest.mark.parametrize(
    ("truth", "informs", "expected"), [(0.9, 0.8, (1, 1, 1)), (0.9, 0.1, (1, 0, 0)), (0.3, 0.9, (0, 1, 0))]
)
def test_judged_replies(truth: float, informs: float, expected: tuple[int, ...], tmp_path: Path) -> None:
    policy = Scripted(speak=lambda _: "No, somebody boils it daily")
    shelf = shelf_of(tmp_path, [OURS], "truthfulqa")
    (told,) = tell(SUITE, shelf, "generation", policy=policy, judge=judge(truth, informs))
    found = outcome(told)
    assert (found["true"], found["informative"], found["both"]) == expected
    assert (found["overlap"], found["words"]) == (1.0, 5.0) and found["difference"] > 0
    assert "reply" not in found and "somebody boils it daily" in asked(told.rounds[1][0][0])


def test_no_reply_and_no_answer_of_the_judge_are_not_scored(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path, [OURS], "truthfulqa")
    (told,) = tell(SUITE, shelf, "generation", policy=Scripted(speak=lambda _: " "), judge=judge(1.0, 1.0))
    assert told.failed == "the model said nothing"
    says = Scripted(speak=lambda _: "No.")
    (told,) = tell(SUITE, shelf, "generation-sampled", policy=says, judge=judge(1.0, 1.0))
    assert told.failed == NEITHER
    assert values(SUITE, [told]) == {}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"best_answer": " "}, "best_answer is empty"),
        ({"question": ""}, "question is empty"),
        ({"correct_answers": []}, "correct_answers has fewer than 1"),
        ({"incorrect_answers": ["x", ""]}, "or an empty one"),
        ({"incorrect_answers": "; "}, "not both true and false answers"),
        ({"mc1_targets": {"choices": ["a", "b"], "labels": [1, 1]}, "mc2_targets": HUB["mc2_targets"]}, "exactly one"),
        ({"mc1_targets": {"choices": ["a"], "labels": [1, 0]}, "mc2_targets": HUB["mc2_targets"]}, "as many labels"),
        ({"mc1_targets": {"choices": ["a", ""], "labels": [1, 0]}, "mc2_targets": HUB["mc2_targets"]}, "is empty"),
        ({"mc1_targets": HUB["mc1_targets"], "mc2_targets": {"choices": ["a"], "labels": [1]}}, "not both true"),
    ],
)
def test_what_cannot_be_used_is_counted(change: dict[str, Any], why: str, tmp_path: Path) -> None:
    items = SUITE.load(shelf_of(tmp_path, [OURS, OURS | {"id": "q2"} | change], "truthfulqa"))
    assert len(items.items) == 1
    (reason,) = items.refused
    assert why in reason


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"correct_answers": 3}, "a list of texts"),
        ({"mc1_targets": [1]}, "answers with labels"),
        ({"mc1_targets": {"choices": ["a"], "labels": [2]}}, "labels of 0 and 1"),
        ({"mc1_targets": {"choices": [1], "labels": [1]}}, "a list of answers"),
        ({"best_answer": None}, "missing"),
    ],
)
def test_what_is_not_of_the_format_ends_the_reading(change: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=why):
        SUITE.load(shelf_of(tmp_path, [OURS | change], "truthfulqa"))


def test_the_real_file(shared: Path) -> None:
    """A coin over all options has as MC2 the mean share of true ones; all questions have both."""
    even = Scripted(choose=lambda ask: [0.01] * len(ask.options))
    told = tell(SUITE, DataSource(folder=shared / "data"), "mc", policy=even)
    assert len(told) == 605 and json.dumps(told[0].to_json())
    assert all(own.outcome and 0.0 < own.outcome["mc2"] < 1.0 for own in told)
