"""Requests to a model, and its responses. Values only: no model, no file, no tensor.

A request is one of three: log-probabilities of given options, a generation, or a preference model's scores of replies.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, TypeAlias

from preflab.data.dialogue import Dialogue
from preflab.errors import DataError, PreflabError
from preflab.rollouts.requests.thoughts import split_thoughts

ResponderRole: TypeAlias = Literal["policy", "judge", "pm"]
"""Who answers: the model under test, a judge model, a preference model."""
SAID_NOTHING = "the model said nothing"
ONLY_THOUGHT = "the model thought and said nothing"
KEPT_BACK = "the server kept the reply back (refusal or filter)"
CUT_IN_THOUGHT = "the reply was cut within a thought"
CUT_AT_LIMIT = "the reply was cut at its limit before it ended"


class UnreadableResponse(PreflabError, ValueError):
    """A response that gives no usable answer, and why in a fixed phrase that can be counted (no quotation in it)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionLogprobs:
    """Log-probabilities of several continuations of one prompt: one prefix, a branch per option."""

    kind: ClassVar[str] = "choose"
    prompt: Dialogue | str
    """A dialogue that awaits a reply, or plain text that stands outside any template."""
    options: tuple[str, ...]
    """Continuations as they stand right behind the lead, with the blank before them where there is one."""
    lead: str = ""
    """Words put into the assistant's mouth before the options; for a plain text part of the text."""
    closed: bool = False
    """Whether each option is a whole reply: its end-of-turn token counts too."""
    role: ResponderRole = "policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generate:
    """One generated reply."""

    kind: ClassVar[str] = "speak"
    prompt: Dialogue | str
    lead: str = ""
    """Words put into the assistant's mouth; the response goes on from them and does not repeat them."""
    max_new_tokens: int = 256
    temperature: float = 0.0
    """0 is greedy."""
    stop: tuple[str, ...] = ()
    """The response ends before the first of these."""
    sample: int = 0
    """Number of the draw, where several are made from one prompt."""
    role: ResponderRole = "policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreReplies:
    """A preference model's score of each reply to a prompt, nats."""

    kind: ClassVar[str] = "rate"
    prompt: Dialogue
    replies: tuple[str, ...]
    role: ResponderRole = "pm"


@dataclass(frozen=True, slots=True)
class OptionScores:
    """Log-probability in nats of each option, whole, and its length in tokens."""

    kind: ClassVar[str] = "chosen"
    logprobs: tuple[float, ...]
    tokens: tuple[int, ...]
    shortened: bool = False
    """Whether the prompt lost its beginning to fit."""

    @property
    def best(self) -> int:
        """The likeliest option; the first of equals."""
        return max(range(len(self.logprobs)), key=self.logprobs.__getitem__)

    @property
    def probs(self) -> tuple[float, ...]:
        """Probabilities of the options, scaled to one."""
        most = max(self.logprobs)
        weights = [math.exp(lp - most) for lp in self.logprobs]
        return tuple(w / sum(weights) for w in weights)

    @property
    def mass(self) -> float:
        """Probability that the options hold together; 1 if the model says nothing else."""
        return min(1.0, sum(math.exp(lp) for lp in self.logprobs))

    @property
    def per_token(self) -> tuple[float, ...]:
        """Mean log-probability of each option's tokens."""
        return tuple(lp / n for lp, n in zip(self.logprobs, self.tokens, strict=True))


