"""Policy-gradient training: draw prompts, sample, score, evaluate every role, update, and resume.

What is learned from which reward is a ``PolicyTask``; how is a method (``PPO``, ``RLOO``, ``Reinforce``), which says
what the advantage of every token is and what the loss is. The reward is the scorer's, at the reply's last token, less
``coefficient * (log policy - log reference)`` at every token (Stiennon et al. 2020, sec. 3.4). Masks end at the
end-of-turn token; what the policy never sampled has no loss.

Every draw is a function of the seed and the step number, so a resumed run repeats nothing and skips nothing.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError, TrainingStopped
from preflab.interfaces import scores_of
from preflab.maths.policy import adaptive_kl_step
from preflab.maths.returns import token_rewards
from preflab.models.roles import Role
from preflab.rollouts.engine import Engine, InProcess
from preflab.rollouts.generate import Rollout
from preflab.training.batch_order import shuffled_stream
from preflab.training.policy_gradient.method import Advantages, PolicyGradientMethod
from preflab.training.policy_gradient.rollout_batch import (
    RolloutBatch,
    RolloutRoles,
    check_rollouts,
    exact_kl_per_reply,
    forward_all_roles,
    rollout_metrics,
)
from preflab.training.policy_gradient.task import PolicyTask
from preflab.training.policy_gradient.update import Plan, PolicyUpdate


@dataclass(frozen=True)
class PolicyStep:
    """One step's measurements, before its update; per reply or per token as named."""

    step: int
    metrics: dict[str, float]
    rollouts: list[tuple[Dialogue, str, float]]
    """Prompt, reply text, score."""
    stopped: str = ""
    """Why the run ends here, if it does before its time."""


