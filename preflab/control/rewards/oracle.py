"""Labellers that know the true reward: the paper's synthetic oracle, with noise on request (sec. 3.1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from preflab.checks import check_at_least, check_within
from preflab.config_overrides import check_types
from preflab.control.clips import ClipQuery
from preflab.interfaces import Labels


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
    """A labeller that answers at once, by the sum of the true reward over each clip.

    Args:
        seed  of its draws, keyed by the ids of a pair: it answers alike whatever was asked before.
    """

    name = "oracle"

    def __init__(self, config: OracleConfig | None = None, *, seed: int = 0) -> None:
        self.config, self.seed = config or OracleConfig(), seed

    def __call__(self, pairs: Sequence[ClipQuery]) -> Labels:
        """1 for the left clip, 0 for the right one, 0.5 for a tie; "cannot tell" is the one reason to abstain."""
        return Labels.of([self._answer(query) for query in pairs])

    def _answer(self, query: ClipQuery) -> float | str:
        """Always draws three numbers, so that settings change answers, not the draws."""
        c, rng = self.config, np.random.default_rng((self.seed, 31, query.left.id, query.right.id))
        tell, choose, flip = rng.random(3)
        if tell < c.cannot_tell:
            return "cannot tell"
        gap = float(query.left.true_reward.sum() - query.right.true_reward.sum())
        if abs(gap) <= c.tie_gap:
            return 0.5
        prob_left = float(gap > 0) if c.temperature == 0 else 1 / (1 + np.exp(-np.clip(gap / c.temperature, -700, 700)))
        left_is_better = choose < prob_left
        if flip < c.flip:
            left_is_better = not left_is_better
        return float(left_is_better)
