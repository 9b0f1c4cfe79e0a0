"""Who answers: a model in this process, a server, any ``Sampler`` or ``Scorer``, a best-of-n policy.

A respondent takes asks and yields answers as they come, each with the number of its ask, so that what was answered
before a kill is kept. Its ``digest`` names everything that its answers depend on beside the ask and the seed.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from preflab.data.dialogue import Dialogue
from preflab.errors import DataError, SamplerError
from preflab.interfaces import Sampler, Scorer
from preflab.models.roles import Role
from preflab.rollouts.encode import Encoder, fit_prompt
from preflab.rollouts.generate import SamplingConfig, generate
from preflab.rollouts.option_loglikelihood import (
    Continuations,
    encode_continuations,
    score_continuations,
    share_prefixes,
)
from preflab.rollouts.requests.types import (
    Failure,
    Generate,
    Generation,
    OptionLogprobs,
    OptionScores,
    Request,
    Response,
    RewardScores,
    ScoreReplies,
    request_key,
)
from preflab.rollouts.servers.remote import Server, ServerConfig

TOO_LONG = "the prompt is too long for the model"
_BLOCK_TOKENS = 16_384  # scored between two saves
_BLOCK_SAMPLES = 64


@runtime_checkable
class Responder(Protocol):
    """Answers asks."""

    name: str
    digest: str
    kinds: frozenset[str]
    """Of asks that it can answer: ``choose``, ``speak``, ``rate``."""

    def answers(self, asks: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        """The number of an ask and its answer, each once, in any order."""
        ...


def digest_of_parts(*parts: object) -> str:
    """A short digest of plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]


def request_seed(ask: Request, seed: int) -> int:
    """The seed of one draw: by what is asked, not by its place."""
    return int(hashlib.sha256(f"{seed}/{request_key(ask)}".encode()).hexdigest()[:15], 16)


