"""The optimiser steps on one batch of rollouts: epochs of minibatches, each in forward passes that fit into memory.

Losses are means over the whole minibatch, however it is split; what was sampled by another process counts as well.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from preflab import distributed
from preflab.checkpoint import strip_prefix, with_prefix
from preflab.data.rows import RowBatch
from preflab.errors import ConfigError
from preflab.maths.policy import kl_k3
from preflab.training.batch_order import forward_passes, keep_collectives_aligned
from preflab.training.ema import EMA
from preflab.training.optimiser import Optimiser
from preflab.training.policy_gradient.method import Advantages, Minibatch, PolicyGradientMethod
from preflab.training.policy_gradient.ptx import Pretraining
from preflab.training.policy_gradient.rollout_batch import CachedForward, RolloutBatch
from preflab.training.policy_gradient.task import PolicyTask
from preflab.training.policy_gradient.value import ValueFit

Plan = list[list[list[int]]]
"""Rows of each minibatch of each epoch."""


class PolicyUpdate:
    """The policy's optimiser, the moving average of its weights, and the pretraining mix of one run."""

    def __init__(self, task: PolicyTask, method: PolicyGradientMethod) -> None:
        config = method.config
        self.policy, self.method, self.config, self.seed = task.policy, method, config, task.seed
        self.minibatches = min(method.minibatches, config.prompts_per_step)
        n_updates = max(1, config.steps - method.value_warmup_steps) * method.epochs * self.minibatches
        self.optimiser = Optimiser(self.policy.weights(), config.policy, total_steps=n_updates)
        self.ema = None if config.ema_decay is None else EMA(self.policy.weights(), config.ema_decay)
        self.pretraining: Pretraining | None = None
        if config.ptx.coefficient > 0:
            half, seed = max(1, config.max_tokens // 2), task.seed + 1_000_000_007
            self.pretraining = Pretraining(self.policy, task.pretraining, config.ptx, max_tokens=half, seed=seed)

    def plan(self, n_rows: int, step: int) -> Plan:
        """Which rows each minibatch of each epoch of step number ``step`` holds; a function of seed and step."""
        generator = torch.Generator().manual_seed((self.seed + 1) * 7_368_787 + step)
        orders = [torch.randperm(n_rows, generator=generator) for _ in range(self.method.epochs)]
        parts = min(self.minibatches, n_rows)
        return [[rows.tolist() for rows in order.tensor_split(parts)] for order in orders]

    def trains_policy(self, step: int) -> bool:
        """Whether this step moves the policy; the first ones may train the value model alone."""
        return step >= self.method.value_warmup_steps

    def run(self, batch: RolloutBatch, advantages: Advantages, plan: Plan, step: int) -> dict[str, float]:
        """All updates of a step; metrics are means over the updates, tokens sums."""
        sums: dict[str, float] = {}
        updates = ptx_drawn = 0
        for epoch in plan:
            for rows in epoch:
                cached = batch.cached if updates == 0 else None
                _add(sums, self.minibatch(batch, advantages, rows, step, cached=cached, ptx_drawn=ptx_drawn))
                ptx_drawn += self.config.ptx.ratio * len(batch.sample_indices(rows))
                updates += 1
        metrics = {key: total if key.endswith("_tokens") else total / updates for key, total in sums.items()}
        fit = self.method.value_fit
        if fit is not None and advantages.targets is not None and fit.role.is_only_head:
            metrics |= fit.fit_head(batch, advantages.targets)
        if self.ema is not None:
            self.ema.update()
        return metrics

    def minibatch(
        self,
        batch: RolloutBatch,
        advantages: Advantages,
        rows: list[int],
        step: int,
        *,
        cached: CachedForward | None = None,
        ptx_drawn: int = 0,
    ) -> dict[str, float]:
        """One optimiser step for each model.

        Args:
            rows       of the minibatch.
            cached     their forward pass, if it has been run.
            ptx_drawn  pretraining examples that this step's updates have used so far.
        """
        samples = batch.sample_indices(rows)
        n_items = int(batch.mask[samples].sum())
        n_losses = len(samples) if self.method.per_reply else n_items
        fit, trains_policy = self._whole_value_fit, self.trains_policy(step)
        sums = {"trained_tokens": 0.0}
        for pass_rows, row_batch, logp, values in self._passes(batch, rows, cached):
            if not pass_rows:
                self._dummy_pass(row_batch, fit, trains_policy)
                continue
            items = batch.item_indices(pass_rows)
            if trains_policy:
                minibatch = Minibatch(row_batch, batch.logp[items], advantages.advantages[items])
                _add(sums, self._policy_pass(minibatch, logp, n_losses, n_items))
            if fit is not None and advantages.targets is not None:
                _add(sums, fit.add_gradient(advantages.targets, row_batch, items, n_items, values))
        metrics = distributed.all_reduce_metrics(sums)
        if trains_policy:
            if self.pretraining is not None:
                per_step = self.config.ptx.ratio * batch.mask.shape[0] * self.method.epochs
                examples = self.pretraining.draw(step * per_step + ptx_drawn, self.config.ptx.ratio * len(samples))
                metrics |= self.pretraining.add_gradient(examples)
            stepped = self.optimiser.step()
            metrics |= {"policy_gradient_norm": stepped["gradient_norm"], "learning_rate": stepped["learning_rate"]}
        return metrics if fit is None else metrics | fit.step()

    @property
    def _whole_value_fit(self) -> ValueFit | None:
        """A value model that is updated minibatch by minibatch; one that is only a head is fitted after them."""
        fit = self.method.value_fit
        return None if fit is None or fit.role.is_only_head else fit

    def _passes(
        self, batch: RolloutBatch, rows: Sequence[int], cached: CachedForward | None
    ) -> Iterator[tuple[list[int], RowBatch, Tensor | None, Tensor | None]]:
        """The forward passes that make up a minibatch: rows, row batch, log-probabilities and values if computed."""
        if cached is not None:
            yield cached.rows, cached.row_batch, cached.logp, cached.values
            return
        for pass_rows, row_batch in forward_passes(batch.rows, rows, max_tokens=max(1, self.config.max_tokens // 2)):
            yield pass_rows, row_batch, None, None

    def _dummy_pass(self, row_batch: RowBatch, fit: ValueFit | None, trains_policy: bool) -> None:
        """The passes of a process that has no rows left in a minibatch; sharded models need every process."""
        if trains_policy:
            keep_collectives_aligned(self.policy.logprobs(row_batch)[0])
        if fit is not None:
            keep_collectives_aligned(fit.role.values(row_batch))

    def _policy_pass(self, minibatch: Minibatch, logp: Tensor | None, n_losses: int, n_items: int) -> dict[str, float]:
        """Forward and backward; what has run forward already is not run again."""
        if logp is None:
            logp, _ = self.policy.logprobs(minibatch.row_batch, temperature=self.config.sampling.temperature)
        losses, means = self.method.losses(logp, minibatch)
        (losses.sum() / n_losses).backward()  # type: ignore[no-untyped-call]
        share = len(losses) / n_losses
        return {
            "policy_loss": float(losses.detach().sum()) / n_losses,
            "update_kl": float(kl_k3(minibatch.logp_old, logp.detach()).sum()) / n_items,
            "trained_tokens": float(minibatch.row_batch.n_tokens),
            **{key: mean * share for key, mean in means.items()},
        }

    def ema_state(self) -> dict[str, Tensor]:
        """The averaged weights, as ``Role.state`` gives them.

        Raises:
            ConfigError: no average is kept.
        """
        if self.ema is None:
            raise ConfigError("no moving average is kept; set ema_decay (Ouyang et al. use 0.992)")
        return self.ema.state()

    def state(self) -> dict[str, Tensor]:
        """The policy's weights, its optimiser and the moving average."""
        state = with_prefix("policy/", self.policy.state()) | with_prefix("policy_optimiser/", self.optimiser.state())
        return state if self.ema is None else state | with_prefix("ema/", self.ema.state())

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what ``state`` gave."""
        self.policy.load_state(strip_prefix(state, "policy/"))
        self.optimiser.load_state(strip_prefix(state, "policy_optimiser/"))
        if self.ema is not None:
            self.ema.load_state(strip_prefix(state, "ema/"))


def _add(sums: dict[str, float], terms: Mapping[str, float]) -> None:
    """Add numbers up by name."""
    for key, number in terms.items():
        sums[key] = sums.get(key, 0.0) + number