@final
class PolicyTraining:
    """A run in progress. Iterate it for steps; ``state`` between steps is all that a resume needs.

    ``n_refused`` counts prompts that are too long for the context, or that the chat template refuses.

    Raises:
        ConfigError: KL is measured without a reference, or the value model reads other tokens than the policy.
        DataError: no prompt fits, or pretraining is mixed in without rows.
    """

    def __init__(self, task: PolicyTask, method: PolicyGradientMethod) -> None:
        config = method.config
        if task.reference is None and config.measure_kl:
            raise ConfigError("KL is measured from a reference; give one, or set measure_kl=false and kl_coefficient=0")
        value = None if method.value_fit is None else method.value_fit.role
        if value is not None:
            _check_same_vocabulary(task.policy, value)
        self.task, self.method, self.config = task, method, config
        self.engine: Engine = InProcess(task.policy, task.encoder) if task.engine is None else task.engine
        reference = task.reference if config.measure_kl else None
        self.roles = RolloutRoles(task.policy, reference, value, config.sampling.temperature)
        self.prompts = task.fitted_prompts(config.sampling.max_new_tokens)
        self.n_refused = len(task.prompts) - len(self.prompts)
        self.update = PolicyUpdate(task, method)
        self.kl_coefficient = config.kl_coefficient
        self.step_count = 0
        self.stopped = ""

    def __iter__(self) -> Iterator[PolicyStep]:
        """From wherever the state stands to the end, or to the KL limit."""
        while self.step_count < self.config.steps and not self.stopped:
            yield self._step()

    def _step(self) -> PolicyStep:
        config, task, started = self.config, self.task, time.perf_counter()
        positions = range(self.step_count * config.prompts_per_step, (self.step_count + 1) * config.prompts_per_step)
        prompts = [self.prompts[i] for i in shuffled_stream(len(self.prompts), positions, seed=task.seed)]
        rollouts, staleness = self._sample([tokens for _, tokens in prompts])
        sampling_seconds = time.perf_counter() - started
        replies = [
            (prompt, task.encoder.text(rollout.tokens))
            for (prompt, _), samples in zip(prompts, rollouts, strict=True)
            for rollout in samples
        ]
        scores = scores_of(task.scorer, [prompt.with_reply(text) for prompt, text in replies]) - task.score_offset
        plan = self.update.plan(len(rollouts), self.step_count)
        batch, advantages, metrics = self.evaluate_rollouts(rollouts, scores, plan)
        metrics |= {"version": float(self.step_count), "staleness": float(staleness)}
        metrics |= _mean_by_source([task.sources.get(prompt) for prompt, _ in replies], scores)
        check_sampler_gap(metrics["sampler_gap"], config.max_sampler_trainer_gap)
        if config.kl_limit is not None and metrics["kl"] > config.kl_limit:
            self.stopped = f"KL {metrics['kl']:.2f} nats per reply is over the limit of {config.kl_limit}"
        else:
            metrics |= self.update.run(batch, advantages, plan, self.step_count)
        self._adapt_kl_coefficient(metrics, n_episodes=len(replies))
        self.step_count += 1
        metrics |= {"sampling_seconds": sampling_seconds, "seconds": time.perf_counter() - started}
        scored = [(prompt, text, float(score)) for (prompt, text), score in zip(replies, scores, strict=True)]
        return PolicyStep(self.step_count, metrics, scored, self.stopped)

    def _sample(self, prompts: Sequence[tuple[int, ...]]) -> tuple[list[list[Rollout]], int]:
        """Replies drawn with the policy as it is now, and the staleness of the oldest in steps."""
        config, n = self.config, self.config.samples_per_prompt
        self.engine.push(self.task.policy, version=self.step_count)
        seed = self.task.seed * 1_000_003 + self.step_count
        rollouts = self.engine.generate(prompts, config.sampling, n=n, seed=seed)
        staleness = check_rollouts(rollouts, prompts, n=n, version=self.step_count, max_staleness=config.max_staleness)
        return rollouts, staleness

    def evaluate_rollouts(
        self, rollouts: list[list[Rollout]], scores: Float[Tensor, " sample"], plan: Plan
    ) -> tuple[RolloutBatch, Advantages, dict[str, float]]:
        """The rollouts of each prompt on the grid, each token's advantage, and what is logged of both."""
        config = self.config
        batch = forward_all_roles(
            rollouts,
            scores,
            self.roles,
            max_tokens=config.max_tokens,
            first_rows=plan[0][0],
            cache_policy=self.update.trains_policy(self.step_count),
        )
        if config.missing_eos_score is None:
            final_scores = batch.scores - config.missing_eos_penalty * (~batch.finished).float()
        else:
            final_scores = torch.where(batch.finished, batch.scores, config.missing_eos_score)
        ref_logp = batch.logp if batch.ref_logp is None else batch.ref_logp
        rewards = token_rewards(batch.logp, ref_logp, final_scores, batch.mask, self.kl_coefficient)
        advantages = self.method.advantages(batch, rewards)
        metrics = rollout_metrics(batch) | advantages.metrics
        metrics |= {"reward": float(rewards.sum(-1).mean()), "kl_coefficient": self.kl_coefficient}
        if config.exact_kl_rows and self.roles.reference is not None:
            exact = exact_kl_per_reply(
                self.roles.policy,
                self.roles.reference,
                batch.rows[: config.exact_kl_rows],
                temperature=self.roles.temperature,
            )
            metrics["kl_exact"] = float(exact.mean())
        return batch, advantages, metrics

    def _adapt_kl_coefficient(self, metrics: Mapping[str, float], *, n_episodes: int) -> None:
        """Steer the coefficient towards ``kl_target``, where there is one."""
        config = self.config
        if config.kl_target is not None:
            self.kl_coefficient = adaptive_kl_step(
                self.kl_coefficient,
                metrics["kl"],
                target=config.kl_target,
                n_episodes=n_episodes,
                horizon=config.kl_horizon,
            )

    def ema_state(self) -> dict[str, Tensor]:
        """The averaged weights, as ``Role.state`` gives them: evaluate with ``ema.weights_of(policy, ...)``.

        Raises:
            ConfigError: no average is kept.
        """
        return self.update.ema_state()

    def state(self) -> dict[str, Tensor]:
        """Models, optimisers, moving average, what the method remembers, the KL coefficient and the step."""
        return {
            **self.update.state(),
            **self.method.state(),
            "kl_coefficient": torch.tensor(self.kl_coefficient, dtype=torch.float64),
            "step_count": torch.tensor(self.step_count),
            "stopped": torch.tensor(list(self.stopped.encode()), dtype=torch.uint8),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what ``state`` gave."""
        self.update.load_state(state)
        self.method.load_state(state)
        self.kl_coefficient = float(state["kl_coefficient"])
        self.step_count = int(state["step_count"])
        self.stopped = bytes(state["stopped"].tolist()).decode()


def check_sampler_gap(gap: float, limit: float | None) -> None:
    """Stop a run whose sampler and trainer disagree by more than ``limit`` nats per token (mean |difference|).

    Raises:
        TrainingStopped: they do, or the gap is not a number.
    """
    if limit is not None and not gap <= limit:  # nan too
        raise TrainingStopped(
            f"sampler and trainer disagree by {gap:.3f} nats per token (limit {limit}): "
            "they do not run the same policy, and its gradient would be wrong. Begin under another --name"
        )


def _mean_by_source(sources: Sequence[str | None], scores: Float[Tensor, " sample"]) -> dict[str, float]:
    """Mean score of each source's replies."""
    by_source: dict[str, list[float]] = {}
    for source, score in zip(sources, scores.tolist(), strict=True):
        if source is not None:
            by_source.setdefault(source, []).append(score)
    return {f"score/{source}": sum(scores_) / len(scores_) for source, scores_ in sorted(by_source.items())}


def _check_same_vocabulary(policy: Role, value: Role) -> None:
    """Refuse a value model of another trunk that cannot read the policy's tokens."""
    if value.trunk is policy.trunk:
        return
    sizes = [len(role.trunk.model.get_input_embeddings().weight) for role in (policy, value)]
    if sizes[0] != sizes[1]:
        raise ConfigError(
            f"the value model reads {sizes[1]} tokens and the policy {sizes[0]}; a value model of another size must "
            "share the policy's tokenizer"
        )
