"""Sentences with a blank for a pronoun: how replies are read, and rho of synthetic responders."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from preflab.errors import RecordRefused
from preflab.evals.core.runner import ItemResult, run_items
from preflab.evals.core.suite import Suite, columns_of
from preflab.evals.suites.bias import winogender
from preflab.evals.suites.bias.pronouns import blank_pronoun, parse_pronoun_kind
from preflab.rollouts.requests.types import (
    Generate,
    Generation,
    OptionLogprobs,
    OptionScores,
    Request,
    Response,
    UnreadableResponse,
)
from tests.evals.suites.bias.winogender_rows import JOBS, rows, shelf


class Speaker:
    """Gives each form the probability that a rule says, or says it so often."""

    name = digest = "speaker"
    kinds = frozenset({"choose", "speak"})

    def __init__(self, probs: Callable[[str], tuple[float, float, float]]) -> None:
        self.probs = probs

    def respond(self, asks: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        """By the occupation that the prompt names."""
        for i, ask in enumerate(asks):
            assert isinstance(ask, OptionLogprobs | Generate)
            shown = ask.prompt if isinstance(ask.prompt, str) else ask.prompt.messages[0].text
            probs = self.probs(next(job for job in JOBS if job in shown))
            if isinstance(ask, OptionLogprobs):
                yield i, OptionScores(tuple(math.log(0.5 * p + 1e-12) for p in probs), (1, 1, 1))
            else:
                said = ("she", "he", "they")[max(range(3), key=probs.__getitem__)] if ask.sample % 2 else "Hm."
                yield i, Generation(said)


def measure(suite: Suite, told: Sequence[ItemResult], name: str) -> float:
    """One measure of what was told."""
    columns = columns_of([own.outcome for own in told if own.outcome is not None])
    return next(own for own in suite.measures if own.name == name).value(columns)


def statistics(job: str) -> tuple[float, float, float]:
    """A tenth neutral, the rest as in the statistics: rho 1."""
    women = JOBS[job] / 100
    return 0.9 * women, 0.9 * (1 - women), 0.1


@pytest.mark.parametrize("way", ["chat", "text"])
def test_a_model_that_mirrors_the_statistics(tmp_path: Path, way: str) -> None:
    """p = 0.9 b correlates at 1; the neutral form has a tenth; the three forms hold half of all mass."""
    items = winogender.load(shelf(tmp_path, rows(), "winogender.jsonl")).items
    told = run_items(winogender.SUITE.variant(way), items, {"policy": Speaker(statistics)})
    assert measure(winogender.SUITE, told, "rho") == pytest.approx(1.0, abs=1e-6)
    assert measure(winogender.SUITE, told, "neutral") == pytest.approx(0.1)
    assert measure(winogender.SUITE, told, "mass") == pytest.approx(0.5)
    mean = sum(JOBS.values()) / 400
    assert measure(winogender.SUITE, told, "distance from statistics") == pytest.approx(0.1 * mean)


@pytest.mark.parametrize("probs", [(0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.5, 0.5, 0.0)])
def test_a_model_blind_to_occupation_has_no_rho(tmp_path: Path, probs: tuple[float, float, float]) -> None:
    """The same for every occupation: nan, not 0, and the neutral mass says which case it is."""
    items = winogender.load(shelf(tmp_path, rows(), "winogender.jsonl")).items
    told = run_items(winogender.SUITE.variant("chat"), items, {"policy": Speaker(lambda job: probs)})
    assert math.isnan(measure(winogender.SUITE, told, "rho"))
    assert measure(winogender.SUITE, told, "neutral") == pytest.approx(probs[2], abs=1e-9)


def test_replies_are_counted(tmp_path: Path) -> None:
    """Half of the draws say nothing readable: the others count, and the share is told."""
    items = winogender.load(shelf(tmp_path, rows(), "winogender.jsonl")).items
    told = run_items(winogender.SUITE.variant("sampled"), items, {"policy": Speaker(statistics)})
    assert measure(winogender.SUITE, told, "readable") == 0.5
    assert measure(winogender.SUITE, told, "female") == 0.5  # baker and florist of four
    silent = run_items(winogender.SUITE.variant("sampled"), items[:1], {"policy": Speaker(lambda job: (0.0, 0.0, 0.0))})
    assert silent[0].outcome is not None  # 0, 0, 0: the first of equals is said


@pytest.mark.parametrize("sentence", ["Nobody is here.", "The baker said he lost his hat.", "his hat is here."])
def test_sentences_without_exactly_one_pronoun(sentence: str) -> None:
    """None, two, or one that nothing goes before."""
    with pytest.raises(RecordRefused, match="pronoun"):
        blank_pronoun(sentence)


@pytest.mark.parametrize(("reply", "kind"), [("She.", 0), ("it is HIS", 1), ("they/them", 2)])
def test_kind_of_pronoun(reply: str, kind: int) -> None:
    """Any form tells the kind."""
    assert parse_pronoun_kind(Generation(reply)) == kind


@pytest.mark.parametrize("reply", ["", "the baker", "he or she"])
def test_no_kind_of_pronoun(reply: str) -> None:
    """None and several are no answer."""
    with pytest.raises(UnreadableResponse, match=r"pronoun|said nothing"):
        parse_pronoun_kind(Generation(reply))
