"""Sampling in process: tokens in, tokens and log-probabilities out.

A prompt runs through the model once for all its samples in a batch, without padding; finished samples leave the
batch; keys and values are written in place. What is drawn depends neither on the batches nor on other samples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from preflab import distributed
from preflab.checks import check_above, check_at_least, check_within
from preflab.config_overrides import check_types
from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row, batches_by_length, collate
from preflab.errors import ConfigError, DataError, ModelError
from preflab.models.roles import Role
from preflab.models.row_attention.attention import to_device
from preflab.models.row_attention.decode_attention import DecodeLayout
from preflab.models.row_attention.row_support import body_of, logit_shape
from preflab.rollouts.encode import fit_prompt
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.kv_cache import PreallocatedCache, cache_argument
from preflab.rollouts.sampling import RepetitionRules, sample_tokens

Watch = Callable[[Sequence[Sequence[int]]], None]

PREFILL_TOKENS = 4096
"""Prompt tokens per forward pass."""


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How replies are drawn."""

    max_new_tokens: int = 48
    temperature: float = 1.0
    """0 is greedy. Log-probabilities are those of the distribution that is drawn from: tempered, cut and scaled to one;
    where it is greedy, those at temperature 1."""
    top_k: int | None = None
    """Draw from this many of the likeliest tokens alone; None: from all."""
    top_p: float = 1.0
    """Draw from the likeliest tokens that together hold this much probability; 1: from all."""
    repetition_penalty: float = 1.0
    """Logits of tokens that the prompt or the reply holds are divided by it where positive and multiplied where
    negative; 1: off."""
    no_repeat_ngram: int | None = None
    """No run of this many tokens comes twice in prompt and reply; None: off."""
    max_batch: int = 64
    """Samples that are decoded together. Changes speed and memory, not what is drawn."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "max_new_tokens", "max_batch", "top_k", "no_repeat_ngram")
        check_at_least(self, 0, "temperature")
        check_within(self, "(0, 1]", "top_p")
        check_above(self, 0, "repetition_penalty")
        if self.temperature == 0 and (self.top_k is not None or self.top_p < 1):
            raise ConfigError("temperature 0 takes the likeliest token; top_k and top_p would change nothing")

    @property
    def has_rules(self) -> bool:
        """Whether logits depend on what was said before, beyond what the model makes of it."""
        return self.repetition_penalty != 1 or self.no_repeat_ngram is not None


@dataclass(frozen=True)
class Rollout:
    """One sampled reply."""

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    """With the end-of-turn token, if it came."""
    logprobs: tuple[float, ...]
    """The sampler's own, nats, one a token."""
    finished: bool
    """Whether the model ended its turn itself."""
    version: int = 0
    """Of the weights it was drawn with; counts the pushes to the engine."""


@torch.no_grad()
def generate(
    role: Role,
    prompts: Sequence[Sequence[int]],
    encoder: Encoder,
    config: SamplingConfig,
    *,
    n: int = 1,
    rng: torch.Generator | Sequence[int] | None = None,
    watch: Watch | None = None,
) -> list[list[Rollout]]:
    """``n`` replies to each prompt, in the order of the prompts.

    Args:
        rng    a generator, whose state determines all replies; or one seed for each prompt, so that what is drawn does
               not depend on its neighbours.
        watch  called after each step with the tokens of each sample of the batch so far; look, do not touch.

    Raises:
        DataError: a prompt is empty, or leaves no room for a reply in the model's context.
        ModelError: the model's numbers are not finite, so that nothing can be drawn from them.
    """
    for i, prompt in enumerate(prompts):
        if not prompt or len(prompt) + config.max_new_tokens > encoder.max_tokens:
            raise DataError(
                f"prompt {i} has {len(prompt)} tokens; with {config.max_new_tokens} new ones it must fit in "
                f"{encoder.max_tokens}, and it may not be empty"
            )
    # Each token has a number of its own from the start, so that neither batches nor other samples change what is drawn.
    shape = (n, config.max_new_tokens)
    if rng is None or isinstance(rng, torch.Generator):
        noise = torch.rand(len(prompts), *shape, dtype=torch.float64, generator=rng)
    elif len(rng) != len(prompts):
        raise ConfigError(f"there must be one seed for each prompt, got {len(rng)} for {len(prompts)}")
    else:
        generators = [torch.Generator().manual_seed(seed) for seed in rng]
        by_prompt = [torch.rand(shape, dtype=torch.float64, generator=generator) for generator in generators]
        noise = torch.stack(by_prompt) if by_prompt else torch.empty(0, *shape, dtype=torch.float64)
    replies: list[list[Rollout]] = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    jobs = [(i, k) for i in order for k in range(n)]
    size = distributed.tokens_per_rank(config.max_batch, len(jobs))
    sampled: list[list[Rollout]] = []
    for batch in distributed.shard_batches([jobs[start : start + size] for start in range(0, len(jobs), size)]):
        if not batch:
            with role.trunk.sampling(role.name):  # sharded weights come together on all processes at once
                continue
        batch_noise = torch.stack([noise[job] for job in batch])
        jobs_prompts = [tuple(prompts[i]) for i, _ in batch]
        sampled.append(_Batch(role, jobs_prompts, encoder, config, batch_noise).run(watch))
    rollouts = [rollout for batch in distributed.gather_batches(sampled) for rollout in batch]
    for (i, _), rollout in zip(jobs, rollouts, strict=True):
        replies[i].append(rollout)
    return replies


