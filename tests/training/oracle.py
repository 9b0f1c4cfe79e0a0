"""What the trainers are held against: every reply run apart in float64 by transformers, padded, in plain loops."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from preflab.data.comparison import Comparison
from preflab.data.rows import Row
from preflab.models.tiny import tiny_model


def float64_model(seed: int = 0) -> Any:
    """The weights of ``tiny`` in double precision."""
    return tiny_model(seed=seed).double().train(False).requires_grad_(True)


def paths(rows: Sequence[Row]) -> list[tuple[list[int], list[int]]]:
    """Prefix and reply of every reply, by walking up from it."""
    found = []
    for row in rows:
        for s in row.replies:
            prefix: list[int] = []
            parent = row.parents[s]
            while parent >= 0:
                prefix = [*row.segments[parent], *prefix]
                parent = row.parents[parent]
            found.append((prefix, list(row.segments[s])))
    return found


def token_logps(model: Any, rows: Sequence[Row], *, left: bool = False, pad: int = 0) -> list[Tensor]:
    """Log-probabilities of the tokens of every reply, all replies in one padded batch without any sharing."""
    whole = paths(rows)
    longest = max(len(prefix) + len(reply) for prefix, reply in whole)
    ids, mask, places = [], [], []
    for prefix, reply in whole:
        tokens, gap = prefix + reply, longest - len(prefix) - len(reply)
        ids.append([pad] * gap + tokens if left else tokens + [pad] * gap)
        mask.append([0] * gap + [1] * len(tokens) if left else [1] * len(tokens) + [0] * gap)
        start = (gap if left else 0) + len(prefix)
        places.append([start + k for k in range(len(reply))])
    attention = torch.tensor(mask)
    positions = (attention.cumsum(-1) - 1).clamp(min=0)
    logits = model(input_ids=torch.tensor(ids), attention_mask=attention, position_ids=positions).logits
    logp = logits.log_softmax(-1)
    return [
        torch.stack([logp[i, at - 1, ids[i][at]] for at in own])  # the token before predicts it
        for i, own in enumerate(places)
    ]


def mean_over_comparisons(
    judged: Sequence[Sequence[Comparison]], pair_loss: Callable[[int, int, float], Tensor], *, ties: bool = True
) -> Tensor:
    """Mean over comparisons that have a pair of the mean over their pairs; replies are counted on over all rows."""
    losses, first = [], 0
    for comparison in (c for row in judged for c in row):
        n = len(comparison.replies)
        own = []
        for i in range(n):
            for j in range(i + 1, n):
                if comparison.prob_first is not None:
                    prob = comparison.prob_first
                else:
                    prob = 0.5 + 0.5 * (
                        (comparison.ranks[i] < comparison.ranks[j]) - (comparison.ranks[i] > comparison.ranks[j])
                    )
                if ties or prob != 0.5:
                    own.append(pair_loss(first + i, first + j, prob))
        if own:
            losses.append(sum(own[1:], own[0]) / len(own))
        first += n
    return sum(losses[1:], losses[0]) / len(losses)


def dpo_pair(gap: Tensor, prob: float, *, beta: float, smoothing: float) -> Tensor:
    """Rafailov et al. 2023, eq. 7, for a label that is wrong a share of the time."""
    right = 1 / (1 + torch.exp(-beta * gap))
    p = prob * (1 - smoothing) + (1 - prob) * smoothing
    return -(p * torch.log(right) + (1 - p) * torch.log(1 - right))


def ipo_pair(gap: Tensor, prob: float, *, beta: float, smoothing: float) -> Tensor:
    """Azar et al. 2023, eq. 17, the same way."""
    p = prob * (1 - smoothing) + (1 - prob) * smoothing
    return p * (gap - 1 / (2 * beta)) ** 2 + (1 - p) * (gap + 1 / (2 * beta)) ** 2


def close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Every weight's gradient, within what float32 allows for its size."""
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        scale = max(1e-3, float(gradient.abs().max()))
        torch.testing.assert_close(found[name].double(), gradient.double(), rtol=1e-3, atol=1e-4 * scale)
    assert math.isfinite(sum(float(g.sum()) for g in found.values()))