class LocalPolicy:
    """A language model in this process."""

    kinds = frozenset({"choose", "speak"})

    def __init__(self, role: Role, encoder: Encoder, *, name: str, weights: str, max_tokens: int = 4096) -> None:
        self.role, self.encoder, self.name, self.max_tokens = role, encoder, name, max_tokens
        template = encoder.template or encoder.tokenizer.chat_template
        self.digest = digest_of_parts("local", weights, encoder.max_tokens, template)
        self.scored_tokens = 0
        """Tokens run for log-probabilities so far, each shared prefix once."""

    def answers(self, asks: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        """Log-probabilities first, then replies."""
        yield from self._chosen([(i, ask) for i, ask in enumerate(asks) if isinstance(ask, OptionLogprobs)])
        yield from self._spoken([(i, ask) for i, ask in enumerate(asks) if isinstance(ask, Generate)], seed)

    def _chosen(self, asks: Sequence[tuple[int, OptionLogprobs]]) -> Iterator[tuple[int, Response]]:
        encoded: list[tuple[int, Continuations]] = []
        for i, ask in asks:
            own = encode_continuations(self.encoder, ask.prompt, ask.lead, ask.options, closed=ask.closed)
            if own is None:
                yield i, Failure(TOO_LONG)
            else:
                encoded.append((i, own))
        for block in _blocks([own for _, own in encoded]):
            self.scored_tokens += sum(len(row) for row, _ in share_prefixes([encoded[k][1] for k in block]))
            found = score_continuations(self.role, [encoded[k][1] for k in block], max_tokens=self.max_tokens)
            for k, logprobs in zip(block, found, strict=True):
                i, own = encoded[k]
                yield i, OptionScores(logprobs, own.scored, own.shortened)

    def _spoken(self, asks: Sequence[tuple[int, Generate]], seed: int) -> Iterator[tuple[int, Response]]:
        alike: dict[tuple[int, float], list[tuple[int, Generate, tuple[int, ...]]]] = {}
        for i, ask in asks:
            prompt = self._opening(ask)
            if prompt is None:
                yield i, Failure(TOO_LONG)
            else:
                alike.setdefault((ask.max_new_tokens, ask.temperature), []).append((i, ask, prompt))
        for (room, temperature), group in alike.items():
            config = SamplingConfig(max_new_tokens=room, temperature=temperature, max_batch=_BLOCK_SAMPLES)
            group.sort(key=lambda job: len(job[2]))
            for start in range(0, len(group), _BLOCK_SAMPLES):
                block = group[start : start + _BLOCK_SAMPLES]
                seeds = [request_seed(ask, seed) for _, ask, _ in block]
                found = generate(self.role, [p for _, _, p in block], self.encoder, config, seeds=seeds)
                for (i, ask, _), (rollout,) in zip(block, found, strict=True):
                    text, stopped = cut_at(self.encoder.text(rollout.tokens), ask.stop)
                    yield i, Generation(text, len(rollout.tokens), rollout.finished or stopped)

    def _opening(self, ask: Generate) -> tuple[int, ...] | None:
        """Tokens up to where the model goes on; None where they leave no room."""
        room = self.encoder.max_tokens - ask.max_new_tokens
        if isinstance(ask.prompt, str):
            ids = self.encoder.plain(ask.prompt + ask.lead)
            return ids[-room:] if room > 0 else None
        lead = self.encoder.words(ask.lead) if ask.lead else ()
        fitted = fit_prompt(self.encoder, ask.prompt, room=room - len(lead))
        return None if fitted is None else fitted[0] + lead


def _blocks(items: Sequence[Continuations]) -> Iterator[list[int]]:
    """Items that are scored between two saves; neighbours by prefix stay together."""
    block, size = list[int](), 0
    for k in sorted(range(len(items)), key=lambda k: items[k].prefix):
        own = len(items[k].prefix) + sum(map(len, items[k].branches))
        if block and size + own > _BLOCK_TOKENS:
            yield block
            block, size = [], 0
        block.append(k)
        size += own
    if block:
        yield block


def cut_at(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """The text before the first stop, and whether there was one."""
    ends = [at for stop in stops if stop and (at := text.find(stop)) >= 0]
    return (text[: min(ends)].rstrip(), True) if ends else (text, False)


class BestOfN:
    """The best of several replies by a preference model (rejection sampling, Bai et al. 2022, sec. 4.2)."""

    kinds = frozenset({"speak"})

    def __init__(self, policy: LocalPolicy, scorer: Scorer, n: int, *, scorer_digest: str) -> None:
        self.policy, self.scorer, self.n = policy, scorer, n
        self.name = f"best of {n} of {policy.name}"
        self.digest = digest_of_parts("best-of-n", policy.digest, scorer_digest, n)

    def answers(self, asks: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        """One reply to each prompt; greedy decoding gives n equal ones, so draws are made at temperature 1 then."""
        for i, ask in enumerate(asks):
            if not isinstance(ask, Generate):
                yield i, Failure("a best-of-n policy gives no log-probabilities")
                continue
            temperature = ask.temperature or 1.0
            draws = [replace(ask, temperature=temperature, sample=ask.sample * self.n + k) for k in range(self.n)]
            found = dict(self.policy.answers(draws, seed=seed))
            spoken = [own for k in range(self.n) if isinstance(own := found[k], Generation)]
            if not spoken:
                yield i, found[0]
                continue
            prompt = ask.prompt if isinstance(ask.prompt, Dialogue) else Dialogue.of(ask.prompt)
            scores = self.scorer([prompt.with_reply(ask.lead + own.text) for own in spoken]).tolist()
            yield i, spoken[max(range(len(spoken)), key=scores.__getitem__)]


class ScorerResponder:
    """Any ``Scorer`` as one who rates replies."""

    kinds = frozenset({"rate"})

    def __init__(self, scorer: Scorer, *, name: str, digest: str, block: int = 64) -> None:
        self.scorer, self.name, self.block = scorer, name, block
        self.digest = digest_of_parts("scorer", digest)

    def answers(self, asks: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        """Scores of the replies of each ask; those of one prompt stand side by side and share it."""
        rates = [(i, ask) for i, ask in enumerate(asks) if isinstance(ask, ScoreReplies)]
        for start in range(0, len(rates), self.block):
            block = rates[start : start + self.block]
            try:
                yield from self._rated(block)
            except DataError:  # one is too long: the others need not suffer for it
                for one in block:
                    try:
                        yield from self._rated([one])
                    except DataError:
                        yield one[0], Failure(TOO_LONG)

    def _rated(self, block: Sequence[tuple[int, ScoreReplies]]) -> list[tuple[int, Response]]:
        scores = self.scorer([ask.prompt.with_reply(reply) for _, ask in block for reply in ask.replies]).tolist()
        found, at = list[tuple[int, Response]](), 0
        for i, ask in block:
            own = tuple(scores[at : at + len(ask.replies)])
            at += len(own)
            broken = any(score != score for score in own)
            found.append((i, Failure("the preference model's score is not a number") if broken else RewardScores(own)))
        return found


class SamplerResponder:
    """Any ``Sampler`` as one who speaks; how it samples is its own affair, so asks' settings are not obeyed."""

    kinds = frozenset({"speak"})

    def __init__(self, sampler: Sampler, *, name: str, digest: str) -> None:
        self.sampler, self.name = sampler, name
        self.digest = digest_of_parts("sampler", digest)

    def answers(self, asks: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        """One reply each; a reply cannot be begun for it."""
        able = [(i, ask) for i, ask in enumerate(asks) if isinstance(ask, Generate) and _plain_prompt(ask)]
        yield from ((i, Failure("this sampler cannot be given a beginning")) for i in _others(asks, able))
        for (i, ask), dialogue in zip(able, self.sampler([_dialogue(ask) for _, ask in able]), strict=True):
            text, _ = cut_at(dialogue.reply, ask.stop)
            yield i, Generation(text)


class ServerPolicy:
    """A server that speaks OpenAI's chat protocol."""

    kinds = frozenset({"speak"})

    def __init__(self, url: str, model: str, *, config: ServerConfig | None = None) -> None:
        self.server = Server(url, config or ServerConfig(api_key_variable="OPENAI_API_KEY"))
        self.model, self.name = model, f"{model} at {self.server.url}"
        self.digest = digest_of_parts("server", self.server.url, model)

    def answers(self, asks: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        """Replies, a block at a time so that what was said is kept.

        Raises:
            SamplerError: the server is gone or slow. One that refuses a prompt, or says nothing, fails that ask alone.
        """
        able = [(i, ask) for i, ask in enumerate(asks) if isinstance(ask, Generate) and _plain_prompt(ask)]
        yield from ((i, Failure("a chat server cannot be given a beginning")) for i in _others(asks, able))
        for start in range(0, len(able), _BLOCK_SAMPLES):
            block = able[start : start + _BLOCK_SAMPLES]
            said = self.server.each([(ask, request_seed(ask, seed)) for _, ask in block], self._say)
            yield from zip([i for i, _ in block], said, strict=True)

    def _say(self, job: tuple[Generate, int]) -> Response:
        ask, seed = job
        body: dict[str, Any] = {
            "model": self.model,
            "messages": _dialogue(ask).to_json(),
            "temperature": ask.temperature,
            "max_tokens": ask.max_new_tokens,
            "seed": seed % 2**31,
        }
        answer = self.server.post("/v1/chat/completions", body | ({"stop": list(ask.stop)} if ask.stop else {}))
        if answer.status in (401, 403, 404):
            raise SamplerError(f"{self.name}: {answer.message}")
        if not answer.ok:
            return Failure("the server refused the prompt")
        try:
            choice = answer.body["choices"][0]
            text = choice["message"]["content"]
        except (KeyError, IndexError, TypeError):
            return Failure("the server answered without a text")
        if not isinstance(text, str):
            return Failure("the server answered without a text")
        tokens = (answer.body.get("usage") or {}).get("completion_tokens")
        return Generation(cut_at(text.strip(), ask.stop)[0], tokens, choice.get("finish_reason") != "length")


def _plain_prompt(ask: Generate) -> bool:
    return not ask.lead


def _dialogue(ask: Generate) -> Dialogue:
    return ask.prompt if isinstance(ask.prompt, Dialogue) else Dialogue.of(ask.prompt)


def _others(asks: Sequence[Request], able: Sequence[tuple[int, Request]]) -> list[int]:
    taken = {i for i, _ in able}
    return [i for i in range(len(asks)) if i not in taken]