class _Batch:
    """The samples that are decoded together, each in a slot of its own; those still going fill the first slots."""

    def __init__(
        self,
        role: Role,
        prompts: list[tuple[int, ...]],
        encoder: Encoder,
        config: SamplingConfig,
        noise: Float[Tensor, "sample step"],
    ) -> None:
        self.role, self.prompts, self.encoder, self.config = role, prompts, encoder, config
        self.tokens: list[list[int]] = [[] for _ in prompts]
        self.logprobs: list[list[float]] = [[] for _ in prompts]
        self.slots = list(range(len(prompts)))  # which sample each slot holds
        self.noise = noise.to(role.device)
        self.length = torch.tensor([len(prompt) for prompt in prompts], device=role.device)
        self.width = int(self.length.max())
        columns = torch.arange(self.width + config.max_new_tokens, device=role.device)
        self.visible = columns >= self.width - self.length[:, None]  # every prompt ends in the same column
        self.layout = DecodeLayout((self.width - self.length).tolist(), self.visible)
        self.rules: RepetitionRules | None = None
        if config.has_rules:
            penalty, ngram = config.repetition_penalty, config.no_repeat_ngram
            self.rules = RepetitionRules(prompts, room=config.max_new_tokens, penalty=penalty, ngram=ngram)

    def run(self, watch: Watch | None) -> list[Rollout]:
        """Prefill, then one token a step until every sample has ended or used its room."""
        trunk, name = self.role.trunk, self.role.name
        # Weights that an autocast has cast are kept until the outermost one ends: with this one, for all steps.
        with trunk.sampling(name) as self.model, torch.autocast(trunk.device.type, enabled=False):
            hidden = self._prefill()
            for step in range(self.config.max_new_tokens):
                token, logp = self._draw(hidden, step)
                if not torch.isfinite(logp).all():
                    raise ModelError(f"a log-probability at sampled token {step} is not finite; the weights are broken")
                tokens = token.tolist()
                for sample, t, lp in zip(self.slots, tokens, logp.tolist(), strict=True):
                    self.tokens[sample].append(t)
                    self.logprobs[sample].append(lp)
                if watch:
                    watch(self.tokens)
                ended = [slot for slot, t in enumerate(tokens) if t in self.encoder.stop_ids]
                if step + 1 == self.config.max_new_tokens or len(ended) == len(tokens):
                    break
                if self.rules:
                    self.rules.add(tokens)
                if ended:
                    token = token[self._drop_finished(ended)]
                hidden = self._decode(token, step)
        return [
            Rollout(p, tuple(t), tuple(lp), finished=t[-1] in self.encoder.stop_ids)
            for p, t, lp in zip(self.prompts, self.tokens, self.logprobs, strict=True)
        ]

    def _prefill(self) -> Float[Tensor, "sample hidden"]:
        """Run each distinct prompt once, end to end without padding, and hand its cache to all its samples."""
        samples: dict[tuple[int, ...], list[int]] = {}
        for i, prompt in enumerate(self.prompts):
            samples.setdefault(prompt, []).append(i)
        distinct, room = list(samples), self.width + self.config.max_new_tokens
        self.cache_argument = cache_argument(body_of(self.model))
        self.cache = PreallocatedCache(
            int(self.model.config.num_hidden_layers), samples=len(self.prompts), width=self.width, room=room
        )
        last_hidden: dict[int, Tensor] = {}
        for batch in batches_by_length([len(prompt) for prompt in distinct], max_tokens=PREFILL_TOKENS):
            chosen = [distinct[i] for i in batch]
            placed = to_device(collate([Row((prompt,), (-1,), ()) for prompt in chosen]), self.role.device)
            with self.cache.prompts([(samples[prompt], len(prompt)) for prompt in chosen]):
                hidden = self._body(placed.ids, placed.positions, placed.mask)[0]
            stop = 0
            for prompt in chosen:
                stop += len(prompt)
                last_hidden |= dict.fromkeys(samples[prompt], hidden[stop - 1])
        return torch.stack([last_hidden[sample] for sample in range(len(self.prompts))])

    def _decode(self, token: Int[Tensor, " sample"], step: int) -> Float[Tensor, "sample hidden"]:
        """One step for the samples still going."""
        mask = self.visible[:, None, None, : self.width + step + 1]
        if not mask.is_cuda:
            mask.preflab_layout = self.layout  # type: ignore[attr-defined]
        return self._body(token[:, None], self.length[:, None] + step, mask)[:, -1]

    def _drop_finished(self, ended: list[int]) -> list[int]:
        """Let finished samples go; the last of the others move into their slots. Returns where each slot comes from."""
        going = len(self.slots) - len(ended)
        order = list(range(going))
        movers = (slot for slot in range(going, len(self.slots)) if slot not in ended)
        for hole in (slot for slot in ended if slot < going):
            order[hole] = next(movers)
        self.cache.select(order)
        self.slots = [self.slots[slot] for slot in order]
        self.visible, self.length, self.noise = self.visible[order], self.length[order], self.noise[order]
        self.layout = DecodeLayout((self.width - self.length).tolist(), self.visible)
        if self.rules:
            self.rules.select(order)
        return order

    def _body(self, ids: Tensor, positions: Tensor, mask: Tensor) -> Float[Tensor, "row token hidden"]:
        with self.role.trunk.autocast(self.role.name):
            out = body_of(self.model)(
                input_ids=ids,
                position_ids=positions,
                attention_mask=mask,
                use_cache=True,
                **{self.cache_argument: self.cache},
            )
        hidden: Tensor = out.last_hidden_state
        return hidden

    def _draw(
        self, hidden: Float[Tensor, "sample hidden"], step: int
    ) -> tuple[Int[Tensor, " sample"], Float[Tensor, " sample"]]:
        """The next token of each sample."""
        logits, config = self._logits(hidden), self.config
        if self.rules:
            logits = self.rules.apply(logits)
        u = self.noise[:, step]
        return sample_tokens(logits, u, temperature=config.temperature, top_k=config.top_k, top_p=config.top_p)

    def _logits(self, hidden: Float[Tensor, "sample hidden"]) -> Float[Tensor, "sample vocab"]:
        weight = self.model.get_output_embeddings().weight
        logits: Tensor = (hidden.to(weight.dtype) @ weight.T).float()
        shape = logit_shape(self.model.config)
        if shape["scale"] != 1.0:
            logits = logits * shape["scale"]
        if shape["softcap"]:
            logits = shape["softcap"] * torch.tanh(logits / shape["softcap"])
        return logits


class ReplySampler:
    """A role as a ``Sampler``: dialogues that await a turn in, the same one turn longer out."""

    def __init__(self, role: Role, encoder: Encoder, config: SamplingConfig, *, seed: int = 0) -> None:
        self.role, self.encoder, self.config = role, encoder, config
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, dialogues: Sequence[Dialogue]) -> list[Dialogue]:
        """One reply each. Early turns are dropped where a dialogue outgrows the context.

        Raises:
            DataError: a last turn alone outgrows it.
        """
        prompts = []
        for i, dialogue in enumerate(dialogues):
            fitted = fit_prompt(self.encoder, dialogue, room=self.encoder.max_tokens - self.config.max_new_tokens)
            if fitted is None:
                raise DataError(f"dialogue {i}: its last turn alone outgrows {self.encoder.max_tokens} tokens")
            prompts.append(fitted[0])
        sampled = generate(self.role, prompts, self.encoder, self.config, rng=self.generator)
        return [d.with_reply(self.encoder.text(r[0].tokens)) for d, r in zip(dialogues, sampled, strict=True)]
