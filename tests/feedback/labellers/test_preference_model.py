"""A preference model as a labeller: Bradley and Terry's probability of its scores."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError, DataError
from preflab.feedback.labellers.preference_model import (
    PreferenceModelLabeller,
    PreferenceModelSettings,
    prob_of_gap,
)
from preflab.interfaces import Labeller
from preflab.rollouts.requests.responders import TOO_LONG
from preflab.rollouts.requests.response_cache import ResponseCache


class CountA:
    """A nat for each "a"; no number for "nan"; "long" is too long."""

    def __init__(self) -> None:
        self.scored: list[str] = []

    def __call__(self, dialogues: Sequence[Dialogue]) -> Float[Tensor, " dialogue"]:
        if any(dialogue.reply == "long" for dialogue in dialogues):
            raise DataError("too long")
        self.scored += [dialogue.reply for dialogue in dialogues]
        scores = [math.nan if dialogue.reply == "nan" else dialogue.reply.count("a") for dialogue in dialogues]
        return torch.tensor(scores, dtype=torch.float32)


def pair(first: str, second: str, prompt: str = "q") -> Comparison:
    return Comparison(prompt=Dialogue.of(prompt), replies=(first, second), ranks=(0, 0))


def test_the_gap_in_nats_is_the_log_odds() -> None:
    judge = PreferenceModelLabeller(CountA())
    assert isinstance(judge, Labeller)
    labels = judge([pair("aa", "a"), pair("a", "aa"), pair("aab", "aa")])
    # sigmoid(1) = 0.73106
    assert labels.prob_first.tolist() == pytest.approx([0.731058578, 0.268941421, 0.5])


@pytest.mark.parametrize(
    ("gap", "temperature", "prob"),
    [(2.0, 2.0, 0.731058578), (2.0, 0.0, 1.0), (-2.0, 0.0, 0.0), (0.0, 0.0, 0.5), (1e4, 1.0, 1.0), (-1e4, 1.0, 0.0)],
)
def test_the_temperature_divides_the_gap(gap: float, temperature: float, prob: float) -> None:
    assert prob_of_gap(gap, temperature) == pytest.approx(prob)
    judge = PreferenceModelLabeller(CountA(), settings=PreferenceModelSettings(temperature=temperature))
    if gap == 2.0:
        assert judge([pair("aaa", "a")]).prob_first.tolist() == pytest.approx([prob])


def test_a_reply_without_a_score_is_an_abstention_of_its_pairs_alone() -> None:
    labels = PreferenceModelLabeller(CountA())([pair("a", "nan"), pair("long", "a"), pair("aa", "a")])
    assert labels.abstained == {0: "the preference model's score is not a number", 1: TOO_LONG}
    assert labels.prob_first[2] == pytest.approx(0.731058578)


def test_each_reply_is_scored_once_and_never_again_from_the_cache(tmp_path: Path) -> None:
    scorer = CountA()
    judge = PreferenceModelLabeller(scorer, cache=ResponseCache(tmp_path))
    asked = [pair("a", "b"), pair("a", "c", prompt="p"), pair("b", "c"), pair("c", "a")]
    first = judge(asked)
    assert scorer.scored == ["a", "b", "c", "a", "c"]  # of prompt q, then of prompt p
    again = PreferenceModelLabeller(scorer, cache=ResponseCache(tmp_path))(asked)
    assert len(scorer.scored) == 5 and again.prob_first.tolist() == first.prob_first.tolist()


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ConfigError, match="temperature must not be negative, got -1"):
        PreferenceModelSettings(temperature=-1.0)
    three = Comparison(prompt=Dialogue.of("q"), replies=("a", "b", "c"), ranks=(0, 1, 2))
    with pytest.raises(DataError, match="a labeller judges pairs, got 3 replies"):
        PreferenceModelLabeller(CountA())([three])
