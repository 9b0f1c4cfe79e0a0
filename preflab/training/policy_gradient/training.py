"""What PPO, RLOO and REINFORCE share: draw prompts, sample, score, measure, update, and take a run up again.

A method is a file of its own that says two things: which part of the reward each token is credited with, and which
loss turns that credit into a gradient. The reward is the scorer's, at the reply's last token, less
``coefficient * (log policy - log reference)`` at every token (Stiennon et al. 2020, sec. 3.4). Masks end at the
end-of-turn token; what the policy never sampled has no loss.

Every draw is a function of the seed and the step number, so a resumed run repeats nothing and skips nothing.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from preflab import distributed
from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row, RowBatch
from preflab.errors import ConfigError, DataError, TrainingStopped
from preflab.interfaces import Scorer
from preflab.maths.policy import adaptive_kl_step, kl_k3
from preflab.maths.returns import token_rewards
from preflab.models.roles import Role
from preflab.rollouts.encode import Encoder, fit_prompt
from preflab.rollouts.engine import Engine, InProcess
from preflab.rollouts.generate import Rollout
from preflab.training.batch_order import forward_passes, keep_collectives_aligned
from preflab.training.ema import EMA
from preflab.training.optimiser import Optimiser
from preflab.training.policy_gradient.advantages import Advantages, Minibatch, PolicyStep
from preflab.training.policy_gradient.config import PolicyGradientConfig
from preflab.training.policy_gradient.ptx import Pretraining, draw_in_turn
from preflab.training.policy_gradient.rollout_batch import (
    CachedForward,
    RolloutBatch,
    check_rollouts,
    describe,
    exact_kl_of_rows,
    forward_all_roles,
)
from preflab.training.policy_gradient.value import ValueFit, part_of

Plan = list[list[list[int]]]
"""Rows of each minibatch of each epoch."""


class PolicyGradient(ABC):
    """A run in progress. Iterate it for steps; ``state`` between steps is all that a resume needs.

    Args of every method:
        reference     what KL is measured from; None only where it is not measured.
        prompts       dialogues that await a reply; those too long for the context are counted in ``n_refused``.
        score_offset  taken from every score, so that a value model need not learn it: a preference model's scores have
                      no zero of their own (Stiennon et al. 2020 put it at the reference summaries).
        engine        where the policy is sampled; None samples it in this process.
        pretraining   rows whose language-model gradient is mixed in (``ptx``); see ``ptx.rows_of_text``.
        sources       a prompt's source, for scores logged by source.
    """

    config: PolicyGradientConfig

    def __init__(
        self,
        policy: Role,
        reference: Role | None,
        scorer: Scorer,
        prompts: Sequence[Dialogue],
        encoder: Encoder,
        config: PolicyGradientConfig,
        *,
        seed: int,
        value: ValueFit | None = None,
        epochs: int = 1,
        minibatches: int = 1,
        value_warmup_steps: int = 0,
        score_offset: float = 0.0,
        engine: Engine | None = None,
        pretraining: Sequence[Row] = (),
        sources: Mapping[Dialogue, str] | None = None,
    ) -> None:
        if reference is None and config.measure_kl:
            raise ConfigError("KL is measured from a reference; give one, or set measure_kl=false and kl_coefficient=0")
        _same_tokens(policy, value.role if value else None)
        self.policy, self.reference, self.scorer = policy, reference if config.measure_kl else None, scorer
        self.encoder, self.config, self.seed, self.score_offset = encoder, config, seed, score_offset
        self.value_fit, self.epochs, self.value_warmup_steps = value, epochs, value_warmup_steps
        self.minibatches = min(minibatches, config.prompts_per_step)
        self.engine: Engine = InProcess(policy, encoder) if engine is None else engine
        self.sources = sources or {}
        room = encoder.max_tokens - config.sampling.max_new_tokens
        fitted = [(p, fit_prompt(encoder, p, room=room)) for p in prompts]
        self.prompts = [(p, f[0]) for p, f in fitted if f is not None]
        self.n_refused = len(prompts) - len(self.prompts)
        if not self.prompts:
            raise DataError(f"no prompt fits in {room} tokens")
        updates = max(1, config.steps - value_warmup_steps) * epochs * self.minibatches
        self.policy_optimiser = Optimiser(policy.weights(), config.policy, total_steps=updates)
        self.ema = None if config.ema_decay is None else EMA(policy.weights(), config.ema_decay)
        self.pretraining: Pretraining | None = None
        if config.ptx.coefficient > 0:
            half = max(1, config.max_tokens // 2)
            own_seed = seed + 1_000_000_007
            self.pretraining = Pretraining(policy, pretraining, config.ptx, max_tokens=half, seed=own_seed)
        self.kl_coefficient = config.kl_coefficient
        self.step_count = 0
        self.stopped = ""

    # what a method says ----------------------------------------------------------------------------------

    @abstractmethod
    def _credit(self, experience: RolloutBatch, rewards: Float[Tensor, "sample token"]) -> Advantages:
        """The advantage of every sampled token; what the value model is to learn."""

    @abstractmethod
    def _losses(self, logp: Float[Tensor, " item"], part: Minibatch) -> tuple[Tensor, dict[str, float]]:
        """One loss per item or per reply, and means over them for the log."""

    per_reply: bool
    """Whether a minibatch's losses are divided by its number of replies; otherwise by its number of tokens."""

    # a step ----------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[PolicyStep]:
        """From wherever the state stands to the end, or to the KL limit."""
        while self.step_count < self.config.steps and not self.stopped:
            yield self._step()

    def _step(self) -> PolicyStep:
        config, started = self.config, time.perf_counter()
        chosen = draw_in_turn(len(self.prompts), self._span(config.prompts_per_step), seed=self.seed)
        sampled, staleness = self._sample([self.prompts[i][1] for i in chosen])
        sampling_seconds = time.perf_counter() - started
        texts = [
            (self.prompts[i][0], self.encoder.text(r.tokens)) for i, rs in zip(chosen, sampled, strict=True) for r in rs
        ]
        scores = self.scorer([prompt.with_reply(text) for prompt, text in texts]).float() - self.score_offset
        plan = self._plan(len(sampled))
        experience, credit, metrics = self._measured(sampled, scores, plan)
        metrics |= {"version": float(self.step_count), "staleness": float(staleness)}
        metrics |= self._by_source([prompt for prompt, _ in texts], scores)
        self._check_gap(metrics)
        if config.kl_limit is not None and metrics["kl"] > config.kl_limit:
            self.stopped = f"KL {metrics['kl']:.2f} nats per reply is over the limit of {config.kl_limit}"
        else:
            metrics |= self._update(experience, credit, plan)
        if config.kl_target is not None:
            self.kl_coefficient = adaptive_kl_step(
                self.kl_coefficient,
                metrics["kl"],
                target=config.kl_target,
                n_episodes=len(texts),
                horizon=config.kl_horizon,
            )
        self.step_count += 1
        metrics |= {"sampling_seconds": sampling_seconds, "seconds": time.perf_counter() - started}
        rollouts = [(prompt, text, float(s)) for (prompt, text), s in zip(texts, scores, strict=True)]
        return PolicyStep(self.step_count, metrics, rollouts, self.stopped)

    def _span(self, per_step: int) -> range:
        """This step's stretch of an endless stream of which every step takes ``per_step``."""
        return range(self.step_count * per_step, (self.step_count + 1) * per_step)

    def _sample(self, prompts: Sequence[tuple[int, ...]]) -> tuple[list[list[Rollout]], int]:
        """Replies drawn with the policy as it is now, and the staleness of the oldest in steps."""
        config = self.config
        self.engine.push(self.policy, version=self.step_count)
        seed = self.seed * 1_000_003 + self.step_count
        sampled = self.engine.generate(prompts, config.sampling, n=config.samples_per_prompt, seed=seed)
        staleness = check_rollouts(
            sampled,
            prompts,
            n=config.samples_per_prompt,
            version=self.step_count,
            max_staleness=config.max_staleness,
        )
        return sampled, staleness

    def _plan(self, n_rows: int) -> Plan:
        """Which rows each minibatch of each epoch holds."""
        generator = torch.Generator().manual_seed((self.seed + 1) * 7_368_787 + self.step_count)
        orders = [torch.randperm(n_rows, generator=generator) for _ in range(self.epochs)]
        return [[piece.tolist() for piece in order.tensor_split(min(self.minibatches, n_rows))] for order in orders]

    def _measured(
        self, sampled: list[list[Rollout]], scores: Float[Tensor, " sample"], plan: Plan
    ) -> tuple[RolloutBatch, Advantages, dict[str, float]]:
        """The rollouts on the grid, each token's credit, and what is logged of both."""
        config = self.config
        experience = forward_all_roles(
            sampled,
            scores,
            policy=self.policy,
            reference=self.reference,
            value=self.value_fit.role if self.value_fit else None,
            temperature=config.sampling.temperature,
            max_tokens=config.max_tokens,
            first=plan[0][0],
            keep_policy=self._trains_policy,
        )
        mask, scores = experience.mask, experience.scores
        final = scores - config.missing_end_penalty * (~experience.finished).float()
        if config.missing_end_score is not None:
            final = torch.where(experience.finished, scores, config.missing_end_score)
        ref_logp = experience.logp if experience.ref_logp is None else experience.ref_logp
        rewards = token_rewards(experience.logp, ref_logp, final, mask, self.kl_coefficient)
        credit = self._credit(experience, rewards)
        metrics = describe(experience) | credit.metrics
        metrics |= {"reward": float(rewards.sum(-1).mean()), "kl_coefficient": self.kl_coefficient}
        if config.exact_kl_rows and self.reference is not None:
            exact = exact_kl_of_rows(
                self.policy,
                self.reference,
                experience.rows[: config.exact_kl_rows],
                temperature=config.sampling.temperature,
            )
            metrics["kl_exact"] = float(exact.mean())
        return experience, credit, metrics

    @property
    def _trains_policy(self) -> bool:
        """Whether this step moves the policy; the first ones may train the value model alone."""
        return self.step_count >= self.value_warmup_steps

    def _by_source(self, prompts: Sequence[Dialogue], scores: Float[Tensor, " sample"]) -> dict[str, float]:
        """Mean score of each source's replies."""
        of: dict[str, list[float]] = {}
        for prompt, score in zip(prompts, scores.tolist(), strict=True):
            if prompt in self.sources:
                of.setdefault(self.sources[prompt], []).append(score)
        return {f"score/{source}": sum(own) / len(own) for source, own in sorted(of.items())}

    def _check_gap(self, metrics: dict[str, float]) -> None:
        limit = self.config.gap_limit
        if limit is not None and not metrics["sampler_gap"] <= limit:  # nan too
            raise TrainingStopped(
                f"sampler and trainer disagree by {metrics['sampler_gap']:.3f} nats per token (limit {limit}): "
                "they do not run the same policy, and its gradient would be wrong. Begin under another --name"
            )

    # the update ------------------------------------------------------------------------------------------

    def _update(self, experience: RolloutBatch, credit: Advantages, plan: Plan) -> dict[str, float]:
        """Several passes of updates over one batch of rollouts; metrics are means over the updates, tokens sums."""
        sums: dict[str, float] = {}
        updates = cursor = 0
        for epoch in plan:
            for rows in epoch:
                kept = experience.kept if updates == 0 else None
                own = self._minibatch(experience, credit, rows, kept, cursor)
                cursor += self.config.ptx.ratio * len(experience.samples(rows))
                updates += 1
                for key, number in own.items():
                    sums[key] = sums.get(key, 0.0) + number
        found = {key: total if key.endswith("_tokens") else total / updates for key, total in sums.items()}
        if self.value_fit is not None and credit.targets is not None and self.value_fit.role.is_only_head:
            found |= self.value_fit.fit_head(experience, credit.targets)
        if self.ema is not None:
            self.ema.update()
        return found

    def _minibatch(
        self, experience: RolloutBatch, credit: Advantages, rows: list[int], kept: CachedForward | None, cursor: int
    ) -> dict[str, float]:
        """One optimiser step for each model; losses are means over the whole minibatch, however it is split."""
        samples = experience.samples(rows)
        n_items = int(experience.mask[samples].sum())
        n_units = len(samples) if self.per_reply else n_items
        fit = self.value_fit if self.value_fit is not None and not self.value_fit.role.is_only_head else None
        found = {"trained_tokens": 0.0}
        for chosen, together, logp, values in self._passes(experience, rows, kept):
            if not chosen:
                self._idle(together, fit)
                continue
            where = experience.where(chosen)
            if self._trains_policy:
                part = Minibatch(together, experience.logp[where], credit.advantages[where])
                _add(found, self._policy_pass(part, logp, n_units, n_items))
            if fit is not None and credit.targets is not None:
                _add(found, fit.add_gradient(credit.targets, together, where, n_items, values))
        found = distributed.all_reduce_metrics(found)
        if self._trains_policy:
            if self.pretraining is not None:
                n = self.config.ptx.ratio * len(samples)
                per_step = self.config.ptx.ratio * experience.mask.shape[0] * self.epochs
                start = self.step_count * per_step + cursor
                found |= self.pretraining.add_gradient(self.pretraining.draw(start, n))
            done = self.policy_optimiser.step()
            found |= {"policy_gradient_norm": done["gradient_norm"], "learning_rate": done["learning_rate"]}
        return found if fit is None else found | fit.step()

    def _passes(
        self, experience: RolloutBatch, rows: list[int], kept: CachedForward | None
    ) -> Iterator[tuple[list[int], RowBatch, Tensor | None, Tensor | None]]:
        """The forward passes that make up a minibatch: rows, batch, and what has been computed of it."""
        if kept is not None:
            yield kept.rows, kept.batch, kept.logp, kept.values
            return
        for chosen, batch in forward_passes(experience.rows, rows, max_tokens=max(1, self.config.max_tokens // 2)):
            yield chosen, batch, None, None

    def _idle(self, batch: RowBatch, fit: ValueFit | None) -> None:
        """The passes of a process that has nothing left to do in a minibatch, for sharded models to stay in step."""
        if self._trains_policy:
            keep_collectives_aligned(self.policy.logprobs(batch)[0])
        if fit is not None:
            keep_collectives_aligned(fit.role.values(batch))

    def _policy_pass(self, part: Minibatch, logp: Tensor | None, n_units: int, n_items: int) -> dict[str, float]:
        """Forward and backward; what has run forward already is not run again."""
        if logp is None:
            logp, _ = self.policy.logprobs(part.batch, temperature=self.config.sampling.temperature)
        losses, means = self._losses(logp, part)
        (losses.sum() / n_units).backward()  # type: ignore[no-untyped-call]
        share = len(losses) / n_units
        return {
            "policy_loss": float(losses.detach().sum()) / n_units,
            "update_kl": float(kl_k3(part.logp_old, logp.detach()).sum()) / n_items,
            "trained_tokens": float(part.batch.n_tokens),
            **{key: mean * share for key, mean in means.items()},
        }

    # taking a run up again -------------------------------------------------------------------------------

    def ema_state(self) -> dict[str, Tensor]:
        """The averaged weights, as ``Role.state`` gives them: evaluate with ``ema.weights_of(policy, ...)``.

        Raises:
            ConfigError: no average is kept.
        """
        if self.ema is None:
            raise ConfigError("no moving average is kept; set ema_decay (Ouyang et al. use 0.992)")
        return self.ema.state()

    def state(self) -> dict[str, Tensor]:
        """Models, optimisers, moving average, the KL coefficient and the step."""
        parts = {"policy": self.policy.state(), "policy_optimiser": self.policy_optimiser.state()}
        parts |= {} if self.ema is None else {"ema": self.ema.state()}
        flat = {f"{part}/{k}": v for part, tensors in parts.items() for k, v in tensors.items()}
        flat |= {} if self.value_fit is None else self.value_fit.state()
        flat["kl_coefficient"] = torch.tensor(self.kl_coefficient, dtype=torch.float64)
        flat["step_count"] = torch.tensor(self.step_count)
        flat["stopped"] = torch.tensor(list(self.stopped.encode()), dtype=torch.uint8)
        return flat

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what ``state`` gave."""
        self.policy.load_state(part_of(state, "policy"))
        self.policy_optimiser.load_state(part_of(state, "policy_optimiser"))
        if self.ema is not None:
            self.ema.load_state(part_of(state, "ema"))
        if self.value_fit is not None:
            self.value_fit.load_state(state)
        self.kl_coefficient = float(state["kl_coefficient"])
        self.step_count = int(state["step_count"])
        self.stopped = bytes(state["stopped"].tolist()).decode()


def _same_tokens(policy: Role, value: Role | None) -> None:
    """Refuse a value model of another trunk that cannot read the policy's tokens."""
    if value is None or value.trunk is policy.trunk:
        return
    sizes = [len(role.trunk.model.get_input_embeddings().weight) for role in (policy, value)]
    if sizes[0] != sizes[1]:
        raise ConfigError(
            f"the value model reads {sizes[1]} tokens and the policy {sizes[0]}; a value model of another size must "
            "share the policy's tokenizer"
        )


def _add(totals: dict[str, float], more: Mapping[str, float]) -> None:
    """Add numbers up by name."""
    for key, number in more.items():
        totals[key] = totals.get(key, 0.0) + number
