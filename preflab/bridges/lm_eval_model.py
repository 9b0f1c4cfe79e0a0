"""A policy of ours as a model of lm-evaluation-harness. Importing this needs the extra ``lm-eval``.

Texts are tokenized as the harness's own class for transformers models does it, so log-probabilities are equal to that
class's to float error; what options and few-shot examples share is computed once a row.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from preflab.bridges.extras import import_extra
from preflab.data.rows import Row, batches_by_length, collate
from preflab.errors import DataError
from preflab.models.heads import token_logprobs
from preflab.models.roles import Role
from preflab.rollouts.generate import SamplingConfig, generate
from preflab.rollouts.option_loglikelihood import Continuations, share_prefixes
from preflab.rollouts.requests.responders import LocalPolicy, cut_at_stop

_model = import_extra("lm_eval.api.model")
_utils = import_extra("lm_eval.utils")
_LOGITS = 1 << 25
"""Logits that may exist at one time."""


class PolicyLM(_model.TemplateLM):  # type: ignore[misc, name-defined]
    """Answers the harness's three kinds of requests by a policy in this process."""

    def __init__(self, policy: LocalPolicy, *, seed: int = 0) -> None:
        super().__init__()
        self.policy, self.seed = policy, seed
        self.encoder, self.tokenizer = policy.encoder, policy.encoder.tokenizer
        self.scored_tokens = 0
        """Tokens run for log-probabilities, each shared prefix once."""

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        eos = self.tokenizer.eos_token_id
        return int(self.encoder.end_id if eos is None else eos)

    @property
    def prefix_token_id(self) -> int:
        """What stands before a text that has no context."""
        bos = self.tokenizer.bos_token_id
        return self.eot_token_id if bos is None else int(bos)

    @property
    def max_length(self) -> int:
        """Longest text, in tokens."""
        return self.encoder.max_tokens

    @property
    def max_gen_toks(self) -> int:
        """Longest reply where a task does not say: the harness's own default."""
        return 256

    @property
    def tokenizer_name(self) -> str:
        """For the harness's cache of requests."""
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **more: Any) -> list[int]:
        """Tokens; control tokens that a chat template wrote are control tokens here."""
        special_tokens = {} if add_special_tokens is None else {"add_special_tokens": add_special_tokens}
        if add_special_tokens is None and string.startswith(str(self.tokenizer.bos_token or "\0")):
            special_tokens = {"add_special_tokens": False}
        return [int(token) for token in self.tokenizer.encode(string, **special_tokens)]

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The prompt as our own evaluations render it."""
        return str(
            self.tokenizer.apply_chat_template(
                chat_history,
                chat_template=self.encoder.template,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )
        )

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """Which template that is, for the record."""
        return str(self.encoder.template or self.tokenizer.chat_template) if chat_template else None

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[object, list[int], list[int]]], **more: Any
    ) -> list[tuple[float, bool]]:
        """Sum of log-probabilities of each continuation, and whether greedy decoding would give it."""
        branches_of: dict[tuple[int, ...], dict[tuple[int, ...], list[int]]] = {}
        for i, (_, context, continuation) in enumerate(requests):
            if not context or not continuation:
                raise DataError("a request of lm-eval has no token before, or none in its continuation")
            sequence = (*context, *continuation)[-(self.max_length + 1) :]
            n_scored = min(len(continuation), len(sequence) - 1)
            branches_of.setdefault(sequence[:-n_scored], {}).setdefault(sequence[-n_scored:], []).append(i)
        items = [
            Continuations(prefix, tuple(n_scored), tuple(map(len, n_scored)))
            for prefix, n_scored in branches_of.items()
        ]
        owners = [list(n_scored.values()) for n_scored in branches_of.values()]
        answers: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        for item, branch, logprob, greedy in self._score(items):
            for i in owners[item][branch]:
                answers[i] = logprob, greedy
        for (key, _, _), answer in zip(requests, answers, strict=True):
            if isinstance(key, tuple):
                self.cache_hook.add_partial("loglikelihood", key, answer)
        return answers

    def _score(self, items: Sequence[Continuations]) -> Iterator[tuple[int, int, float, bool]]:
        shared = list(share_prefixes(items))
        self.scored_tokens += sum(len(row) for row, _ in shared)
        for batch in batches_by_length([len(row) for row, _ in shared], max_tokens=self.policy.max_tokens):
            logprobs, greedy = _logprobs_and_greedy(self.policy.role, [shared[n][0] for n in batch])
            at = 0
            for item, branch in (owner for n in batch for owner in shared[n][1]):
                end = at + len(items[item].branches[branch])
                counts = slice(end - items[item].scored[branch], end)
                yield item, branch, float(logprobs[counts].double().sum()), bool(greedy[counts].all())
                at = end

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-probability of whole texts, in windows that do not overlap."""
        flat, owners = list[tuple[object, list[int], list[int]]](), list[int]()
        for n, request in enumerate(requests):
            windows = _utils.get_rolling_token_windows(
                token_list=self.tok_encode(request.args[0]),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length,
                context_len=1,
            )
            for context, continuation in map(_utils.make_disjoint_window, windows):
                flat.append((None, context, continuation))
                owners.append(n)
        totals = [0.0] * len(requests)
        for n, (logprob, _) in zip(owners, self._loglikelihood_tokens(flat), strict=True):
            totals[n] += logprob
        for request, total_ in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total_)
        return totals

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Replies, each cut at the first of its stops; requests that are decoded alike are decoded together."""
        by_config: dict[SamplingConfig, list[tuple[int, Any]]] = {}
        for n, request in enumerate(requests):
            by_config.setdefault(_sampling(request.args[1], self.max_gen_toks), []).append((n, request))
        replies = [""] * len(requests)
        for config, group in by_config.items():
            room = self.max_length - config.max_new_tokens
            if room < 1:
                raise DataError(f"{config.max_new_tokens} new tokens leave no room in a context of {self.max_length}")
            prompts = [self.tok_encode(request.args[0])[-room:] or [self.prefix_token_id] for _, request in group]
            seeds = [self.seed + n for n, _ in group]
            for (n, request), (rollout,) in zip(
                group, generate(self.policy.role, prompts, self.encoder, config, rng=seeds), strict=True
            ):
                tokens = [token for token in rollout.tokens if token not in self.encoder.stop_ids]
                stops = request.args[1].get("until") or []
                text = str(self.tokenizer.decode(tokens, skip_special_tokens=True))
                replies[n] = _before(text, [stops] if isinstance(stops, str) else stops)
                self.cache_hook.add_partial("generate_until", request.args, replies[n])
        return replies


def _before(text: str, stops: Sequence[str]) -> str:
    """The text before the first stop; blanks at its end are the model's and stay."""
    cut, stopped = cut_at_stop(text, stops)
    return text[: min(at for stop in stops if stop and (at := text.find(stop)) >= 0)] if stopped else cut


