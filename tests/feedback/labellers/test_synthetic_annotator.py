"""Scripted annotators: what they like, how often they err, and how they use a graded scale."""

import math

import pytest

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError
from preflab.feedback.labellers.synthetic_annotator import Criterion, SyntheticPreference

SURE = SyntheticPreference(noise=0.0)


@pytest.mark.parametrize(
    ("criterion", "better", "worse", "gap"),
    [
        ("brief", "abc", "abcdefg", math.log(2)),  # ln 8 - ln 4
        ("wordy", "abcdefg", "abc", math.log(2)),
        ("asking", "Why? How?", "Because.", math.log(3)),
        ("plain", "abcd", "ab12", 0.5),
    ],
)
def test_what_is_liked_by_how_much(criterion: Criterion, better: str, worse: str, gap: float) -> None:
    sure = SyntheticPreference(criterion=criterion, noise=0.0)
    assert sure.rate(better) - sure.rate(worse) == pytest.approx(gap)
    assert (sure.truth(better, worse), sure.truth(worse, better), sure.truth(worse, worse)) == (1, -1, 0)


def test_errors_come_at_the_stated_rate_and_do_not_depend_on_the_side() -> None:
    noisy = SyntheticPreference(noise=0.2, seed=3)
    pairs = [(f"word {k}", f"more words and {k}") for k in range(2000)]
    wrong = sum(noisy.judge(a, b) == -1 for a, b in pairs)
    assert abs(wrong / 2000 - 0.2) < 3 * math.sqrt(0.2 * 0.8 / 2000)  # three standard errors
    assert all(noisy.judge(a, b) == -noisy.judge(b, a) for a, b in pairs)
    assert any(noisy.judge(a, b) != noisy.judge(a, b, annotator="another") for a, b in pairs)
    assert any(noisy.judge(a, b) != SyntheticPreference(noise=0.2, seed=4).judge(a, b) for a, b in pairs)


def test_small_differences_are_ties_within_the_band() -> None:
    coarse = SyntheticPreference(noise=0.0, tie_band=math.log(8 / 7) + 1e-9)
    assert coarse.truth("abcdef", "abcdefg") == 0  # ln 7 against ln 8
    assert coarse.truth("abcde", "abcdefg") == 1


def test_the_scale_says_by_how_much() -> None:
    scale = [-4, -3, -2, -1, 1, 2, 3, 4]
    three, seven = "abc", "abcdefg"
    # ln 2 = 0.693 apart; steps of 0.25: 1 + 2 whole ones
    assert SURE.to_scale(three, seven, scale) == -3
    assert SURE.to_scale(seven, three, scale) == 3
    assert SURE.to_scale("", "a " * 1000, scale) == -4  # no further than the scale goes
    assert SURE.to_scale("a", "b", scale) == -1  # a tie where there is no middle
    assert SURE.to_scale("a", "b", [-1, 0, 1]) == 0


def test_comparisons_are_ranked_anew_and_nothing_of_the_old_label_stays() -> None:
    old = Comparison.chosen_rejected(Dialogue.of("Hi"), "a b c d", "a", strength=3.0)
    assert SURE.label(old).ranks == (1, 0)
    assert SURE.label(old).strength is None and SURE.label(old).provenance.annotator == "scripted"
    three = Comparison(prompt=Dialogue.of("Hi"), replies=("ab", "a", "ba"), ranks=(0, 1, 2))
    assert SURE.label(three).ranks == (1, 0, 1)
    assert SURE.label(Comparison(prompt=Dialogue.of("Hi"), replies=("a", "a"), ranks=(0, 0))).ranks == (0, 0)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"noise": 0.5}, r"noise must be in \[0, 0.5\)"),
        ({"step": 0.0}, "step above 0"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        SyntheticPreference(**wrong)  # type: ignore[arg-type]
