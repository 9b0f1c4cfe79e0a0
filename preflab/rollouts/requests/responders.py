"""Models that answer requests: one in this process, a server, any ``Scorer``, a best-of-n policy.

A responder takes requests and yields responses as they come, each with the number of its request, so that a kill loses
little. Its ``digest`` names everything that its responses depend on beside the request and the seed.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from preflab.data.dialogue import Dialogue
from preflab.errors import DataError, SamplerError
from preflab.interfaces import Scorer, scores_of
from preflab.models.roles import Role
from preflab.rollouts.encode import fit_prompt
from preflab.rollouts.encoder import Encoder
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
from preflab.rollouts.servers.chat_endpoint import ChatEndpoint
from preflab.rollouts.servers.chat_protocol import NO_TEXT, EndpointConfig, error_of
from preflab.rollouts.servers.remote import ServerResponse

TOO_LONG = "the prompt is too long for the model"
_BLOCK_TOKENS = 16_384  # scored between two saves
_BLOCK_SAMPLES = 64


@runtime_checkable
class Responder(Protocol):
    """Answers requests."""

    name: str
    digest: str
    kinds: frozenset[str]
    """Of requests that it can answer: ``choose``, ``speak``, ``rate``."""

    def respond(self, requests: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        """The number of each request and its response, each once, in any order."""
        ...


def digest_of_parts(*parts: object) -> str:
    """A short digest of plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]


def request_seed(request: Request, seed: int) -> int:
    """The seed of one draw: by the request itself, not by its position."""
    return int(hashlib.sha256(f"{seed}/{request_key(request)}".encode()).hexdigest()[:15], 16)