@dataclass(frozen=True, slots=True)
class Generation:
    """A generated reply."""

    kind: ClassVar[str] = "spoken"
    text: str
    tokens: int | None = None
    finished: bool = True
    """Whether the model ended by itself or at a stop; False when its room was used up."""

    refused: bool = False
    """Whether the server says that the model declined, or that a filter kept the reply back."""

    def require_text(self) -> str:
        """The reply as a reader sees it: trimmed, without thoughts.

        Raises:
            UnreadableResponse: nothing is left, or the model broke off within a thought.
        """
        if self.refused and not self.text.strip():
            raise UnreadableResponse(KEPT_BACK)
        visible, cut = split_thoughts(self.text)
        if cut:
            raise UnreadableResponse(CUT_IN_THOUGHT)
        if not visible:
            raise UnreadableResponse(ONLY_THOUGHT if self.text.strip() else SAID_NOTHING)
        return visible

    def require_answer(self) -> str:
        """The reply, where an answer is to be read from it: only a finished one holds its last word.

        Raises:
            UnreadableResponse: as `require_text`, or the reply was cut at its limit.
        """
        visible = self.require_text()
        if not self.finished:
            raise UnreadableResponse(CUT_AT_LIMIT)
        return visible

    def require_raw_text(self) -> str:
        """The text as it was written, trimmed, thoughts and all: for rules copied from a tool that takes none off.

        Raises:
            UnreadableResponse: it is empty.
        """
        if not self.text.strip():
            raise UnreadableResponse(SAID_NOTHING)
        return self.text.strip()


@dataclass(frozen=True, slots=True)
class RewardScores:
    """Scores in nats; only differences mean something."""

    kind: ClassVar[str] = "rated"
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """No response, and why: a fixed phrase."""

    kind: ClassVar[str] = "failed"
    reason: str


Request: TypeAlias = OptionLogprobs | Generate | ScoreReplies
Response: TypeAlias = OptionScores | Generation | RewardScores | Failure

_BY_KIND: dict[str, Any] = {cls.kind: cls for cls in (OptionScores, Generation, RewardScores, Failure)}
_NULL = {OptionScores.kind: ("logprobs", -math.inf), RewardScores.kind: ("scores", math.nan)}
"""Kind -> field and what a null in it stands for: an option that cannot come, a score that is none."""
_REQUEST_BY_KIND: dict[str, Any] = {cls.kind: cls for cls in (OptionLogprobs, Generate, ScoreReplies)}
_TUPLES = ("options", "replies", "stop")
_STORED_AS = {"role": "whom"}
"""Field -> its key in stored requests. The key is part of `request_key`, so caches and draws depend on it."""


def request_json(request: Request) -> dict[str, Any]:
    """A request as plain values; what is at its default is left out."""
    values: dict[str, Any] = {"kind": request.kind}
    for field_ in fields(request):
        value = getattr(request, field_.name)
        if field_.name == "prompt" or value != field_.default:
            values[_STORED_AS.get(field_.name, field_.name)] = value.to_json() if isinstance(value, Dialogue) else value
    return values


def request_from_json(values: Mapping[str, Any]) -> Request:
    """The inverse of `request_json`.

    Raises:
        DataError: it is no request.
    """
    names = {key: name for name, key in _STORED_AS.items()}
    try:
        arguments: dict[str, Any] = {
            names.get(key, key): tuple(v) if key in _TUPLES else v for key, v in values.items()
        }
        request_type = _REQUEST_BY_KIND[arguments.pop("kind")]
        if not isinstance(arguments["prompt"], str):
            arguments["prompt"] = Dialogue.from_json(arguments["prompt"])
        request: Request = request_type(**arguments)
        return request
    except (KeyError, TypeError) as error:
        raise DataError(f"not a stored request: {values!r:.200}") from error


def request_key(request: Request) -> str:
    """Digest of a request: equal requests have equal keys."""
    text = json.dumps(request_json(request), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def response_json(response: Response) -> dict[str, Any]:
    """A response as plain values."""
    values = asdict(response)
    if not values.get("refused", True):
        del values["refused"]  # lines of earlier versions have no such field
    return {"kind": response.kind, **values}


def restore_numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """A stored response with the numbers that JSON could not hold, which stand there as null."""
    name, number = _NULL.get(values.get("kind", ""), ("", 0.0))
    stored = values.get(name)
    if not isinstance(stored, list) or None not in stored:
        return dict(values)
    return {**values, name: [number if part is None else part for part in stored]}


def response_from_json(values: Mapping[str, Any]) -> Response:
    """The inverse of `response_json`.

    Raises:
        DataError: it is no response.
    """
    try:
        fields_ = restore_numbers(values)
        kind = _BY_KIND[fields_.pop("kind")]
        response: Response = kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in fields_.items()})
        return response
    except (KeyError, TypeError) as error:
        raise DataError(f"not a stored response: {values!r:.200}") from error
