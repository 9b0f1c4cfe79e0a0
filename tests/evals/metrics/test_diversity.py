"""Facts about replies with intervals."""

import math

import pytest

from preflab.evals.core.items import Item
from preflab.evals.core.runner import ItemResult, reply_measures
from preflab.evals.metrics.diversity import jackknife, reply_estimates
from preflab.rollouts.requests.types import Generate, Generation


def test_the_jackknife_of_a_mean_is_the_usual_interval() -> None:
    """Ten texts of lengths 1 to 10, each its own group: se = s / sqrt(10) = 3.0277 / 3.1623, t(9) = 2.2622."""
    texts = ["x" * n for n in range(1, 11)]
    own = jackknife(lambda t: sum(map(len, t)) / len(t), texts, list(range(10)))
    assert own.value == 5.5
    assert own.high - own.value == pytest.approx(2.2622 * 3.02765 / math.sqrt(10), rel=1e-3)


def test_two_groups_give_no_interval() -> None:
    assert math.isinf(jackknife(lambda t: 0.5, ["a", "b", "c"], ["p", "p", "q"]).high)


def test_names_and_values() -> None:
    found = reply_estimates(["a b", "a b", "c d e f", "g"], list("wxyz"))
    assert found["reply length"].value == 2.25
    assert found["distinct-1"].value == pytest.approx(7 / 9)
    assert found["distinct-3"].value == 1.0
    assert found["self-BLEU"].value == pytest.approx(50.0)  # 100, 100, 0, 0
    assert reply_estimates(["a"], ["w"]) == {}


def test_replies_of_a_run_are_the_policys_last_words() -> None:
    def told(n: int) -> ItemResult:
        own = ItemResult(Item(id=str(n), group=str(n), data=None))
        own.rounds.append(([Generate(prompt="think")], [Generation("long thought " * 5)]))
        own.rounds.append(([Generate(prompt="say")], [Generation("yes")]))
        own.rounds.append(([Generate(prompt="judge", role="judge")], [Generation("it is a fine reply")]))
        own.outcome = {}
        return own

    found = {m.name: m.estimate for m in reply_measures([told(n) for n in range(5)])}
    assert found["reply length"] is not None and found["reply length"].value == 1.0
    assert reply_measures([]) == []
