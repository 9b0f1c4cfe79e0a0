"""Labellers that know the true reward: the paper's synthetic oracle, with noise on request (sec. 3.1)."""

from dataclasses import dataclass

import numpy as np

from preflab.checks import check_at_least, check_within
from preflab.config_overrides import check_types
from preflab.control.clips import Clip
from preflab.control.rewards.labels import Response


@dataclass(frozen=True, kw_only=True)
class OracleConfig:
    """How an oracle errs; by default it never does."""

    temperature: float = 0.0
    """0: the clip of larger true return. Above: drawn with ``sigmoid(gap / temperature)``."""
    flip: float = 0.0
    """Share of left and right answers that are turned round."""
    tie_gap: float = 0.0
    """Returns no further apart than this are a tie; equal ones always are."""
    cannot_tell: float = 0.0
    """Share of pairs of which it cannot tell."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 0, "temperature", "tie_gap")
        check_within(self, "[0, 1]", "flip", "cannot_tell")


class Oracle:
    """Answers at once by the sum of the true reward over each clip."""

    name = "oracle"

    def __init__(self, config: OracleConfig | None = None) -> None:
        self.config = config or OracleConfig()

    def __call__(self, left: Clip, right: Clip, rng: np.random.Generator) -> Response:
        """Which of the two is better. Always draws three numbers, so that settings change answers, not the draws."""
        c = self.config
        tell, choose, flip = rng.random(3)
        if tell < c.cannot_tell:
            return "cannot tell"
        gap = float(left.true_reward.sum() - right.true_reward.sum())
        if abs(gap) <= c.tie_gap:
            return "tie"
        prob_left = float(gap > 0) if c.temperature == 0 else 1 / (1 + np.exp(-np.clip(gap / c.temperature, -700, 700)))
        better: Response = "left" if choose < prob_left else "right"
        if flip < c.flip:
            better = "right" if better == "left" else "left"
        return better
