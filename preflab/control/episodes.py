"""What whole episodes earned: in truth, and by the reward that the agent was handed."""

from collections import deque
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from preflab.control.trajectory import Trajectory


class Episodes:
    """Sums of the episodes under way, and the latest that are over.

    Args:
        copies  of the environment.
        keep    latest episodes over which returns are correlated.
        window  of an environment without ends: so many steps are an episode.
    """

    def __init__(self, copies: int, *, keep: int = 100, window: int | None = None) -> None:
        self.window = window
        self._under_way, self._since = np.zeros((2, copies)), 0
        self._over: deque[tuple[float, float]] = deque(maxlen=keep)

    def add(self, stretch: Trajectory, rewards: Float[np.ndarray, "time env"]) -> dict[str, float]:
        """Go on by a stretch.

        Returns:
            ``episodes`` that ended in it; where there are any, their mean ``true_return`` and ``handed_return``; with
            ten of the latest or more, the ``rank_correlation`` of the two over those (Spearman's).
        """
        found: list[tuple[float, float]] = []
        for true, handed, ended in zip(stretch.true_reward, rewards, stretch.ended, strict=True):
            self._under_way += np.stack([true, handed])
            self._since += 1
            if self._since == self.window:
                ended, self._since = np.ones_like(ended), 0
            found += [(float(a), float(b)) for a, b in self._under_way[:, ended].T]
            self._under_way[:, ended] = 0.0
        self._over.extend(found)
        told: dict[str, float] = {"episodes": float(len(found))}
        if found:
            told |= dict(zip(("true_return", "handed_return"), np.mean(found, axis=0).tolist(), strict=True))
        correlation = _rank_correlation(np.array(self._over))
        return told if correlation is None else {**told, "rank_correlation": correlation}

    def state(self) -> dict[str, Tensor]:
        """Everything that the future depends on."""
        over = np.array(self._over, dtype=np.float64).reshape(-1, 2)
        parts = {"under_way": torch.from_numpy(self._under_way.copy()), "over": torch.from_numpy(over)}
        return {**parts, "since": torch.tensor(self._since)}

    @property
    def over(self) -> list[tuple[float, float]]:
        """True and handed return of the latest that ended, oldest first."""
        return list(self._over)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self._under_way, self._since = state["under_way"].numpy().copy(), int(state["since"])
        self._over = deque(((a, b) for a, b in state["over"].tolist()), maxlen=self._over.maxlen)


def _rank_correlation(over: np.ndarray) -> float | None:
    """Spearman's of ten episodes or more; None where there is none, one side being constant."""
    if len(over) < 10 or (over == over[0]).all(axis=0).any():
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(over[:, 0], over[:, 1]).statistic)
