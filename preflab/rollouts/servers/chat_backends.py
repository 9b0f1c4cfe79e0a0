"""Policies that answer people: one reply at a time, shown while it grows.

``generate`` stays the one place where tokens are drawn; this file gives it a watcher that turns tokens into text.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from preflab.data.dialogue import Dialogue, Message
from preflab.errors import DataError, ModelError, SamplerError
from preflab.rollouts.requests.thoughts import split_thoughts
from preflab.rollouts.requests.types import CUT_IN_THOUGHT, KEPT_BACK, ONLY_THOUGHT
from preflab.rollouts.servers.chat_protocol import NO_TEXT, EndpointConfig, chat_base, content_text, read_choice
from preflab.rollouts.servers.event_stream import read_events
from preflab.rollouts.servers.policy_spec import PolicySpec
from preflab.rollouts.servers.remote import BUSY, ServerConfig, retry_after_seconds

if TYPE_CHECKING:
    import httpx2

    from preflab.models.load import LanguageModel

OnText = Callable[[str], None]
"""Called with all of the text so far."""
_HALF = "\ufffd"  # what a decoder writes for the first bytes of a character whose rest has not come yet
_LONGEST_CHARACTERS = 100_000
"""A server that goes on for longer than this does not keep to ``max_tokens``."""
_SITE = ServerConfig(timeout_seconds=60.0, retries=0)
"""Of a policy without settings of its own: people wait for it, and the site itself tries again."""
_LONGEST_WAIT_SECONDS = 20.0
"""For a busy server while somebody looks on."""
_ONE_AT_A_TIME = Lock()  # replies of local models: two at once would only wait for each other's processor


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What a policy said, and how it came to say it."""

    text: str
    details: Mapping[str, Any]
    """``weights`` (sha256, or the server's fingerprint), ``decoding``, ``seed``, ``tokens``, ``seconds``,
    ``finished`` (whether the model ended its turn itself)."""


@runtime_checkable
class ChatBackend(Protocol):
    """Something that answers a dialogue."""

    def reply(self, dialogue: Dialogue, *, seed: int, on_text: OnText | None = None) -> ChatReply:
        """One reply; the same seed gives the same one where the policy is local."""
        ...


def open_chat_backend(spec: PolicySpec) -> ChatBackend:
    """The policy that a description names.

    Raises:
        ModelError: there is no such model or run, or it cannot be loaded.
    """
    return ServerChatBackend(spec) if spec.url else LocalChatBackend(spec)


def policy_folder(run: str) -> Path:
    """Where a run keeps the policy that it exported; a folder that is no run but a saved model is that model.

    Raises:
        ModelError: the run is not there or has exported none yet.
    """
    folder = Path(run) / "policy"
    if (Path(run) / "config.json").is_file() and not (Path(run) / "record.json").exists():
        return Path(run)
    if not folder.is_dir():
        missing = "no such run" if not Path(run).is_dir() else "this run has exported no policy yet; let it finish"
        raise ModelError(f"{run}: {missing}")
    return folder


@lru_cache(maxsize=4)
def _load_cached(name: str, version: int) -> "LanguageModel":
    """A model, loaded once however many policies use it. ``version`` changes when a folder is written anew."""
    del version
    from preflab.models.load import load_language_model

    return load_language_model(name)


def _version(name: str) -> int:
    path = Path(name)
    return max((file.stat().st_mtime_ns for file in path.iterdir()), default=0) if path.is_dir() else 0


def _with_system(spec: PolicySpec, dialogue: Dialogue) -> Dialogue:
    has = dialogue.messages[0].role == "system"
    return dialogue if spec.system is None or has else Dialogue((Message("system", spec.system), *dialogue.messages))


