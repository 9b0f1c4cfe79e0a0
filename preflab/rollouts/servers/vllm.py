"""A stock ``vllm serve`` server as the engine: tokens in, tokens and log-probabilities out, weights by name.

vLLM itself is never imported: its pins are exact, so it lives in an environment, or on a machine, of its own, and
all that passes is HTTP and a folder that both sides can read. How to start one: docs/vllm.md.

What is checked, because each has gone wrong unnoticed elsewhere: that the server returns the log-probabilities of
the tempered distribution it sampled from, that it plays the weights that were pushed (a probe is scored by both
sides after every push), that each answer names the weights it was drawn with, and that tokens and
log-probabilities are there, finite and as many as each other. Text is never read.

Of several processes (`preflab.distributed`) the first alone speaks with the server; all of them have its answers.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from preflab import distributed
from preflab.checks import check_above, check_at_least
from preflab.config_overrides import check_types
from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.errors import ConfigError, DataError, SamplerError
from preflab.models.roles import Role
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.generate import Rollout, SamplingConfig
from preflab.rollouts.score import logprob_rows
from preflab.rollouts.servers.remote import Server, ServerConfig
from preflab.rollouts.servers.vllm_completions import PATH, CompletionRequest, WeightsLost, sampling_settings
from preflab.rollouts.servers.vllm_weights import Pushed, Weights

Result = TypeVar("Result")

PROBE = SamplingConfig(max_new_tokens=8, temperature=2.0)
PROBE_SAMPLES = 4
"""Far from temperature 1, so that the probe also tells raw log-probabilities from tempered ones."""
PROBE_SLACK = 0.005
"""Nats per token between server and trainer that are never complained of."""


@dataclass(frozen=True, kw_only=True)
class VLLMConfig:
    """What is asked of a vLLM server."""

    model: str | None = None
    """The base model's name on the server; needed only where it serves several."""
    folder_on_server: str | None = None
    """The folder of pushed weights as the server sees it, where that is another path than ours."""
    max_staleness: int = 0
    """The server's weights may be so many versions behind the trainer's before they are renewed. 0: never behind.
    With k it is pushed to every k + 1 versions; no reply is ever drawn with weights that are further behind."""
    probe_limit: float = 0.1
    """Nats per token, mean: how far the server's log-probabilities may lie from the trainer's on the model as it was
    loaded. Two float32 sides differ by 1e-5, a bf16 side by 0.03; pushed weights may differ by three times that."""
    server: ServerConfig = field(default_factory=ServerConfig)

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 0, "max_staleness")
        check_above(self, 0, "probe_limit")


def start_command(model: str, *, rank: int | None = None, max_tokens: int | None = None) -> str:
    """The shell command that starts a server which serves ``model`` as it must be for training."""
    switch = "VLLM_SERVER_DEV_MODE=1" if rank is None else "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"
    lora = "" if rank is None else f" --enable-lora --max-lora-rank {max(8, 1 << (rank - 1).bit_length())}"
    room = "" if max_tokens is None else f" --max-model-len {max_tokens}"
    return f"{switch} vllm serve {model}{lora}{room} --logprobs-mode processed_logprobs --generation-config vllm"


