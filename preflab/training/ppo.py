"""PPO against any scorer: per-token KL penalty to a reference, a separate value model, clipped losses.

The recipe of Stiennon et al. 2020 and Bai et al. 2022: one reply a prompt, the score at its last token, a
penalty of ``coefficient * (log policy - log reference)`` on every token, generalized advantage
estimation, whitened advantages, several epochs of minibatches on each batch of rollouts. Masks end at
the end-of-turn token; what the policy never sampled has no loss.

Every draw is a function of the seed and the step number, so a resumed run repeats nothing and skips nothing.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row, RowBatch, batches_by_length, collate
from preflab.errors import ConfigError, DataError, TrainingStopped
from preflab.interfaces import Scorer
from preflab.maths.policy import (
    adaptive_kl_step,
    clip_fraction,
    kl_k3,
    log_ratio,
    masked_mean,
    masked_whiten,
    ppo_policy_loss,
    value_loss,
)
from preflab.maths.returns import gae, token_rewards
from preflab.models.roles import Role
from preflab.rollouts.encode import Encoder, fit_prompt
from preflab.rollouts.generate import Rollout, SamplingConfig, generate
from preflab.training.step import Optimiser, OptimiserConfig


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """How a policy is trained. Defaults follow Stiennon et al. and Bai et al. where they say."""

    steps: int = 24
    prompts_per_step: int = 32
    samples_per_prompt: int = 1
    epochs: int = 2
    """Passes over each batch of rollouts (Bai et al.: 1, 2 or 4; more is more stable)."""
    minibatches: int = 2
    clip: float = 0.2
    value_clip: float | None = 0.2
    discount: float = 1.0
    trace: float = 0.95
    """Lambda of the advantage estimate."""
    kl_coefficient: float = 0.05
    """Nats of reward taken per nat of log-ratio, at every token."""
    kl_target: float | None = None
    """Nats per reply to steer the coefficient towards (adaptive controller); None keeps it fixed."""
    kl_horizon: int = 10_000
    """Episodes over which the adaptive controller acts."""
    kl_limit: float | None = None
    """Stop the run when the mean KL of a batch exceeds this many nats per reply."""
    missing_end_penalty: float = 1.0
    """Nats taken from the score of a reply that does not end its turn."""
    centre_by_prompt: bool = False
    """Take the mean advantage of a prompt's samples from each of them before whitening: less noise where the value
    model does not yet tell prompts apart. Needs several samples per prompt."""
    value_warmup_steps: int = 0
    """First steps that train the value model alone."""
    head_passes: int = 16
    """Where the value model is only a head: updates of it per step, over hidden states that are at hand anyway."""
    gap_limit: float | None = 0.5
    """Stop when sampler and trainer disagree by more than this mean |difference| in nats per token."""
    max_tokens: int = 4096
    """Tokens per forward pass without gradient; half of it with."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    policy: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=2e-4, schedule="constant"))
    value: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=2e-4, schedule="constant"))

    def __post_init__(self) -> None:
        counts = (self.steps, self.prompts_per_step, self.samples_per_prompt, self.epochs, self.minibatches)
        if min(counts) < 1:
            raise ConfigError("steps, prompts_per_step, samples_per_prompt, epochs and minibatches must be at least 1")
        if self.kl_coefficient < 0:
            raise ConfigError(
                f"kl_coefficient must be at least 0, got {self.kl_coefficient}; a negative one pays for KL"
            )
        if self.centre_by_prompt and self.samples_per_prompt < 2:
            raise ConfigError("centre_by_prompt needs samples_per_prompt of at least 2")
        if self.sampling.temperature == 0:
            raise ConfigError("PPO needs samples: temperature must be above 0")


@dataclass(frozen=True)
class PPOStep:
    """One step's measurements, before its update; per reply or per token as named."""

    step: int
    metrics: dict[str, float]
    rollouts: list[tuple[Dialogue, str, float]]
    """Prompt, reply text, score in nats."""
    stopped: str = ""
    """Why the run ends here, if it does before its time."""


