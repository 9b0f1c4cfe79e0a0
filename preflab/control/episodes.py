"""Returns of whole episodes: by the true reward, and by the reward that the agent learned from."""

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
        latest  episodes over which returns are correlated.
        window  of an environment without ends: so many steps are an episode.
    """

    def __init__(self, copies: int, *, latest: int = 100, window: int | None = None) -> None:
        self.window = window
        self._under_way, self._since = np.zeros((2, copies)), 0
        self._over: deque[tuple[float, float]] = deque(maxlen=latest)

    def add(self, trajectory: Trajectory, rewards: Float[np.ndarray, "time env"]) -> dict[str, float]:
        """Go on by a trajectory.

        Returns:
            ``episodes`` that ended in it; where there are any, their mean ``true_return`` and ``handed_return`` (the
            learned one); with ten of the latest or more, the ``rank_correlation`` of the two over those (Spearman's).
        """
        returns: list[tuple[float, float]] = []
        for true, learned, dones in zip(trajectory.true_reward, rewards, trajectory.dones, strict=True):
            self._under_way += np.stack([true, learned])
            self._since += 1
            if self._since == self.window:
                dones, self._since = np.ones_like(dones), 0
            returns += [(float(a), float(b)) for a, b in self._under_way[:, dones].T]
            self._under_way[:, dones] = 0.0
        self._over.extend(returns)
        metrics: dict[str, float] = {"episodes": float(len(returns))}
        if returns:
            true_return, learned_return = np.mean(returns, axis=0).tolist()
            metrics |= {"true_return": true_return, "handed_return": learned_return}
        correlation = _rank_correlation(np.array(self._over))
        return metrics if correlation is None else {**metrics, "rank_correlation": correlation}

    def state(self) -> dict[str, Tensor]:
        """Everything that the future depends on."""
        returns = np.array(self._over, dtype=np.float64).reshape(-1, 2)
        return {
            "under_way": torch.from_numpy(self._under_way.copy()),
            "over": torch.from_numpy(returns),
            "since": torch.tensor(self._since),
        }

    @property
    def latest_returns(self) -> list[tuple[float, float]]:
        """True and learned return of the latest episodes that ended, oldest first."""
        return list(self._over)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self._under_way, self._since = state["under_way"].numpy().copy(), int(state["since"])
        self._over = deque(((a, b) for a, b in state["over"].tolist()), maxlen=self._over.maxlen)


def _rank_correlation(returns: np.ndarray) -> float | None:
    """Spearman's of ten episodes or more; None where there is none, one side being constant."""
    if len(returns) < 10 or (returns == returns[0]).all(axis=0).any():
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(returns[:, 0], returns[:, 1]).statistic)
