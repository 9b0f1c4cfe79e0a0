"""Labelled pairs of clips as tensors, as many at a time as there is room for.

Clips of vectors are small: all labels become tensors once. Clips of stacked screens are not (3,000 labels of Christiano
et al. 2017's Atari runs are 4 GB when every stack is written out): each batch becomes tensors when it is asked for.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from preflab.control.rewards.labels import Label, LabelBuffer

ROOM = 256 * 2**20
"""Bytes that may stay in memory as tensors."""
BATCH = 64 * 2**20
"""Bytes of a batch, where not all labels stay in memory."""


class LabelledPairs:
    """The clips and answers of some labels.

    Args:
        labels  where the clips are.
        usable  labels that have an answer.
        target  whether the true returns of the clips are given too (for the ablation alone).
        room    bytes of observations that may stay in memory as tensors.
    """

    def __init__(self, labels: LabelBuffer, usable: Sequence[Label], *, target: bool = False, room: int = ROOM) -> None:
        self._labels, self._usable = labels, list(usable)
        self.prob_left = torch.tensor([label.prob_left for label in usable], dtype=torch.float64).float()
        returns = [[labels.clips[i].true_reward.sum() for i in (label.left, label.right)] for label in usable]
        self.targets = torch.as_tensor(np.array(returns)).float() if target else None
        """[label 2], true returns."""
        pair_bytes = 2 * max((labels.clips[label.left].observations.nbytes for label in usable), default=1)
        self._tensors = self._to_tensors(self._usable) if pair_bytes * len(self._usable) <= room else None
        self.max_batch = max(1, len(self._usable) if self._tensors is not None else BATCH // pair_bytes)
        """Labels for which there is room at a time."""

    def __len__(self) -> int:
        return len(self._usable)

    def inputs(self, indices: Tensor) -> tuple[Shaped[Tensor, "label 2 step ..."], Shaped[Tensor, "label 2 step ..."]]:
        """Observations and actions of the labels of those numbers; the left clip first."""
        if self._tensors is not None:
            observations, actions = self._tensors
            return observations[indices], actions[indices]
        return self._to_tensors([self._usable[i] for i in indices.tolist()])

    def _to_tensors(self, labels: Sequence[Label]) -> tuple[Tensor, Tensor]:
        if not labels:
            return torch.zeros(0, 2, 1), torch.zeros(0, 2, 1)
        observations, actions, _ = self._labels.arrays(labels)
        return torch.as_tensor(observations), torch.as_tensor(actions)
