"""Sampling in process: tokens in, tokens and log-probabilities out.

A prompt runs through the model once for all its samples in a batch; finished samples leave the batch; a
draw costs one softmax and one cumulative sum.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError, DataError, ModelError
from preflab.models.check import logit_shape, trunk_of
from preflab.models.roles import Role
from preflab.rollouts.cache import roomy_cache, select
from preflab.rollouts.encode import Encoder, fit_prompt

Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How replies are drawn."""

    max_new_tokens: int = 48
    temperature: float = 1.0
    """0 is greedy. Log-probabilities are those of the tempered distribution."""
    max_batch: int = 64
    """Samples that are decoded together."""

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or self.max_batch < 1 or self.temperature < 0:
            raise ConfigError(f"max_new_tokens and max_batch must be at least 1 and temperature at least 0, got {self}")


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
    generator: torch.Generator | None = None,
    progress: Progress | None = None,
) -> list[list[Rollout]]:
    """``n`` replies to each prompt, in the order of the prompts.

    Args:
        generator  where the randomness comes from; the same generator state gives the same replies.
        progress   called with the number of tokens just sampled.

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
    found: list[list[Rollout]] = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    jobs = [i for i in order for _ in range(n)]
    for start in range(0, len(jobs), config.max_batch):
        batch = jobs[start : start + config.max_batch]
        sampled = _Batch(role, [tuple(prompts[i]) for i in batch], encoder, config, generator).run(progress)
        for i, rollout in zip(batch, sampled, strict=True):
            found[i].append(rollout)
    return found


class _Batch:
    """The samples that are decoded together."""

    def __init__(
        self,
        role: Role,
        prompts: list[tuple[int, ...]],
        encoder: Encoder,
        config: SamplingConfig,
        generator: torch.Generator | None,
    ) -> None:
        self.role, self.prompts, self.encoder, self.config, self.generator = role, prompts, encoder, config, generator
        self.tokens: list[list[int]] = [[] for _ in prompts]
        self.logprobs: list[list[float]] = [[] for _ in prompts]
        self.stops = torch.tensor(encoder.stop_ids)
        self.seen = torch.empty(0, 0, dtype=torch.bool)
        self.length = torch.empty(0, dtype=torch.long)

    def run(self, progress: Progress | None) -> list[Rollout]:
        """Prefill, then one token a step until every sample has ended or used its room."""
        with self.role.trunk.sampling(self.role.name) as model:
            self.model, self.config_of_model = model, model.config
            hidden = self._prefill()
            active = torch.arange(len(self.prompts))
            for step in range(self.config.max_new_tokens):
                token, logp = draw(self._logits(hidden), self.config.temperature, self.generator)
                if not torch.isfinite(logp).all():
                    raise ModelError(f"a log-probability at sampled token {step} is not finite; the weights are broken")
                for sample, t, lp in zip(active.tolist(), token.tolist(), logp.tolist(), strict=True):
                    self.tokens[sample].append(t)
                    self.logprobs[sample].append(lp)
                if progress:
                    progress(len(active))
                going = ~torch.isin(token, self.stops)
                if step + 1 == self.config.max_new_tokens or not going.any():
                    break
                if not going.all():
                    kept = going.nonzero().squeeze(-1)
                    select(self.cache, kept)
                    self.seen, self.length = self.seen[kept], self.length[kept]
                    token, active = token[kept], active[kept]
                hidden = self._decode(token)
        return [
            Rollout(p, tuple(t), tuple(lp), finished=t[-1] in self.encoder.stop_ids)
            for p, t, lp in zip(self.prompts, self.tokens, self.logprobs, strict=True)
        ]

    def _prefill(self) -> Float[Tensor, "sample hidden"]:
        """Run each distinct prompt once, padded on the left, and hand its cache to all its samples."""
        distinct = list(dict.fromkeys(self.prompts))
        width = max(map(len, distinct))
        ids = torch.full((len(distinct), width), self.encoder.pad_id)
        real = torch.zeros(len(distinct), width, dtype=torch.bool)
        for i, prompt in enumerate(distinct):
            ids[i, width - len(prompt) :] = torch.tensor(prompt)
            real[i, width - len(prompt) :] = True
        positions = (real.cumsum(-1) - 1).clamp_min(0)
        causal = torch.ones(width, width, dtype=torch.bool).tril()
        mask = (causal & real[:, None, :]) | torch.eye(width, dtype=torch.bool)  # padding sees itself: no empty softmax
        self.cache = roomy_cache(int(self.config_of_model.num_hidden_layers), width)
        out = self._forward(ids, positions, mask[:, None])
        index = torch.tensor([distinct.index(prompt) for prompt in self.prompts])
        select(self.cache, index, room=width + self.config.max_new_tokens)
        self.seen, self.length = real[index], real.sum(-1)[index]
        return out[index]

    def _decode(self, token: Int[Tensor, " sample"]) -> Float[Tensor, "sample hidden"]:
        """One step for the samples still going."""
        self.seen = torch.cat([self.seen, self.seen.new_ones(len(token), 1)], dim=-1)
        positions = self.length[:, None]
        self.length = self.length + 1
        return self._forward(token[:, None], positions, self.seen[:, None, None, :])

    def _forward(self, ids: Tensor, positions: Tensor, mask: Tensor) -> Float[Tensor, "sample hidden"]:
        with self.role.trunk.precision(self.role.name):
            out = trunk_of(self.model)(
                input_ids=ids,
                position_ids=positions,
                attention_mask=mask,
                past_key_values=self.cache,
                use_cache=True,
            )
        last: Tensor = out.last_hidden_state[:, -1]
        return last

    def _logits(self, hidden: Float[Tensor, "sample hidden"]) -> Float[Tensor, "sample vocab"]:
        weight = self.model.get_output_embeddings().weight
        logits: Tensor = (hidden.to(weight.dtype) @ weight.T).float()
        shape = logit_shape(self.config_of_model)
        if shape["scale"] != 1.0:
            logits = logits * shape["scale"]
        if shape["softcap"]:
            logits = shape["softcap"] * torch.tanh(logits / shape["softcap"])
        return logits


def draw(
    logits: Float[Tensor, "sample vocab"], temperature: float, generator: torch.Generator | None
) -> tuple[Int[Tensor, " sample"], Float[Tensor, " sample"]]:
    """One token a row by inverting the cumulative distribution, with its log-probability in nats.

    A temperature of 0 takes the largest logit; its log-probability is then that at temperature 1.
    """
    if temperature == 0:
        token = logits.argmax(-1)
        return token, logits.gather(-1, token[:, None]).squeeze(-1) - logits.logsumexp(-1)
    logp = torch.log_softmax(logits / temperature, dim=-1)
    cumulative = logp.exp().cumsum(-1)
    u = torch.rand(len(logits), 1, generator=generator) * cumulative[:, -1:]
    last = torch.searchsorted(cumulative, cumulative[:, -1:].contiguous())  # u may round up to the total
    token = torch.minimum(torch.searchsorted(cumulative, u, right=True), last).clamp_max(logits.shape[-1] - 1)
    return token.squeeze(-1), logp.gather(-1, token).squeeze(-1)


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
        sampled = generate(self.role, prompts, self.encoder, self.config, generator=self.generator)
        return [d.with_reply(self.encoder.text(r[0].tokens)) for d, r in zip(dialogues, sampled, strict=True)]
