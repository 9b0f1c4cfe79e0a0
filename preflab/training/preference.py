"""Train a preference model: pairs and K-wise rankings, each comparison one row.

Every comparison weighs the same whatever its number of pairs (Ouyang et al. 2022, sec. 3.5), and the
gradient does not depend on how a batch is split into forward passes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from preflab.data.comparison import Comparison
from preflab.data.rows import Row, batches_by_length, collate
from preflab.errors import ConfigError, DataError
from preflab.maths.preference import plackett_luce_loss, preference_loss
from preflab.models.roles import Role
from preflab.training.step import Optimiser, OptimiserConfig


@dataclass(frozen=True, kw_only=True)
class PreferenceConfig:
    """How a preference model is fitted."""

    epochs: int = 1
    batch_comparisons: int = 16
    """Comparisons per optimiser step."""
    loss: Literal["all-pairs", "plackett-luce"] = "all-pairs"
    lapse: float = 0.0
    """Share of answers taken to be random (Christiano et al. 2017, sec. 2.2.3)."""
    margin: float = 0.0
    centre: float = 0.0
    """Weight of the squared mean score of a comparison's replies; keeps scores near zero."""
    ties: bool = True
    """Train on tied pairs with probability one half; False drops them (Ouyang et al.)."""
    max_tokens: int = 2048
    """Tokens per forward pass."""
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    def steps(self, n_comparisons: int) -> int:
        """Optimiser steps a run takes."""
        return self.epochs * max(1, -(-n_comparisons // self.batch_comparisons))


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
    """A fit in progress. Iterate it for steps; ``state`` between steps is all that a resume needs."""

    def __init__(
        self,
        role: Role,
        rows: Sequence[Row],
        comparisons: Sequence[Comparison],
        config: PreferenceConfig,
        *,
        seed: int,
    ) -> None:
        if config.batch_comparisons < 1 or config.epochs < 1:
            raise ConfigError("epochs and batch_comparisons must be at least 1")
        usable = [
            (r, c) for r, c in zip(rows, comparisons, strict=True) if any(True for _ in c.pairs(ties=config.ties))
        ]
        if not usable:
            raise DataError("no comparison has a pair to learn from (all tied?)")
        self.n_without_pairs = len(rows) - len(usable)
        self.rows = [r for r, _ in usable]
        self.comparisons = [c for _, c in usable]
        self.role, self.config, self.seed = role, config, seed
        self.total_steps = config.steps(len(self.rows))
        self.optimiser = Optimiser(role.weights(), config.optimiser, total_steps=self.total_steps)

    def __iter__(self) -> Iterator[PreferenceStep]:
        """From wherever the state stands to the end."""
        while self.optimiser.step_count < self.total_steps:
            yield self._step(self._batch(self.optimiser.step_count))

    def _batch(self, step: int) -> list[int]:
        """Which comparisons step number ``step`` sees; a function of the seed alone, so a resume needs no cursor."""
        per_epoch = self.total_steps // self.config.epochs
        epoch, within = divmod(step, per_epoch)
        order = torch.randperm(len(self.rows), generator=torch.Generator().manual_seed(self.seed * 10_007 + epoch))
        size = self.config.batch_comparisons
        return order[within * size : (within + 1) * size].tolist()

    def _step(self, batch: list[int]) -> PreferenceStep:
        total = torch.zeros(())
        right, clear, pairs, tokens = 0.0, 0, 0, 0
        lengths = [len(self.rows[i]) for i in batch]
        for micro in batches_by_length(lengths, max_tokens=self.config.max_tokens):
            chosen = [batch[m] for m in micro]
            together = collate([self.rows[i] for i in chosen])
            scores = self.role.scores(together).cpu().split([len(self.rows[i].replies) for i in chosen])  # type: ignore[no-untyped-call]
            losses = [self._loss(s, self.comparisons[i]) for s, i in zip(scores, chosen, strict=True)]
            loss = torch.stack(losses).sum() / len(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
            for s, i in zip(scores, chosen, strict=True):
                r, c = count_right(s.detach(), self.comparisons[i])
                right, clear = right + r, clear + c
                pairs += sum(1 for _ in self.comparisons[i].pairs(ties=self.config.ties))
            tokens += together.n_tokens
        done = self.optimiser.step()
        return PreferenceStep(
            step=self.optimiser.step_count,
            loss=float(total),
            accuracy=right / clear if clear else float("nan"),
            n_pairs=pairs,
            n_tokens=tokens,
            **done,
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
        return loss + config.centre * scores.mean().square() if config.centre else loss

    def state(self) -> dict[str, Tensor]:
        """Weights and optimiser."""
        weights = {f"weights/{k}": v for k, v in self.role.state().items()}
        return weights | {f"optimiser/{k}": v for k, v in self.optimiser.state().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what ``state`` gave."""
        self.role.load_state({k.removeprefix("weights/"): v for k, v in state.items() if k.startswith("weights/")})
        self.optimiser.load_state(
            {k.removeprefix("optimiser/"): v for k, v in state.items() if k.startswith("optimiser/")}
        )


def count_right(scores: Tensor, comparison: Comparison) -> tuple[float, int]:
    """How many clearly labelled pairs the scores order rightly (equal scores count half), of how many."""
    right, clear = 0.0, 0
    for pair in comparison.pairs(ties=False):
        gap = float(scores[pair.a] - scores[pair.b])
        right += 0.5 if gap == 0 else float((gap > 0) == (pair.prob_a > 0.5))
        clear += 1
    return right, clear
