"""One request for replies to a vLLM server, and its response, read without trust.

Tokens and log-probabilities must be there, finite and as many as each other, drawn with the weights that were asked
for. Each of these has gone wrong unnoticed elsewhere. Text is never read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from preflab.errors import ConfigError, SamplerError
from preflab.rollouts.generate import Rollout, SamplingConfig
from preflab.rollouts.servers.remote import ServerResponse
from preflab.rollouts.servers.vllm_weights import Pushed

PATH = "/v1/completions"
NEUTRAL: Mapping[str, object] = {
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "ignore_eos": True,  # our stop tokens end a reply, and nothing else does
    "logprobs": 0,  # of the sampled token alone
    "return_token_ids": True,
    "add_special_tokens": False,
    "skip_special_tokens": False,
}
"""Part of every request, so that no default of the server or of the model's own settings has a say."""
VLLM_NAMES = {
    "max_new_tokens": "max_tokens",
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "repetition_penalty": "repetition_penalty",
}
"""Settings of sampling that vLLM has too, and its names for them."""


class WeightsLost(SamplerError):
    """The server does not know the weights, or does not know them any more."""


class _UnusableReply(Exception):
    """What a reply lacks."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(expected, actual)
        self.expected, self.actual = expected, actual


def sampling_settings(config: SamplingConfig) -> dict[str, object]:
    """The settings of sampling under vLLM's names.

    Raises:
        ConfigError: one is set that vLLM does not know; without it, it would draw from another distribution.
    """
    settings: dict[str, object] = {}
    for field_ in fields(config):
        value = getattr(config, field_.name)
        if field_.name in VLLM_NAMES:
            settings |= {} if value is None else {VLLM_NAMES[field_.name]: value}
        elif field_.name != "max_batch" and value != field_.default:  # how many at once is the server's affair
            raise ConfigError(f"a vLLM server cannot draw with sampling.{field_.name}={value!r}; leave it off")
    return settings


@dataclass(frozen=True, kw_only=True)
class CompletionRequest:
    """``n`` replies to one prompt, drawn with weights that were pushed."""

    pushed: Pushed
    prompt: tuple[int, ...]
    config: SamplingConfig
    n: int
    seed: int
    stop_ids: tuple[int, ...]

    def to_json(self) -> dict[str, object]:
        """The body of the request."""
        job = {"model": self.pushed.served, "prompt": list(self.prompt), "n": self.n, "seed": self.seed}
        return {**NEUTRAL, **sampling_settings(self.config), "stop_token_ids": list(self.stop_ids), **job}

    def read(self, response: ServerResponse, complaint: Callable[..., SamplerError]) -> list[Rollout]:
        """The replies.

        Args:
            complaint  the server's; makes the errors.

        Raises:
            WeightsLost: the server does not know the weights.
            SamplerError: it refuses, or its response is not what it must be.
        """
        body = response.body
        if not response.ok:
            refused = complaint(
                f"sampling with {self.pushed.served!r} was refused", expected="replies", actual=response.message
            )
            raise WeightsLost(str(refused)) if response.status == 404 else refused
        if not isinstance(body, Mapping) or not isinstance(body.get("choices"), list):
            raise complaint("the answer holds no replies", expected="a list 'choices'", actual=f"{body!r:.200}")
        if body.get("model") != self.pushed.served:
            raise complaint(
                "the replies were drawn with other weights",
                expected=f"'model' to say {self.pushed.served!r} (version {self.pushed.version})",
                actual=repr(body.get("model")),
            )
        if len(body["choices"]) != self.n:
            raise complaint("replies are missing", expected=f"{self.n} of them", actual=str(len(body["choices"])))
        try:
            choices = sorted(body["choices"], key=lambda choice: int(choice["index"]))
            return [self._read_reply(choice) for choice in choices]
        except _UnusableReply as error:
            raise complaint("a reply cannot be used", expected=error.expected, actual=error.actual) from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise complaint("a reply is malformed", expected="vLLM's fields", actual=repr(error)) from error

    def _read_reply(self, choice: Any) -> Rollout:
        """One reply, if it is all there."""
        tokens, logprobs = choice.get("token_ids"), (choice.get("logprobs") or {}).get("token_logprobs")
        if not isinstance(tokens, list):
            raise _UnusableReply(
                "'token_ids' (vLLM 0.10.2 and later, on return_token_ids)", "none; not re-tokenizing the text"
            )
        if not isinstance(logprobs, list):
            raise _UnusableReply("'logprobs' with 'token_logprobs'", "none")
        if len(tokens) != len(logprobs):
            raise _UnusableReply(
                "as many log-probabilities as tokens", f"{len(tokens)} tokens, {len(logprobs)} of them"
            )
        bad = [lp for lp in logprobs if not isinstance(lp, int | float) or not -9999.0 < lp <= 1e-3]  # nan too
        if bad:  # vLLM writes -9999 for minus infinity
            raise _UnusableReply("finite log-probabilities of at most 0", f"{bad[0]!r} ({len(bad)} such)")
        sent = choice.get("prompt_token_ids")
        if sent is not None and tuple(sent) != self.prompt:
            raise _UnusableReply(
                "the prompt as it was sent", f"{len(sent)} tokens of {len(self.prompt)}, or others: {sent!r:.80}"
            )
        if not 1 <= len(tokens) <= self.config.max_new_tokens:
            raise _UnusableReply(f"1 to {self.config.max_new_tokens} tokens", str(len(tokens)))
        finished = tokens[-1] in self.stop_ids
        if not finished and len(tokens) < self.config.max_new_tokens:
            raise _UnusableReply(
                f"a reply that ends with one of {self.stop_ids} or has {self.config.max_new_tokens} tokens",
                f"{len(tokens)} tokens, the last {tokens[-1]}, finish_reason {choice.get('finish_reason')!r}; does "
                "the server add stop tokens of its own (--generation-config vllm prevents it), or was it paused?",
            )
        version = self.pushed.version
        return Rollout(self.prompt, tuple(map(int, tokens)), tuple(map(float, logprobs)), finished, version)
