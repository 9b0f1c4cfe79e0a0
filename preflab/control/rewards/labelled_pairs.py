"""Labelled pairs of clips as tensors, so many at a time as there is room for.

Clips of vectors are small: all labels are laid out once. Clips of stacked screens are not (3,000 labels of Christiano
et al. 2017's Atari runs are 4 GB when every stack is written out), so that each batch is laid out when it is asked for.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from preflab.control.rewards.labels import Label, Labels

ROOM = 256 * 2**20
"""Bytes that may be laid out for good."""
BATCH = 64 * 2**20
"""Bytes that may be laid out at a time where not all is."""


class Pairs:
    """The clips and answers of some labels.

    Args:
        labels  where the clips are.
        usable  the labels meant; each has an answer.
        target  whether the true returns of the clips are given too (for the ablation alone).
        room    bytes of observations that may be laid out for good.
    """

    def __init__(self, labels: Labels, usable: Sequence[Label], *, target: bool = False, room: int = ROOM) -> None:
        self._labels, self._usable = labels, list(usable)
        self.prob_left = torch.tensor([label.prob_left for label in usable], dtype=torch.float64).float()
        returns = [[labels.clips[i].true_reward.sum() for i in (label.left, label.right)] for label in usable]
        self.targets = torch.as_tensor(np.array(returns)).float() if target else None
        """[label 2], true returns."""
        one = 2 * max((labels.clips[label.left].observations.nbytes for label in usable), default=1)
        self._laid_out = self._lay_out(self._usable) if one * len(self._usable) <= room else None
        self.at_once = max(1, len(self._usable) if self._laid_out is not None else BATCH // one)
        """Labels that may be asked for together without care."""

    def __len__(self) -> int:
        return len(self._usable)

    def inputs(self, at: Tensor) -> tuple[Shaped[Tensor, "label 2 step ..."], Shaped[Tensor, "label 2 step ..."]]:
        """Observations and actions of the labels numbered ``at``; the left clip first."""
        if self._laid_out is not None:
            observations, actions = self._laid_out
            return observations[at], actions[at]
        return self._lay_out([self._usable[i] for i in at.tolist()])

    def _lay_out(self, labels: Sequence[Label]) -> tuple[Tensor, Tensor]:
        if not labels:
            return torch.zeros(0, 2, 1), torch.zeros(0, 2, 1)
        observations, actions, _ = self._labels.arrays(labels)
        return torch.as_tensor(observations), torch.as_tensor(actions)