@dataclass(frozen=True)
class _Experience:
    """Rollouts of one step, [sample token] padded on the right; mask True = a sampled token."""

    rows: list[Row]
    mask: Bool[Tensor, "sample token"]
    logp: Float[Tensor, "sample token"]
    ref_logp: Float[Tensor, "sample token"]
    values: Float[Tensor, "sample token"]
    advantages: Float[Tensor, "sample token"]
    returns: Float[Tensor, "sample token"]
    first_sample: list[int]
    """Index of each row's first sample."""
    features: Float[Tensor, "sample token hidden"] | None
    """What the value head reads, where nothing below it is trained."""


class PPOTraining:
    """A run in progress. Iterate it for steps; ``state`` between steps is all that a resume needs.

    ``score_offset`` is taken from every score, so that the value model need not learn it: a preference
    model's scores have no zero of their own (Stiennon et al. 2020 put it at the reference summaries).
    """

    def __init__(
        self,
        policy: Role,
        reference: Role,
        value: Role,
        scorer: Scorer,
        prompts: Sequence[Dialogue],
        encoder: Encoder,
        config: PPOConfig,
        *,
        seed: int,
        score_offset: float = 0.0,
    ) -> None:
        self.policy, self.reference, self.value, self.scorer = policy, reference, value, scorer
        self.encoder, self.config, self.seed = encoder, config, seed
        room = encoder.max_tokens - config.sampling.max_new_tokens
        fitted = [(p, fit_prompt(encoder, p, room=room)) for p in prompts]
        self.prompts = [(p, f[0]) for p, f in fitted if f is not None]
        self.n_refused = len(prompts) - len(self.prompts)
        if not self.prompts:
            raise DataError(f"no prompt fits in {room} tokens")
        updates = config.steps * config.epochs * config.minibatches
        value_updates = config.steps * config.head_passes if value.is_only_head else updates
        self.score_offset = score_offset
        self.policy_optimiser = Optimiser(policy.weights(), config.policy, total_steps=updates)
        self.value_optimiser = Optimiser(value.weights(), config.value, total_steps=value_updates)
        self.kl_coefficient = config.kl_coefficient
        self.step_count = 0
        self.stopped = ""

    def __iter__(self) -> Iterator[PPOStep]:
        """From wherever the state stands to the end, or to the KL limit."""
        while self.step_count < self.config.steps and not self.stopped:
            yield self._step()

    def _step(self) -> PPOStep:
        config, started = self.config, time.perf_counter()
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step_count)
        chosen = self._draw_prompts()
        sampled = generate(
            self.policy,
            [self.prompts[i][1] for i in chosen],
            self.encoder,
            config.sampling,
            n=config.samples_per_prompt,
            generator=generator,
        )
        sampling_seconds = time.perf_counter() - started
        texts = [
            (self.prompts[i][0], self.encoder.text(r.tokens)) for i, rs in zip(chosen, sampled, strict=True) for r in rs
        ]
        scores = self.scorer([prompt.with_reply(text) for prompt, text in texts]).float() - self.score_offset
        experience, metrics = self._experience(sampled, scores)
        self._check_gap(metrics)
        if config.kl_limit is not None and metrics["kl"] > config.kl_limit:
            self.stopped = f"KL {metrics['kl']:.2f} nats per reply is over the limit of {config.kl_limit}"
        else:
            metrics |= self._update(experience, generator)
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
        return PPOStep(self.step_count, metrics, rollouts, self.stopped)

    def _draw_prompts(self) -> list[int]:
        """This step's prompts: the set shuffled anew each time it has been used up."""
        per_step, n = self.config.prompts_per_step, len(self.prompts)
        wanted = range(self.step_count * per_step, (self.step_count + 1) * per_step)
        orders: dict[int, list[int]] = {}
        for epoch in {w // n for w in wanted}:
            generator = torch.Generator().manual_seed(self.seed * 10_007 + epoch)
            orders[epoch] = torch.randperm(n, generator=generator).tolist()
        return [orders[w // n][w % n] for w in wanted]

    @torch.no_grad()
    def _experience(
        self, sampled: list[list[Rollout]], scores: Float[Tensor, " sample"]
    ) -> tuple[_Experience, dict[str, float]]:
        """Measure the rollouts under policy, reference and value model; rewards, advantages, returns."""
        config = self.config
        rows = [Row.of(rs[0].prompt, *(r.tokens for r in rs)) for rs in sampled]
        flat = [r for rs in sampled for r in rs]
        lengths = torch.tensor([len(r.tokens) for r in flat])
        mask = torch.arange(int(lengths.max())) < lengths[:, None]
        grids = {k: torch.zeros(mask.shape) for k in ("logp", "ref_logp", "values", "entropy", "sampler")}
        first = [sum(len(rs) for rs in sampled[:i]) for i in range(len(rows))]
        grids["sampler"][mask] = torch.tensor([lp for r in flat for lp in r.logprobs])
        n_tokens = 0
        features = torch.zeros(*mask.shape, self.policy.trunk.hidden_size) if self.value.is_only_head else None
        for batch in batches_by_length([len(row) for row in rows], max_tokens=config.max_tokens):
            together = collate([rows[i] for i in batch])
            where = _where(batch, rows, first, mask)
            temperature = config.sampling.temperature
            logp, entropy = self.policy.logprobs(together, temperature=temperature, with_entropy=True)
            ref_logp, _ = self.reference.logprobs(together, temperature=temperature)
            assert entropy is not None
            for key, tokens in (("logp", logp), ("ref_logp", ref_logp), ("entropy", entropy)):
                grids[key][where] = tokens
            read = self.value.features(together)
            grids["values"][where] = self.value.head(read)
            if features is not None:
                features[where] = read.float()
            n_tokens += 3 * together.n_tokens
        finished = torch.tensor([r.finished for r in flat])
        final = scores - config.missing_end_penalty * (~finished).float()
        rewards = token_rewards(grids["logp"], grids["ref_logp"], final, mask, self.kl_coefficient)
        advantages, returns = gae(rewards, grids["values"], mask, discount=config.discount, trace=config.trace)
        metrics = self._measure(grids, mask, scores, finished, rewards, returns, advantages)
        metrics |= {"sampled_tokens": float(mask.sum()), "measured_tokens": float(n_tokens)}
        if config.centre_by_prompt:
            advantages = _centred(advantages, mask, [len(rs) for rs in sampled])
        whitened = masked_whiten(advantages, mask)
        logp, ref_logp, values = grids["logp"], grids["ref_logp"], grids["values"]
        return _Experience(rows, mask, logp, ref_logp, values, whitened, returns, first, features), metrics

    def _measure(
        self,
        grids: dict[str, Tensor],
        mask: Tensor,
        scores: Tensor,
        finished: Tensor,
        rewards: Tensor,
        returns: Tensor,
        advantages: Tensor,
    ) -> dict[str, float]:
        """What papers/06 and 02 log, before the update."""
        ratio = torch.where(mask, grids["logp"] - grids["ref_logp"], torch.zeros(()))
        gap = log_ratio(grids["logp"], grids["sampler"])[mask]
        per_reply = ratio.sum(-1)
        n = len(scores)
        error = returns - grids["values"]
        spread = returns[mask].var(correction=0)
        kl = float(per_reply.mean())
        return {
            "score": float(scores.mean()),
            "score_std": float(scores.std(correction=0)),
            "reward": float(torch.where(mask, rewards, torch.zeros(())).sum(-1).mean()),
            "kl": kl,
            "kl_error": float(per_reply.std(correction=0) / math.sqrt(n)),
            "kl_k3": float(torch.where(mask, kl_k3(grids["logp"], grids["ref_logp"]), torch.zeros(())).sum(-1).mean()),
            "sqrt_kl": math.sqrt(max(0.0, kl)),
            "kl_coefficient": self.kl_coefficient,
            "entropy": float(masked_mean(grids["entropy"], mask)),
            "reply_tokens": float(mask.sum(-1).float().mean()),
            "ended_share": float(finished.float().mean()),
            "value_mean": float(masked_mean(grids["values"], mask)),
            "return_mean": float(masked_mean(returns, mask)),
            "advantage_std": float(advantages[mask].std(correction=0)),
            "explained_variance": float(1 - error[mask].var(correction=0) / spread) if spread > 0 else 0.0,
            "sampler_gap": float(gap.abs().mean()),
            "sampler_gap_outside": float(((gap.exp() - 1).abs() > 0.1).float().mean()),
        }

    def _check_gap(self, metrics: dict[str, float]) -> None:
        limit = self.config.gap_limit
        if limit is not None and not metrics["sampler_gap"] <= limit:  # nan too
            raise TrainingStopped(
                f"sampler and trainer disagree by {metrics['sampler_gap']:.3f} nats per token (limit {limit}): "
                "they do not run the same policy, and its gradient would be wrong. Begin under another --name"
            )

    def _update(self, experience: _Experience, generator: torch.Generator) -> dict[str, float]:
        """Several passes of clipped updates over one batch of rollouts."""
        config = self.config
        sums: dict[str, float] = {}
        updates = 0
        warming = self.step_count < config.value_warmup_steps
        for _ in range(config.epochs):
            order = torch.randperm(len(experience.rows), generator=generator)
            for chunk in order.chunk(min(config.minibatches, len(order))):
                for key, number in self._minibatch(experience, chunk.tolist(), train_policy=not warming).items():
                    sums[key] = sums.get(key, 0.0) + number
                updates += 1
        found = {key: total if key.endswith("_tokens") else total / updates for key, total in sums.items()}
        return found | (self._fit_head(experience) if experience.features is not None else {})

    def _fit_head(self, experience: _Experience) -> dict[str, float]:
        """Several updates of a value head over all hidden states of the step at once."""
        assert experience.features is not None
        features, mask = experience.features[experience.mask], experience.mask
        old, returns = experience.values[mask], experience.returns[mask]
        first = norm = 0.0
        for n in range(self.config.head_passes):
            loss = value_loss(self.value.head(features), old, returns, clip=self.config.value_clip).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            first = first if n else float(loss.detach())
            norm = self.value_optimiser.step()["gradient_norm"]
        return {"value_loss": first, "value_gradient_norm": norm}

    def _minibatch(self, experience: _Experience, rows: list[int], *, train_policy: bool) -> dict[str, float]:
        """One optimiser step for each model; losses are means over the minibatch's tokens."""
        own = _where(rows, experience.rows, experience.first_sample, experience.mask)
        n_items, whole_value = len(own[0]), experience.features is None
        found = {"policy_loss": 0.0, "clip_fraction": 0.0, "update_kl": 0.0, "trained_tokens": 0.0}
        found |= {"value_loss": 0.0} if whole_value else {}
        lengths = [len(experience.rows[i]) for i in rows]
        for micro in batches_by_length(lengths, max_tokens=max(1, self.config.max_tokens // 2)):
            chosen = [rows[m] for m in micro]
            together = collate([experience.rows[i] for i in chosen])
            where = _where(chosen, experience.rows, experience.first_sample, experience.mask)
            if train_policy:
                self._policy_pass(experience, together, where, n_items, found)
            if whole_value:
                self._value_pass(experience, together, where, n_items, found)
        if train_policy:
            done = self.policy_optimiser.step()
            found |= {"policy_gradient_norm": done["gradient_norm"], "learning_rate": done["learning_rate"]}
        if whole_value:
            found["value_gradient_norm"] = self.value_optimiser.step()["gradient_norm"]
        return found

    def _value_pass(
        self,
        experience: _Experience,
        together: RowBatch,
        where: tuple[Tensor, Tensor],
        n_items: int,
        found: dict[str, float],
    ) -> None:
        values, old, returns = self.value.values(together), experience.values[where], experience.returns[where]
        loss = value_loss(values, old, returns, clip=self.config.value_clip)
        (loss.sum() / n_items).backward()  # type: ignore[no-untyped-call]
        found["value_loss"] += float(loss.detach().sum()) / n_items
        found["trained_tokens"] += together.n_tokens

    def _policy_pass(
        self,
        experience: _Experience,
        together: RowBatch,
        where: tuple[Tensor, Tensor],
        n_items: int,
        found: dict[str, float],
    ) -> None:
        logp, _ = self.policy.logprobs(together, temperature=self.config.sampling.temperature)
        old, advantages = experience.logp[where], experience.advantages[where]
        loss = ppo_policy_loss(logp, old, advantages, clip=self.config.clip)
        (loss.sum() / n_items).backward()  # type: ignore[no-untyped-call]
        new = logp.detach()
        found["policy_loss"] += float(loss.detach().sum()) / n_items
        found["trained_tokens"] += together.n_tokens
        found["clip_fraction"] += float(clip_fraction(new, old, advantages, clip=self.config.clip)) * len(new) / n_items
        found["update_kl"] += float(kl_k3(old, new).sum()) / n_items

    def state(self) -> dict[str, Tensor]:
        """Both models, both optimisers, the KL coefficient and the step."""
        parts = {
            "policy": self.policy.state(),
            "value": self.value.state(),
            "policy_optimiser": self.policy_optimiser.state(),
            "value_optimiser": self.value_optimiser.state(),
        }
        flat = {f"{part}/{k}": v for part, tensors in parts.items() for k, v in tensors.items()}
        flat["kl_coefficient"] = torch.tensor(self.kl_coefficient, dtype=torch.float64)
        flat["step_count"] = torch.tensor(self.step_count)
        flat["stopped"] = torch.tensor(list(self.stopped.encode()), dtype=torch.uint8)
        return flat

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what ``state`` gave."""

        def part(name: str) -> dict[str, Tensor]:
            return {k.removeprefix(f"{name}/"): v for k, v in state.items() if k.startswith(f"{name}/")}

        self.policy.load_state(part("policy"))
        self.value.load_state(part("value"))
        self.policy_optimiser.load_state(part("policy_optimiser"))
        self.value_optimiser.load_state(part("value_optimiser"))
        self.kl_coefficient = float(state["kl_coefficient"])
        self.step_count = int(state["step_count"])
        self.stopped = bytes(state["stopped"].tolist()).decode()


def _centred(
    advantages: Float[Tensor, "sample token"], mask: Bool[Tensor, "sample token"], sizes: Sequence[int]
) -> Float[Tensor, "sample token"]:
    """Advantages less the mean over all tokens of the same prompt's samples."""
    pieces = zip(torch.split(advantages, list(sizes)), torch.split(mask, list(sizes)), strict=True)
    return torch.cat([own - masked_mean(own, counts) for own, counts in pieces])


def _where(
    batch: Sequence[int], rows: Sequence[Row], first_sample: Sequence[int], mask: Bool[Tensor, "sample token"]
) -> tuple[Tensor, Tensor]:
    """Grid indices of the reply tokens of these rows, in the order a collated batch holds them."""
    samples = [first_sample[i] + k for i in batch for k in range(len(rows[i].replies))]
    lengths = mask.sum(-1)[samples].tolist()
    sample = torch.tensor([s for s, n in zip(samples, lengths, strict=True) for _ in range(n)])
    token = torch.tensor([t for n in lengths for t in range(n)])
    return sample, token