class LocalPolicy:
    """A language model in this process."""

    kinds = frozenset({"choose", "speak"})

    def __init__(self, role: Role, encoder: Encoder, *, name: str, weights: str, max_tokens: int = 4096) -> None:
        self.role, self.encoder, self.name, self.max_tokens = role, encoder, name, max_tokens
        told_date = [encoder.prompt(Dialogue.of("date"))] if encoder.chat_template.reads_clock else []
        self.digest = digest_of_parts("local", weights, encoder.max_tokens, encoder.template, *told_date)
        self.scored_tokens = 0
        """Tokens run for log-probabilities so far, each shared prefix once."""

    def respond(self, requests: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        """Log-probabilities first, then replies."""
        yield from self._score_options(
            [(i, request) for i, request in enumerate(requests) if isinstance(request, OptionLogprobs)]
        )
        yield from self._generate(
            [(i, request) for i, request in enumerate(requests) if isinstance(request, Generate)], seed
        )

    def _score_options(self, requests: Sequence[tuple[int, OptionLogprobs]]) -> Iterator[tuple[int, Response]]:
        encoded: list[tuple[int, Continuations]] = []
        for i, request in requests:
            continuations = encode_continuations(
                self.encoder, request.prompt, request.lead, request.options, closed=request.closed
            )
            if continuations is None:
                yield i, Failure(TOO_LONG)
            else:
                encoded.append((i, continuations))
        for block in _blocks([continuations for _, continuations in encoded]):
            self.scored_tokens += sum(len(row) for row, _ in share_prefixes([encoded[k][1] for k in block]))
            block_logprobs = score_continuations(self.role, [encoded[k][1] for k in block], max_tokens=self.max_tokens)
            for k, logprobs in zip(block, block_logprobs, strict=True):
                i, continuations = encoded[k]
                yield i, OptionScores(logprobs, continuations.scored, continuations.shortened)

    def _generate(self, requests: Sequence[tuple[int, Generate]], seed: int) -> Iterator[tuple[int, Response]]:
        by_settings: dict[tuple[int, float], list[tuple[int, Generate, tuple[int, ...]]]] = {}
        for i, request in requests:
            prompt = self._prompt_tokens(request)
            if prompt is None:
                yield i, Failure(TOO_LONG)
            else:
                by_settings.setdefault((request.max_new_tokens, request.temperature), []).append((i, request, prompt))
        for (room, temperature), group in by_settings.items():
            config = SamplingConfig(max_new_tokens=room, temperature=temperature, max_batch=_BLOCK_SAMPLES)
            group.sort(key=lambda job: len(job[2]))
            for start in range(0, len(group), _BLOCK_SAMPLES):
                block = group[start : start + _BLOCK_SAMPLES]
                seeds = [request_seed(request, seed) for _, request, _ in block]
                replies = generate(self.role, [p for _, _, p in block], self.encoder, config, rng=seeds)
                for (i, request, _), (rollout,) in zip(block, replies, strict=True):
                    text, stopped = cut_at_stop(self.encoder.text(rollout.tokens), request.stop)
                    yield i, Generation(text, len(rollout.tokens), rollout.finished or stopped)

    def _prompt_tokens(self, request: Generate) -> tuple[int, ...] | None:
        """Tokens up to where the model goes on; None where they leave no room."""
        room = self.encoder.max_tokens - request.max_new_tokens
        if isinstance(request.prompt, str):
            ids = self.encoder.plain(request.prompt + request.lead)
            return ids[-room:] if room > 0 else None
        lead = self.encoder.words(request.lead) if request.lead else ()
        fitted = fit_prompt(self.encoder, request.prompt, room=room - len(lead))
        return None if fitted is None else fitted[0] + lead


def _blocks(items: Sequence[Continuations]) -> Iterator[list[int]]:
    """Items that are scored between two saves; neighbours by prefix stay together."""
    block, size = list[int](), 0
    for k in sorted(range(len(items)), key=lambda k: items[k].prefix):
        n_tokens = len(items[k].prefix) + sum(map(len, items[k].branches))
        if block and size + n_tokens > _BLOCK_TOKENS:
            yield block
            block, size = [], 0
        block.append(k)
        size += n_tokens
    if block:
        yield block


def cut_at_stop(text: str, stops: Sequence[str]) -> tuple[str, bool]:
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

    def respond(self, requests: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        """One reply to each prompt; greedy decoding gives n equal ones, so draws are made at temperature 1 then."""
        for i, request in enumerate(requests):
            if not isinstance(request, Generate):
                yield i, Failure("a best-of-n policy gives no log-probabilities")
                continue
            temperature = request.temperature or 1.0
            draws = [
                replace(request, temperature=temperature, sample=request.sample * self.n + k) for k in range(self.n)
            ]
            responses = dict(self.policy.respond(draws, seed=seed))
            generations = [response for k in range(self.n) if isinstance(response := responses[k], Generation)]
            if not generations:
                yield i, responses[0]
                continue
            prompt = request.prompt if isinstance(request.prompt, Dialogue) else Dialogue.of(request.prompt)
            scores = scores_of(
                self.scorer, [prompt.with_reply(request.lead + generation.text) for generation in generations]
            ).tolist()
            yield i, generations[max(range(len(generations)), key=scores.__getitem__)]


class ScorerResponder:
    """Any ``Scorer`` as a responder that scores replies."""

    kinds = frozenset({"rate"})

    def __init__(self, scorer: Scorer, *, name: str, digest: str, block: int = 64) -> None:
        self.scorer, self.name, self.block = scorer, name, block
        self.digest = digest_of_parts("scorer", digest)

    def respond(self, requests: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        """Scores of the replies of each request; those of one prompt stand side by side and share it."""
        numbered = [(i, request) for i, request in enumerate(requests) if isinstance(request, ScoreReplies)]
        for start in range(0, len(numbered), self.block):
            block = numbered[start : start + self.block]
            try:
                yield from self._score(block)
            except DataError:  # one is too long: the others need not suffer for it
                for i, request in block:
                    try:
                        yield from self._score([(i, request)])
                    except DataError:
                        yield i, Failure(TOO_LONG)

    def _score(self, block: Sequence[tuple[int, ScoreReplies]]) -> list[tuple[int, Response]]:
        dialogues = [request.prompt.with_reply(reply) for _, request in block for reply in request.replies]
        scores = scores_of(self.scorer, dialogues, allow_nonfinite=True).tolist()
        responses, at = list[tuple[int, Response]](), 0
        for i, request in block:
            reply_scores = tuple(scores[at : at + len(request.replies)])
            at += len(reply_scores)
            broken = not all(map(math.isfinite, reply_scores))
            responses.append(
                (i, Failure("the preference model's score is not a number") if broken else RewardScores(reply_scores))
            )
        return responses


class ServerPolicy:
    """A server that speaks OpenAI's chat protocol."""

    kinds = frozenset({"speak"})

    def __init__(self, url: str, model: str, *, config: EndpointConfig | None = None) -> None:
        self.endpoint = ChatEndpoint(url, model, config)
        self.model, self.name = model, f"{model} at {self.endpoint.url}"
        self.digest = self._digest_with("")
        self._answered = False

    def identify(self) -> str:
        """The digest, with what is served in it: the server is asked for that once, before anything else.

        Raises:
            SamplerError: the server is gone or refuses everything, in its own words.
        """
        if not self._answered:
            self.digest = self._digest_with(self.endpoint.identity())
            self._answered = True
        return self.digest

    def _digest_with(self, identity: str) -> str:
        config = self.endpoint.config
        settings = (config.extra_fields(), config.thinking_tokens, config.send_seed)
        return digest_of_parts("server", self.endpoint.url, self.model, *settings, identity)

    def respond(self, requests: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        """Replies, a block at a time, so that a kill loses one block.

        Raises:
            SamplerError: the server is gone or slow, or refuses the whole first block. A refused prompt, or an empty
                reply, fails that request alone.
        """
        answerable = [
            (i, request)
            for i, request in enumerate(requests)
            if isinstance(request, Generate) and _has_no_lead(request)
        ]
        yield from (
            (i, Failure("a chat server cannot be given a beginning")) for i in _unanswerable(requests, answerable)
        )
        for start in range(0, len(answerable), _BLOCK_SAMPLES):
            block = answerable[start : start + _BLOCK_SAMPLES]
            sent = self.endpoint.server.each(
                [(request, request_seed(request, seed)) for _, request in block], self._post
            )
            if not self._answered and all(response.status >= 300 or error_of(response.body) for response in sent):
                raise self.endpoint.refusal(sent[0])
            self._answered = True
            for (i, request), response in zip(block, sent, strict=True):
                yield i, self._read(request, response)

    def _post(self, job: tuple[Generate, int]) -> ServerResponse:
        request, seed = job
        response = self.endpoint.post(
            _dialogue(request),
            temperature=request.temperature,
            max_new_tokens=request.max_new_tokens,
            seed=seed,
            stop=request.stop,
        )
        if response.status in (401, 403, 404):
            raise SamplerError(f"{self.name}: {response.message}")
        return response

    def _read(self, request: Generate, response: ServerResponse) -> Response:
        choice = self.endpoint.choice(response)
        if choice is None:
            refused = not response.ok or error_of(response.body) is not None
            return Failure("the server refused the prompt" if refused else NO_TEXT)
        if choice.no_text:
            return Failure(choice.no_text)
        text = cut_at_stop(choice.text.strip(), request.stop)[0]
        return Generation(text, choice.tokens, choice.finish_reason != "length", choice.refused)


def _has_no_lead(request: Generate) -> bool:
    return not request.lead


def _dialogue(request: Generate) -> Dialogue:
    return request.prompt if isinstance(request.prompt, Dialogue) else Dialogue.of(request.prompt)


def _unanswerable(requests: Sequence[Request], answerable: Sequence[tuple[int, Request]]) -> list[int]:
    taken = {i for i, _ in answerable}
    return [i for i in range(len(requests)) if i not in taken]
