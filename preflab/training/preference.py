"""Train a preference model: pairs and K-wise rankings, each comparison one row, a judged dialogue one row too.

Every comparison weighs the same whatever its number of pairs (Ouyang et al. 2022, sec. 3.5), and the
gradient does not depend on how a batch is split into forward passes.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from preflab import distributed
from preflab.checks import check_at_least, check_within, refuse_unread
from preflab.config_overrides import check_types
from preflab.data.comparison import Comparison
from preflab.data.rows import Row
from preflab.errors import DataError
from preflab.maths.preference import plackett_luce_loss, preference_loss
from preflab.models.roles import Role
from preflab.training.batch_order import BatchOrder, fit_state, forward_passes, keep_collectives_aligned, load_fit_state
from preflab.training.optimiser import Optimiser, OptimiserConfig
from preflab.training.row_pairs import Judgements, numbered


@dataclass(frozen=True, kw_only=True)
class PreferenceConfig:
    """How a preference model is fitted."""

    epochs: int = 1
    batch_comparisons: int = 16
    """Rows per optimiser step: a comparison each, or a dialogue of several."""
    loss: Literal["all-pairs", "plackett-luce"] = "all-pairs"
    lapse: float = 0.0
    """Share of answers taken to be random (Christiano et al. 2017, sec. 2.2.3)."""
    margin: float = 0.0
    centre: float = 0.0
    """Weight of the squared mean score of a comparison's replies; keeps scores near zero."""
    ties: bool = True
    """Train on tied pairs with probability one half; False drops them (Ouyang et al.)."""
    divide_by: Literal["remaining", "all"] = "remaining"
    """What a comparison's sum of losses is divided by where tied pairs are dropped: the pairs that remain, or all
    C(K, 2) pairs, so that a comparison with ties weighs less. Ouyang et al. do not say which."""
    max_tokens: int = 2048
    """Tokens per forward pass."""
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "epochs", "batch_comparisons", "max_tokens")
        check_within(self, "[0, 1)", "lapse")
        check_at_least(self, 0, "margin", "centre")
        if self.loss == "plackett-luce":
            refuse_unread(self, "loss=plackett-luce", "lapse", "margin", "ties", "divide_by")
        if self.ties:
            refuse_unread(self, "ties=true", "divide_by")


@dataclass(frozen=True)
class PreferenceStep:
    """What one optimiser step saw and did; means over its comparisons."""

    step: int
    loss: float
    """Nats per comparison, before the update."""
    accuracy: float
    """Share of pairs with a clear label that the scores order rightly, before the update."""
    n_pairs: int
    n_tokens: int
    """Tokens run, each prefix once, nothing padded."""
    gradient_norm: float
    learning_rate: float


class PreferenceTraining:
    """A fit in progress. Iterate it for steps; ``state`` between steps is all that a resume needs.

    ``comparisons`` says for each row what was judged of its replies: one comparison, or several where it is a tree.
    """

    def __init__(
        self,
        role: Role,
        rows: Sequence[Row],
        comparisons: Sequence[Judgements],
        config: PreferenceConfig,
        *,
        seed: int,
    ) -> None:
        judged = [list(numbered(row, of_row)) for row, of_row in zip(rows, comparisons, strict=True)]
        with_pairs = [
            [(c, first) for c, first in of_row if any(True for _ in c.pairs(ties=config.ties))] for of_row in judged
        ]
        usable = [(row, of_row) for row, of_row in zip(rows, with_pairs, strict=True) if of_row]
        if not usable:
            raise DataError("no comparison has a pair to learn from (all tied?)")
        self.n_without_pairs = sum(map(len, judged)) - sum(map(len, with_pairs))
        self.rows = [row for row, _ in usable]
        self.comparisons = [of_row for _, of_row in usable]
        self.role, self.config = role, config
        self.order = BatchOrder(n_items=len(self.rows), batch=config.batch_comparisons, epochs=config.epochs, seed=seed)
        self.total_steps = self.order.total_steps
        self.optimiser = Optimiser(role.weights(), config.optimiser, total_steps=self.total_steps)

    def __iter__(self) -> Iterator[PreferenceStep]:
        """From wherever the state stands to the end."""
        while self.optimiser.step_count < self.total_steps:
            yield self._step(self.order.at(self.optimiser.step_count))

    def _step(self, batch: list[int]) -> PreferenceStep:
        sums = {"loss": 0.0, "right": 0.0, "clear": 0.0, "pairs": 0.0, "tokens": 0.0}
        n_comparisons = sum(len(self.comparisons[i]) for i in batch)
        for numbers, row_batch in forward_passes(self.rows, batch, max_tokens=self.config.max_tokens):
            scores = self.role.scores(row_batch).cpu()
            if not numbers:
                keep_collectives_aligned(scores)
                continue
            pieces = scores.split([len(self.rows[i].replies) for i in numbers])  # type: ignore[no-untyped-call]
            judged = [
                (s[first : first + len(c.replies)], c)
                for s, i in zip(pieces, numbers, strict=True)
                for c, first in self.comparisons[i]
            ]
            loss = torch.stack([self._loss(s, c) for s, c in judged]).sum() / n_comparisons
            loss.backward()  # type: ignore[no-untyped-call]
            sums["loss"] += float(loss.detach())
            sums["tokens"] += row_batch.n_tokens
            for s, comparison in judged:
                right, clear = count_right(s.detach(), comparison)
                sums["right"], sums["clear"] = sums["right"] + right, sums["clear"] + clear
                sums["pairs"] += sum(1 for _ in comparison.pairs(ties=self.config.ties))
        sums = distributed.all_reduce_metrics(sums)
        update = self.optimiser.step()
        return PreferenceStep(
            step=self.optimiser.step_count,
            loss=sums["loss"],
            accuracy=sums["right"] / sums["clear"] if sums["clear"] else float("nan"),
            n_pairs=int(sums["pairs"]),
            n_tokens=int(sums["tokens"]),
            **update,
        )

    def _loss(self, scores: Tensor, comparison: Comparison) -> Tensor:
        """Nats for one comparison."""
        config = self.config
        if config.loss == "plackett-luce" and comparison.prob_first is None:
            loss = plackett_luce_loss(scores, torch.tensor(comparison.ranks))
        else:
            pairs = list(comparison.pairs(ties=config.ties))
            a, b = (scores[[getattr(p, side) for p in pairs]] for side in "ab")
            prob = torch.tensor([p.prob_a for p in pairs])
            loss = preference_loss(a, b, prob, margin=config.margin, lapse=config.lapse).mean()
            if config.divide_by == "all":
                loss = loss * (len(pairs) / math.comb(len(comparison.replies), 2))
        return loss + config.centre * scores.mean().square() if config.centre else loss

    def state(self) -> dict[str, Tensor]:
        """Weights and optimiser."""
        return fit_state(self.role, self.optimiser)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what ``state`` gave."""
        load_fit_state(self.role, self.optimiser, state)


def count_right(scores: Tensor, comparison: Comparison) -> tuple[float, int]:
    """How many clearly labelled pairs the scores order rightly (equal scores count half), of how many."""
    right, clear = 0.0, 0
    for pair in comparison.pairs(ties=False):
        gap = float(scores[pair.a] - scores[pair.b])
        right += 0.5 if gap == 0 else float((gap > 0) == (pair.prob_a > 0.5))
        clear += 1
    return right, clear
