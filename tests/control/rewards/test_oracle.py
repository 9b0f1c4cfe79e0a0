"""The oracle: right without noise, wrong as often as it is told to be."""

from collections import Counter

import numpy as np
import pytest

from preflab.control.clips import Clip
from preflab.control.rewards.oracle import Oracle, OracleConfig
from preflab.errors import ConfigError


def clip(i: int, total: float) -> Clip:
    return Clip(i, np.zeros((2, 1)), np.zeros((2, 1)), np.array([total, 0.0]))


def answers(config: OracleConfig, left: float, right: float, n: int = 4000) -> Counter[str]:
    rng, oracle = np.random.default_rng(0), Oracle(config)
    return Counter(oracle(clip(0, left), clip(1, right), rng) for _ in range(n))


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
    rngs = [np.random.default_rng(1) for _ in range(2)]
    plain, flipped = Oracle(), Oracle(OracleConfig(flip=0.2))
    pairs = [(clip(0, a), clip(1, b)) for a, b in np.random.default_rng(2).normal(size=(300, 2))]
    same = [plain(a, b, rngs[0]) == flipped(a, b, rngs[1]) for a, b in pairs]
    assert 0.7 < np.mean(same) < 0.9


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"flip must be in \[0, 1\], got 1.5"):
        OracleConfig(flip=1.5)
