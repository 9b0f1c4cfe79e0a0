"""The Elo scale and Elo's rule, by hand and against evalica."""

import math

import evalica
import numpy as np
import pytest

from preflab.errors import ConfigError
from preflab.maths.elo import ELO_PER_NAT, online_elo, to_elo, win_probability
from preflab.maths.pairwise_votes import Votes
from preflab.maths.statistics import Estimate


def test_a_nat_is_174_elo_and_400_elo_are_ten_to_one() -> None:
    assert round(ELO_PER_NAT) == 174
    assert win_probability(400) == pytest.approx(10 / 11)
    assert win_probability(0) == 0.5
    assert win_probability(ELO_PER_NAT) == pytest.approx(1 / (1 + math.exp(-1)))
    assert win_probability(-1e6) == 0.0 and win_probability(1e6) == 1.0


def test_an_estimate_changes_its_unit_with_its_interval() -> None:
    assert to_elo(Estimate(math.log(10), 0.0, math.inf, 9, 3), at=1000) == Estimate(1400.0, 1000.0, math.inf, 9, 3)


def test_one_game_between_equals_moves_half_of_k() -> None:
    assert online_elo(Votes.of(["a"], ["b"], [1.0]), k=32, start=1500) == {"a": 1516.0, "b": 1484.0}
    assert online_elo(Votes.of(["a"], ["b"], [0.5]), k=32, start=1500) == {"a": 1500.0, "b": 1500.0}


def test_it_agrees_with_evalica_game_by_game() -> None:
    rng = np.random.default_rng(0)
    pairs = [rng.choice(5, 2, replace=False) for _ in range(300)]
    first, second = ["abcde"[a] for a, _ in pairs], ["abcde"[b] for _, b in pairs]
    outcome = rng.choice([0.0, 0.5, 1.0], 300).tolist()
    winner = {0.0: evalica.Winner.Y, 0.5: evalica.Winner.Draw, 1.0: evalica.Winner.X}
    theirs = evalica.elo(first, second, [winner[y] for y in outcome], initial=1000, k=16).scores
    ours = online_elo(Votes.of(first, second, outcome), k=16)
    assert ours == pytest.approx(theirs.to_dict())
    assert np.mean(list(ours.values())) == pytest.approx(1000)


def test_k_must_move_something() -> None:
    with pytest.raises(ConfigError, match="above 0"):
        online_elo(Votes.of(["a"], ["b"], [1.0]), k=0)
