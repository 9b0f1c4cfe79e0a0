"""The oracle as a labeller: certain where it never errs, otherwise wrong at its rate."""

import math

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.feedback.labellers.oracle import OracleLabeller
from preflab.feedback.labellers.synthetic_annotator import SyntheticPreference
from preflab.interfaces import Labeller

N = 2000


def pairs(n: int) -> list[Comparison]:
    prompt = Dialogue.of("q")
    return [Comparison(prompt=prompt, replies=(f"word {k}", f"more words, {k}"), ranks=(0, 0)) for k in range(n)]


def test_without_errors_the_criterion_decides() -> None:
    oracle = OracleLabeller(SyntheticPreference(criterion="asking", noise=0.0))
    prompt = Dialogue.of("q")
    asked = [
        Comparison(prompt=prompt, replies=replies, ranks=(0, 0))
        for replies in (("Why?", "So."), ("So.", "Why?"), ("So.", "No."))
    ]
    assert isinstance(oracle, Labeller)
    assert oracle(asked).prob_first.tolist() == [1.0, 0.0, 0.5]


def test_errors_come_at_the_stated_rate_and_turn_with_the_replies() -> None:
    noisy = OracleLabeller(SyntheticPreference(criterion="brief", noise=0.2), name="one")
    labels = noisy(pairs(N)).prob_first
    wrong = float((labels == 0).double().mean())
    assert abs(wrong - 0.2) < 3 * math.sqrt(0.2 * 0.8 / N)  # three standard errors
    assert noisy([pair.swap() for pair in pairs(N)]).prob_first.tolist() == (1 - labels).tolist()
    other = OracleLabeller(SyntheticPreference(criterion="brief", noise=0.2), name="another")
    assert other(pairs(N)).prob_first.tolist() != labels.tolist()
