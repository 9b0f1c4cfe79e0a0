"""The oracle: right without noise, wrong as often as it is told to be."""

from collections import Counter

import numpy as np
import pytest

from preflab.control.clips import Clip, ClipQuery
from preflab.control.rewards.oracle import Oracle, OracleConfig
from preflab.errors import ConfigError


def clip(i: int, total: float) -> Clip:
    return Clip(i, np.zeros((2, 1)), np.zeros((2, 1)), np.array([total, 0.0]))


def answers(config: OracleConfig, left: float, right: float, n: int = 4000) -> Counter[str]:
    """Answers to pairs of those returns, each of clips of its own."""
    queries = [ClipQuery(clip(2 * k, left), clip(2 * k + 1, right), step=0) for k in range(n)]
    labels = Oracle(config)(queries)
    names = {1.0: "left", 0.0: "right", 0.5: "tie"}
    return Counter(labels.abstained.get(k) or names[prob] for k, prob in enumerate(labels.prob_first.tolist()))


def test_the_larger_return_wins_and_equal_ones_tie() -> None:
    plain = OracleConfig()
    assert answers(plain, 2.0, 1.0, 50) == {"left": 50}
    assert answers(plain, 1.0, 2.0, 50) == {"right": 50}
    assert answers(plain, 1.0, 1.0, 50) == {"tie": 50}
    assert answers(OracleConfig(tie_gap=0.5), 1.0, 1.5, 50) == {"tie": 50}


def test_noise_comes_at_its_rate() -> None:
    """Binomial standard error at 4,000 draws is below 0.008."""
    assert answers(OracleConfig(flip=0.1), 2.0, 1.0)["right"] / 4000 == pytest.approx(0.1, abs=0.02)
    warm = answers(OracleConfig(temperature=2.0), 2.0, 1.0)
    assert warm["left"] / 4000 == pytest.approx(1 / (1 + np.exp(-0.5)), abs=0.03)
    assert answers(OracleConfig(cannot_tell=0.3), 2.0, 1.0)["cannot tell"] / 4000 == pytest.approx(0.3, abs=0.03)


def test_settings_do_not_change_the_draws() -> None:
    """A run with flips differs from one without in the flipped answers alone."""
    returns = np.random.default_rng(2).normal(size=(300, 2))
    queries = [ClipQuery(clip(2 * k, a), clip(2 * k + 1, b), step=0) for k, (a, b) in enumerate(returns)]
    plain, flipped = (Oracle(config, seed=1)(queries).prob_first for config in (None, OracleConfig(flip=0.2)))
    assert 0.7 < (plain == flipped).double().mean() < 0.9


def test_an_answer_depends_on_the_pair_and_the_seed_alone() -> None:
    noisy = OracleConfig(flip=0.5)
    queries = [ClipQuery(clip(2 * k, 0.0), clip(2 * k + 1, 1.0), step=0) for k in range(40)]
    forwards, backwards = Oracle(noisy)(queries).prob_first, Oracle(noisy)(queries[::-1]).prob_first
    assert forwards.tolist() == backwards.tolist()[::-1] and set(forwards.tolist()) == {0.0, 1.0}
    assert Oracle(noisy, seed=1)(queries).prob_first.tolist() != forwards.tolist()


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"flip must be in \[0, 1\], got 1.5"):
        OracleConfig(flip=1.5)