class VLLMEngine:
    """A vLLM server as an ``Engine``.

    Args:
        folder  where weights are written for the server to read; on storage that both see.

    Raises:
        ConfigError: ``url`` is no address.
    """

    def __init__(self, url: str, encoder: Encoder, folder: Path, config: VLLMConfig | None = None) -> None:
        self.encoder, self.config = encoder, config or VLLMConfig()
        self.server = Server(url, self.config.server, start=start_command("MODEL", rank=16))
        self.weights = Weights(self.server, folder, self.config.folder_on_server)
        self.version: int | None = None
        """The trainer's version: that of the last ``push``."""
        self.pushed: Pushed | None = None
        """What the server plays; at most ``max_staleness`` versions behind ``version``."""
        self.base_gap = math.nan
        """Nats per token between server and trainer on the model as it was loaded: rounding, and nothing else."""
        self.probe_gap = math.nan
        """The same on the weights that were pushed last."""

    def close(self) -> None:
        """Drop the connections."""
        self.server.close()

    def push(self, role: Role, version: int) -> None:
        """Have the server play this role's weights, unless what it plays is fresh enough.

        Raises:
            ConfigError: the version is negative.
            ModelError: the role has no weights of its own that a server could play.
            SamplerError: the server is gone, serves another model, cannot renew weights, or has not renewed them.
        """
        if version < 0:
            raise ConfigError(f"a version counts pushes from 0, got {version}")
        self.version = version
        adapters = role.trunk.adapters
        name, max_tokens = role.trunk.source.location, self.encoder.max_tokens
        self.server.start = start_command(name, rank=adapters.rank if adapters else None, max_tokens=max_tokens)
        served = self.pushed
        if served and served.role == role.name and 0 < version - served.version <= self.config.max_staleness:
            return
        self.pushed = None  # whatever fails from here on, the server's weights are not to be trusted
        weights = self.weights
        base, is_base = _on_rank_zero(
            lambda: (weights.base_model(self.config.model, max_tokens=max_tokens), weights.is_untouched(role))
        )
        if math.isnan(self.base_gap) and is_base:
            self.base_gap = self._probe(role.trunk.reference(), Pushed(base, base, version, None, None))
        pushed = weights.write(role, version, base)
        _on_rank_zero(lambda: weights.load(pushed))
        self.probe_gap = self._probe(role, pushed)
        self.pushed = pushed
        _on_rank_zero(lambda: weights.tidy(pushed))

    def generate(
        self, prompts: Sequence[Sequence[int]], config: SamplingConfig, *, n: int, seed: int
    ) -> list[list[Rollout]]:
        """``n`` replies to each prompt, in the order of the prompts; nothing is kept of a call that fails.

        The same seed gives the same draws as far as the server's own numbers repeat: a server that batches
        requests differently may round differently, and then another token is drawn here and there.

        Raises:
            ConfigError: nothing has been pushed yet.
            DataError: a prompt is empty, or leaves no room for a reply in the model's context.
            SamplerError: the server is gone or slow, lost the weights, or its answer is not what it must be.
        """
        for i, prompt in enumerate(prompts):
            if not prompt or len(prompt) + config.max_new_tokens > self.encoder.max_tokens:
                raise DataError(
                    f"prompt {i} has {len(prompt)} tokens; with {config.max_new_tokens} new ones it must fit in "
                    f"{self.encoder.max_tokens}, and it may not be empty"
                )
        sampling_settings(config)  # refused before anything is sent
        pushed = self._fresh()
        jobs = [(tuple(prompt), _prompt_seed(seed, i)) for i, prompt in enumerate(prompts)]

        def sample_all() -> list[list[Rollout]]:
            self.weights.restore(pushed)  # a server that was started again knows nothing
            replies = self.server.each(jobs, lambda job: self._request_replies(pushed, job[0], config, n, job[1]))
            self.weights.confirm(pushed)
            return replies

        def sample_at_most_twice() -> list[list[Rollout]]:
            try:
                return sample_all()
            except WeightsLost:
                return sample_all()

        return _on_rank_zero(sample_at_most_twice)

    def _fresh(self) -> Pushed:
        """What the server plays.

        Raises:
            ConfigError: nothing has been pushed.
            SamplerError: the last push failed, or the weights are too far behind.
        """
        if self.version is None:
            raise ConfigError("an engine samples the weights that were pushed to it; push a role's first")
        limit = self.config.max_staleness
        if self.pushed is None or self.version - self.pushed.version > limit:
            raise self.server.complaint(
                "the server's weights are stale",
                expected=f"version {self.version}, or at most {limit} behind it (max_staleness)",
                actual="none: the last push failed" if self.pushed is None else f"version {self.pushed.version}",
            )
        return self.pushed

    def _request_replies(
        self, pushed: Pushed, prompt: tuple[int, ...], config: SamplingConfig, n: int, seed: int
    ) -> list[Rollout]:
        """One prompt's replies."""
        request = CompletionRequest(
            pushed=pushed, prompt=prompt, config=config, n=n, seed=seed, stop_ids=self.encoder.stop_ids
        )
        return request.read(self.server.post(PATH, request.to_json()), self.server.complaint)

    def _probe(self, role: Role, pushed: Pushed) -> float:
        """Sample a few tokens and compare their log-probabilities with the trainer's; the gap in nats per token.

        Raises:
            SamplerError: it is too wide: other weights, or other log-probabilities.
        """
        prompt = self.encoder.prompt(Dialogue.of("Name three things."))[: self.encoder.max_tokens // 2]
        replies = _on_rank_zero(lambda: self._request_replies(pushed, prompt, PROBE, PROBE_SAMPLES, seed=1))
        gap = self._gap(role, replies, PROBE.temperature)
        limit = self.config.probe_limit
        if pushed.role is not None and not math.isnan(self.base_gap):
            limit = min(limit, max(PROBE_SLACK, 3 * self.base_gap))
        if gap <= limit:
            return gap
        if self._gap(role, replies, 1.0) < gap / 4:
            raise self.server.complaint(
                "the server returns log-probabilities from before the temperature",
                expected="those of the distribution sampled from (--logprobs-mode processed_logprobs)",
                actual=f"{gap:.3g} nats per token apart from the trainer's at temperature {PROBE.temperature:g}",
            )
        raise self.server.complaint(
            f"the server does not play the weights {pushed.name!r}",
            expected=f"log-probabilities within {limit:.2g} nats per token of the trainer's (probe_limit)",
            actual=f"{gap:.3g} apart. "
            + ("It took over not all of what was pushed" if pushed.role else "Its base model is another"),
        )

    def _gap(self, role: Role, replies: Sequence[Rollout], temperature: float) -> float:
        """Mean |difference| in nats per token."""
        row = Row.of(replies[0].prompt, *(reply.tokens for reply in replies))
        trainer_logprobs = logprob_rows(role, [row], temperature=temperature)[0]
        pairs: list[float] = [
            abs(ours - servers)
            for logp, reply in zip(trainer_logprobs, replies, strict=True)
            for ours, servers in zip(logp.tolist(), reply.logprobs, strict=True)
        ]
        return sum(pairs) / len(pairs)


def _on_rank_zero(call: Callable[[], Result]) -> Result:
    """What ``call`` gives on the first rank, for all: one process speaks with the server.

    Raises:
        SamplerError: the first rank's, on every rank, so that all of them save and stop together.
    """
    problem: SamplerError | None = None
    outcome: tuple[Any, str | None] = (None, None)
    with distributed.rank_zero_first() as is_rank_zero:
        try:
            outcome = (call() if is_rank_zero else None, None)
        except SamplerError as error:
            problem, outcome = error, (None, str(error))
    value, message = distributed.broadcast(outcome)
    if message is not None:
        raise problem or SamplerError(message)
    return cast(Result, value)


def _prompt_seed(seed: int, prompt: int) -> int:
    """A seed for one prompt's request. vLLM adds the sample's number to it, so neighbours must lie far apart."""
    digest = hashlib.sha256(f"{seed} {prompt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 2
