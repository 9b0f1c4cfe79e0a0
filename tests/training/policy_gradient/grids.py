"""Batches of replies of given lengths, with zeros for everything that a model would compute."""

from collections.abc import Sequence

import torch

from preflab.data.rows import Row
from preflab.training.policy_gradient.rollout_batch import RolloutBatch


def grid_of(*lengths_by_prompt: Sequence[int]) -> RolloutBatch:
    """Of each prompt its replies, as numbers of tokens."""
    lengths = torch.tensor([n for lengths in lengths_by_prompt for n in lengths])
    rows = [Row.of([3, 4], *([70] * n for n in lengths)) for lengths in lengths_by_prompt]
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    zeros = torch.zeros(mask.shape)
    return RolloutBatch(
        rows=rows,
        first_sample=[sum(map(len, lengths_by_prompt[:k])) for k in range(len(rows))],
        mask=mask,
        finished=torch.ones(len(mask), dtype=torch.bool),
        scores=torch.zeros(len(mask)),
        sampler_logp=zeros,
        logp=zeros,
        entropy=zeros,
        ref_logp=None,
        values=None,
        features=None,
        cached=None,
        measured_tokens=0,
    )