def _sampling(settings: dict[str, Any], default: int) -> SamplingConfig:
    """How a request of the harness wants to be decoded; greedy where it does not ask for draws."""
    room = next(
        (int(settings[key]) for key in ("max_gen_toks", "max_new_tokens", "max_tokens") if settings.get(key)), default
    )
    temperature = float(settings.get("temperature", 1.0 if settings.get("do_sample") else 0.0) or 0.0)
    if not settings.get("do_sample", temperature > 0) or temperature == 0:
        return SamplingConfig(max_new_tokens=room, temperature=0.0)
    top_k = settings.get("top_k") or None
    return SamplingConfig(
        max_new_tokens=room, temperature=temperature, top_p=float(settings.get("top_p", 1.0)), top_k=top_k
    )


@torch.no_grad()
def _logprobs_and_greedy(role: Role, rows: Sequence[Row]) -> tuple[Float[Tensor, " item"], Bool[Tensor, " item"]]:
    """Log-probability of each reply token, and whether it is the likeliest."""
    batch = collate(rows)
    hidden = role.features(batch)
    targets = role.trunk.to_device(batch).targets
    with role.trunk.activate(role.name) as backbone:
        weight, shape = backbone.output_weight, backbone.logit_shape
    logprobs = token_logprobs(hidden, targets, weight, **shape)[0]
    block = max(1, _LOGITS // len(weight))
    # caps and scales of logits are monotone: the likeliest token stays the same without them
    likeliest = [(part.to(weight.dtype) @ weight.T).argmax(-1) for part in torch.split(hidden, block)]
    return logprobs.cpu(), (torch.cat(likeliest) == targets).cpu()
