"""Pairs by policy, preference model and judge, against values worked out by hand."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from preflab.data.dialogue import Dialogue
from preflab.evals.core.items import Item
from preflab.evals.core.runner import ItemResult, run_items
from preflab.evals.core.suite import Variant, columns_of
from preflab.evals.metrics import preference_pairs
from preflab.evals.metrics.preference_pairs import PreferencePair
from preflab.rollouts.requests.parse_reply import NEITHER
from preflab.rollouts.requests.types import OptionLogprobs, Request
from tests.evals.suites.scripted import Scripted, asked, outcome


def one(plan: Callable[[Item], Any], better: str = "good and kind", worse: str = "bad", **panel: Any) -> ItemResult:
    item = Item(id="1", group="1", data=PreferencePair(Dialogue.of("hi"), better, worse, {"subset": "s"}))
    way = Variant(name="w", summary="", plan=plan, roles=frozenset(panel))
    (told,) = run_items(way, [item], panel)
    return told


def test_a_policy_is_scored_by_mean_by_sum_and_by_mutual_information() -> None:
    """Three words against one.

    Asked: log P = -6 and -3. Sums: -6 < -3, lost. Means: -6/3 = -2 > -3/1, won. Alone: -9 and -3, so the mutual
    information is 3 against 0, won.
    """

    def choose(ask: OptionLogprobs) -> tuple[float, ...]:
        alone = ask.prompt == preference_pairs.EMPTY
        return (math.exp(-9), math.exp(-3)) if alone else (math.exp(-6), math.exp(-3))

    policy = Scripted(choose=choose)
    assert outcome(one(preference_pairs.policy_plan, policy=policy)) == {
        "subset": "s",
        "longer": 1.0,
        "correct": 1.0,
        "summed": 0.0,
        "mutual": 1.0,
    }
    assert [(ask.options, ask.closed) for ask in policy.tape if isinstance(ask, OptionLogprobs)] == [
        (("good and kind", "bad"), True)
    ] * 2


@pytest.mark.parametrize(
    ("gap", "correct", "band", "loss", "confidence"),
    [
        (math.log(3), 1.0, "1 to 2", math.log(4 / 3), 0.75),
        (-math.log(3), 0.0, "1 to 2", math.log(4), 0.75),
        (0.0, 0.5, "0 to 0.5", math.log(2), 0.5),
        (900.0, 1.0, "4 and more", 0.0, 1.0),
        (-900.0, 0.0, "4 and more", 900.0, 1.0),
    ],
)
def test_a_preference_model(gap: float, correct: float, band: str, loss: float, confidence: float) -> None:
    found = outcome(one(preference_pairs.pm_plan, pm=Scripted(rate=lambda _: (7.0 + gap, 7.0))))
    assert (found["correct"], found["band"]) == (correct, band)
    assert found["loss"] == pytest.approx(loss, abs=1e-12)
    assert found["confidence"] == pytest.approx(confidence, abs=1e-12)


def prefers(word: str, sure: float) -> Callable[[Request], tuple[float, float]]:
    """A judge that likes the text with this word, wherever it stands."""

    def choose(ask: Request) -> tuple[float, float]:
        return (sure, 1 - sure) if f"(A) {word}" in asked(ask) else (1 - sure, sure)

    return choose


def first_with(prob: float) -> Callable[[Request], tuple[float, float]]:
    return lambda _: (prob, 1 - prob)


@pytest.mark.parametrize(
    ("choose", "expected"),
    [
        (prefers("good", 0.9), (1.0, 0.9, 1.0, 0.5)),
        (prefers("bad", 0.9), (0.0, 0.1, 1.0, 0.5)),
        (first_with(0.75), (0.5, 0.5, 0.0, 1.0)),  # the first, whatever it is: 3/4 and 1/4 average to a half
        (first_with(0.25), (0.5, 0.5, 0.0, 0.0)),
        (first_with(0.5), (0.5, 0.5, 0.0, 0.5)),
    ],
)
def test_a_judge_asked_in_both_orders(choose: Callable[..., Any], expected: tuple[float, ...]) -> None:
    for plan, whom in ((preference_pairs.judge_plan, "judge"), (preference_pairs.letter_plan, "policy")):
        found = outcome(one(plan, **{whom: Scripted(choose=choose)}))
        names = ("correct", "probability", "consistent", "first")
        assert [found[name] for name in names] == pytest.approx(expected)


def test_a_judge_that_leans_to_the_first_is_still_right_where_it_leans_less_to_the_worse() -> None:
    """P(better first) = 0.9; P(worse first) = 0.6, so P(better) = (0.9 + 0.4) / 2 = 0.65, but not consistently."""
    found = outcome(
        one(
            preference_pairs.judge_plan,
            judge=Scripted(choose=lambda a: (0.9, 0.1) if "(A) good" in asked(a) else (0.6, 0.4)),
        )
    )
    assert found["probability"] == pytest.approx(0.65)
    assert (found["correct"], found["consistent"], found["first"]) == (1.0, 0.0, 1.0)


def test_a_judge_that_answers_neither_is_not_scored() -> None:
    told = one(preference_pairs.judge_plan, judge=Scripted(choose=lambda _: (1e-4, 1e-5)))
    assert (told.outcome, told.failed) == (None, NEITHER)
    told = one(preference_pairs.sampled_judge_plan, judge=Scripted(speak=lambda _: "I cannot say."))
    assert (told.outcome, told.failed) == (None, NEITHER)
    told = one(preference_pairs.sampled_judge_plan, judge=Scripted(speak=lambda _: ""))
    assert (told.outcome, told.failed) == (None, "the model said nothing")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (("A", "B"), (1.0, 1.0, 0.5)),  # the better in both orders
        (("B", "A"), (0.0, 1.0, 0.5)),
        (("A", "A"), (0.5, 0.0, 1.0)),
    ],
)
def test_a_judge_that_writes(said: tuple[str, str], expected: tuple[float, ...]) -> None:
    judge = Scripted(speak=lambda ask: said[0] if "(A) good" in asked(ask) else said[1])
    found = outcome(one(preference_pairs.sampled_judge_plan, judge=judge))
    assert (found["correct"], found["consistent"], found["first"]) == expected
    assert "confidence" not in found


def test_calibration_of_three_in_four() -> None:
    """75 % sure and right in three of four: calibrated; right in two of four: a quarter too sure."""
    for right, expected in ((3, 0.0), (2, 0.25)):
        outcomes = [{"confidence": 0.75, "correct": float(i < right), "longer": 0.0} for i in range(4)]
        columns = columns_of(outcomes)
        assert preference_pairs.calibration_error(columns) == pytest.approx(expected)
        assert preference_pairs.over_confidence(columns) == pytest.approx(expected)
        assert preference_pairs.lead_over_length(columns) == pytest.approx(
            right / 4 - 1.0
        )  # the shorter is always better


def test_items_without_a_number_do_not_count() -> None:
    columns = columns_of([{"confidence": 0.5, "correct": 1.0}, {"correct": 1.0}])
    assert np.array_equal(preference_pairs.has("confidence", "correct")(columns), [True, False])
    assert not preference_pairs.has("gap")(columns).any()
