"""The comparison of policies on two prompts, by hand."""

import numpy as np
import pytest

from preflab.data.dialogue import Dialogue
from preflab.maths.statistics import Estimate
from preflab.recipes.align.measure import compare, overoptimisation_verdicts, root_kl_fit, win_rate_gap

BEST = {
    "centre": {"pm": 1.0, "pm_judge": 2.0},
    "base": {"texts": ["b0", "b1"], "pm": [0.0, 1.0], "pm_judge": [2.0, 2.0]},
    "best": {"texts": ["n0", "n1"], "pm": [1.0, 3.0], "pm_judge": [2.0, 1.0]},
}
TRAINED = {
    "texts": [["p00", "p01"], ["p10", "p11"]],
    "pm": np.array([[1.0, 2.0], [0.0, 1.0]]),
    "pm_judge": np.array([[3.0, 3.0], [3.0, 2.0]]),
}
PROMPTS = [(Dialogue.of("q0"), "x"), (Dialogue.of("q1"), "y")]


def found() -> dict:  # type: ignore[type-arg]
    return compare(PROMPTS, BEST, TRAINED, np.array([[1.0, 3.0], [2.0, 2.0]]), [], n=4)


def test_gains_wins_and_kl() -> None:
    result = found()
    assert result["gain"]["best_of_n"]["pm"].value == pytest.approx(1.5)  # (1 - 0 + 3 - 1) / 2
    assert result["gain"]["ppo"]["pm"].value == pytest.approx(0.5)  # (1 + 2 - 1 + 0) / 4
    assert result["win_rate"]["ppo"]["pm"].value == pytest.approx((1 + 1 + 0 + 0.5) / 4)  # the tie counts half
    assert result["win_rate"]["best_of_n"]["pm_judge"].value == pytest.approx(0.25)  # a tie and a loss
    assert (result["kl"]["ppo"].value, result["kl"]["ppo"].clusters) == (2.0, 2)
    assert result["win_rate_by_category"]["x"].value == 1.0


def test_examples_hold_every_prompt_with_centred_scores() -> None:
    first = found()["examples"][0]
    assert (first["base"], first["best_of_n"], first["ppo"]) == ("b0", "n0", "p00")
    assert first["judge"] == {"base": 0.0, "best_of_n": 0.0, "ppo": 1.0}


def test_verdicts_name_the_kl_they_were_reached_at() -> None:
    assert any("KL 2.0" in verdict.claim for verdict in found()["verdicts"])


def test_a_score_that_rises_with_the_root_is_straighter_in_the_root() -> None:
    steps = [{"kl": k * k / 10, "score": 0.3 * k - 1} for k in range(8)]
    fit = root_kl_fit(steps)
    assert fit is not None
    assert fit["r_squared"] == pytest.approx(1.0)
    assert fit["r_squared_in_kl"] < 0.98
    assert fit["slope"] == pytest.approx(0.3 * 10**0.5)
    assert root_kl_fit(steps[:2]) is None


def test_the_gap_of_two_win_rates_is_over_the_same_replies_by_prompt() -> None:
    base = {"pm": [0.0, 0.0], "pm_judge": [0.0, 0.0]}
    policy = {"pm": [[1.0, 2.0], [3.0, 1.0]], "pm_judge": [[1.0, -1.0], [0.0, 100.0]]}
    # by the first model all four win; by the other win, loss, tie, win: gaps 0, 1, 0.5, 0; means by prompt 0.5 and 0.25
    gap = win_rate_gap(base, policy)
    assert gap.value == 0.375
    assert (gap.n, gap.clusters) == (4, 2)
    one_reply = win_rate_gap(base, {"pm": [1.0, -1.0], "pm_judge": [1.0, 1.0]})
    assert one_reply.value == -0.5


def test_over_optimisation_is_claimed_of_a_gap_that_lies_above_nothing() -> None:
    clear, unclear = Estimate(0.3, 0.1, 0.5, 64), Estimate(0.1, -0.1, 0.3, 64)
    verdicts = overoptimisation_verdicts(unclear, clear, "RLOO")
    assert [v.outcome for v in verdicts] == ["undecided", "holds"]
    assert verdicts[1].claim.startswith("RLOO wins more often by the model it is trained on")