class LocalChatBackend:
    """A model in this process, or the best of several of its replies by a preference model."""

    def __init__(self, spec: PolicySpec) -> None:
        from preflab.models.roles import Trunk
        from preflab.rollouts.encoder import Encoder
        from preflab.rollouts.generate import SamplingConfig

        self.spec = spec
        name = str(policy_folder(spec.run)) if spec.run else str(spec.model)
        self._source = _load_cached(name, _version(name))
        self._role = Trunk(self._source, None).reference()
        self._encoder = Encoder(
            self._source.tokenizer,
            max_tokens=self._source.context_tokens,
            embedding_rows=self._source.embedding_rows,
        )
        room = max(1, min(spec.max_new_tokens, self._source.context_tokens // 2))
        top_p = 1.0 if spec.temperature == 0 else spec.top_p
        self._config = SamplingConfig(max_new_tokens=room, temperature=spec.temperature, top_p=top_p)
        self._score = _scorer(spec.scorer) if spec.scorer and spec.best_of > 1 else None

    def reply(self, dialogue: Dialogue, *, seed: int, on_text: OnText | None = None) -> ChatReply:
        """One reply; the early turns of a dialogue that outgrows the context are left out.

        Raises:
            DataError: the last message alone outgrows it.
            ModelError: the model's numbers are not finite.
        """
        import torch

        from preflab.rollouts.encode import fit_prompt
        from preflab.rollouts.generate import generate

        began = time.monotonic()
        prompt = _with_system(self.spec, dialogue)
        fitted = fit_prompt(self._encoder, prompt, room=self._encoder.max_tokens - self._config.max_new_tokens)
        if fitted is None:
            raise DataError(f"the last message alone outgrows the {self._encoder.max_tokens} tokens of this model")
        watch = None if on_text is None else lambda tokens: self._show(tokens[0], on_text)
        with _ONE_AT_A_TIME:
            generator = torch.Generator().manual_seed(seed)
            rollouts = generate(
                self._role,
                [fitted[0]],
                self._encoder,
                self._config,
                n=self.spec.best_of,
                rng=generator,
                watch=watch,
            )[0]
            texts = [self._encoder.text(rollout.tokens) for rollout in rollouts]
            best = 0
            if self._score is not None:
                scores = [self._score(prompt.with_reply(text)) for text in texts]
                best = max(range(len(texts)), key=scores.__getitem__)
        details = {
            "weights": self._source.sha256,
            "decoding": _decoding(self.spec),
            "seed": seed,
            "tokens": len(rollouts[best].tokens),
            "finished": rollouts[best].finished,
            "turns_left_out": fitted[1],
            "seconds": round(time.monotonic() - began, 3),
        }
        return ChatReply(texts[best], details)

    def _show(self, tokens: Any, on_text: OnText) -> None:
        """The text so far. The best of several is known at the end only, and shown nothing of before."""
        on_text("" if self._score is not None else self._encoder.text(tuple(tokens)).rstrip(_HALF))


def _decoding(spec: PolicySpec) -> dict[str, Any]:
    names = ("temperature", "top_p", "max_new_tokens", "best_of", "scorer", "system")
    return {name: getattr(spec, name) for name in names}


def _scorer(run: str) -> Callable[[Dialogue], float]:
    """The preference model that a run exported.

    Raises:
        ModelError: the run has none.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = Path(run) / "preference_model"
    if not folder.is_dir():
        raise ModelError(f"{run}: this run has exported no preference model")
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def score(dialogue: Dialogue) -> float:
        ids = tokenizer.apply_chat_template(dialogue.to_json(), return_tensors="pt", return_dict=True)
        with torch.inference_mode():
            return float(model(**ids).logits[0, 0])

    return score


class ServerChatBackend:
    """A server that speaks OpenAI's chat protocol; streamed where it streams."""

    def __init__(self, spec: PolicySpec) -> None:
        import httpx2

        self.spec, self._config = spec, spec.endpoint or EndpointConfig(server=_SITE)
        base, prefix = chat_base(str(spec.url))
        self._url = f"{base}{prefix}/chat/completions"
        server = self._config.server
        variable = spec.key_env or (server.api_key_variable if spec.endpoint else "")
        key = os.environ.get(variable, "") if variable else ""
        headers = {"Authorization": f"Bearer {key}"} if key else None
        # the limit is between two pieces of a stream, not for the whole
        timeout = httpx2.Timeout(server.timeout_seconds, connect=server.connect_seconds)
        self._client = httpx2.Client(headers=headers, timeout=timeout)

    def reply(self, dialogue: Dialogue, *, seed: int, on_text: OnText | None = None) -> ChatReply:
        """One reply.

        Raises:
            SamplerError: the server is gone, slow, refuses, stays busy, breaks off, or answers without a text.
        """
        began, spec = time.monotonic(), self.spec
        fields_ = {
            "model": spec.served_name,
            "messages": _with_system(spec, dialogue).to_json(),
            "temperature": spec.temperature,
            "top_p": spec.top_p,
            "stream": True,
        }
        body = self._config.body(fields_, max_new_tokens=spec.max_new_tokens, seed=seed)
        text, facts = self._ask(body, on_text)
        details = {
            "weights": facts.get("system_fingerprint") or facts.get("model") or spec.served_name,
            "decoding": _decoding(spec),
            "seed": seed % 2**31,
            "tokens": (facts.get("usage") or {}).get("completion_tokens"),
            "finished": facts.get("finish_reason") == "stop",
            "seconds": round(time.monotonic() - began, 3),
        }
        return ChatReply(text, details)

    def _ask(self, body: dict[str, Any], on_text: OnText | None) -> tuple[str, dict[str, Any]]:
        """The text of a reply and its facts; a busy server is asked again as long as nothing came."""
        import httpx2

        config = self._config.server
        try:
            for attempt in range(config.retries + 1):
                with self._client.stream("POST", self._url, json=body) as response:
                    if response.status_code in BUSY and attempt < config.retries:
                        ordered = retry_after_seconds(response.headers.get("retry-after"))
                        pause = config.backoff_seconds * 2**attempt if ordered is None else ordered
                        if pause <= _LONGEST_WAIT_SECONDS:
                            time.sleep(pause)
                            continue
                    return self._read(response, on_text)
        except httpx2.HTTPError as error:
            raise self._complaint(f"{type(error).__name__}: {error}") from error
        raise AssertionError("the last attempt returns or raises")

    def _read(self, response: "httpx2.Response", on_text: OnText | None) -> tuple[str, dict[str, Any]]:
        if 300 <= response.status_code < 400:
            location = response.headers.get("location")
            raise self._complaint(f"it answers {response.status_code} and points to {location}: give that address")
        if response.status_code >= 400:
            response.read()
            raise self._complaint(f"it answers {response.status_code}: {response.text:.300}")
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            raw, facts = self._read_stream(read_events(response.iter_bytes()), on_text)
        else:
            raw, facts = self._read_whole(response.read())
        text, cut = _visible(raw)
        if cut or not text.strip():
            kept_back = facts.get("finish_reason") == "content_filter"
            why = KEPT_BACK if kept_back else CUT_IN_THOUGHT if cut else ONLY_THOUGHT if raw.strip() else NO_TEXT
            raise self._complaint(why)
        return text, facts

    def _read_stream(self, events: Iterable[str], on_text: OnText | None) -> tuple[str, dict[str, Any]]:
        text, facts, complete = "", dict[str, Any](), False
        for data in events:
            if data.strip() == "[DONE]":
                complete = True
                break
            piece = self._json(data)
            facts |= {key: piece[key] for key in ("model", "system_fingerprint", "usage") if piece.get(key)}
            for choice in piece.get("choices") or []:
                delta = choice.get("delta") or {}
                text += content_text(delta.get("content")) or delta.get("refusal") or ""
                if choice.get("finish_reason"):
                    facts["finish_reason"], complete = choice["finish_reason"], True
            if len(text) > _LONGEST_CHARACTERS:
                raise self._complaint(f"it does not stop: more than {_LONGEST_CHARACTERS:,} characters")
            if on_text:
                on_text(_visible(text)[0])
        if not complete:
            raise self._complaint(f"the stream broke off after {len(text)} characters")
        return text, facts

    def _read_whole(self, content: bytes) -> tuple[str, dict[str, Any]]:
        facts = self._json(content.decode("utf-8", "replace"))
        choice = read_choice(facts)
        if choice is None or choice.no_text:
            problem = "no choices[0].message.content"
            problem += f" ({choice.no_text})" if choice else ""
            raise self._complaint(f"{problem} in {content[:200]!r}")
        return choice.text, facts | {"finish_reason": choice.finish_reason}

    def _json(self, text: str) -> dict[str, Any]:
        try:
            value = json.loads(text)
        except ValueError as error:
            raise self._complaint(f"expected JSON, found {text[:200]!r}") from error
        if not isinstance(value, dict) or value.get("error"):
            raise self._complaint(f"it says {text[:300]}")
        return value

    def _complaint(self, problem: str) -> SamplerError:
        return SamplerError(f"policy {self.spec.name!r} at {self._url}: {problem}")


def _visible(text: str) -> tuple[str, bool]:
    """The text without thoughts, untouched where there is none; and whether it ends inside one."""
    visible, cut = split_thoughts(text)
    return (text if visible == text.strip() else visible), cut


def weights_version(spec: PolicySpec) -> int:
    """A number that changes when the weights of a local policy are written anew; 0 where that cannot be seen."""
    name = spec.model if spec.run is None else str(Path(spec.run) / "policy")
    return 0 if name is None else _version(name)


def spec_digest(spec: PolicySpec) -> str:
    """Short digest of a description: a policy that was described anew is another one."""
    return hashlib.sha256(json.dumps(spec.to_json(), sort_keys=True).encode()).hexdigest()[:16]
