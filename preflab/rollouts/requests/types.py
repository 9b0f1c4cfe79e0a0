"""What an evaluation asks of a model, and what comes back. Values only: no model, no file, no tensor.

An item's plan is a generator: it yields the asks of one round, is sent their answers, and returns what came of the
item (`Outcome`). A chain of thought is two rounds, a judge asked in both orders is one round of two asks:

    def plan(item):
        (spoken,) = yield [Speak(prompt=item.prompt)]
        first, second = yield [Choose(...), Choose(...)]
        return {"correct": ...}

An ask that fails raises `Unscorable` inside the plan; a plan raises it itself where an answer cannot be read. Such an
item is counted and shown, and is neither right nor wrong nor a tie.
"""

import hashlib
import json
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, TypeAlias

from preflab.data.dialogue import Dialogue
from preflab.errors import DataError, PreflabError

ResponderRole: TypeAlias = Literal["policy", "judge", "pm"]
"""Who answers: the model under test, a judge model, a preference model."""
Outcome: TypeAlias = Mapping[str, Any]
"""What came of an item: numbers, words and short lists by name; one column each for the measures."""


class Unscorable(PreflabError, ValueError):
    """An item that cannot be scored, and why in a fixed phrase that can be counted (no quotation in it)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionLogprobs:
    """How likely is each of these continuations of the same words? One prefix, a branch per option."""

    kind: ClassVar[str] = "choose"
    prompt: Dialogue | str
    """A dialogue that awaits a reply, or plain text that stands outside any template."""
    options: tuple[str, ...]
    """Continuations as they stand right behind the lead, with the blank before them where there is one."""
    lead: str = ""
    """Words put into the assistant's mouth before the options; for a plain text part of the text."""
    closed: bool = False
    """Whether each option is a whole reply: its end-of-turn token counts too."""
    whom: ResponderRole = "policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generate:
    """Go on."""

    kind: ClassVar[str] = "speak"
    prompt: Dialogue | str
    lead: str = ""
    """Words put into the assistant's mouth; the answer goes on from them and does not repeat them."""
    max_new_tokens: int = 256
    temperature: float = 0.0
    """0 is greedy."""
    stop: tuple[str, ...] = ()
    """The answer ends before the first of these."""
    sample: int = 0
    """Number of the draw, where several are made from one prompt."""
    whom: ResponderRole = "policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreReplies:
    """How good is each reply? Scores of a preference model, nats."""

    kind: ClassVar[str] = "rate"
    prompt: Dialogue
    replies: tuple[str, ...]
    whom: ResponderRole = "pm"


@dataclass(frozen=True, slots=True)
class OptionScores:
    """Log-probability in nats of each option, whole, and its length in tokens."""

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
    """What was said."""

    text: str
    tokens: int | None = None
    finished: bool = True
    """Whether the model ended by itself or at a stop; False when its room was used up."""

    def words(self) -> str:
        """The text.

        Raises:
            Unscorable: there is none.
        """
        if not self.text.strip():
            raise Unscorable("the model said nothing")
        return self.text.strip()


@dataclass(frozen=True, slots=True)
class RewardScores:
    """Scores in nats; only differences mean something."""

    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer, and why: a fixed phrase."""

    reason: str


Request: TypeAlias = OptionLogprobs | Generate | ScoreReplies
Response: TypeAlias = OptionScores | Generation | RewardScores | Failure
Plan: TypeAlias = Generator[Sequence[Request], Sequence[Any], Outcome]

_STORED_KINDS: dict[str, Any] = {"chosen": OptionScores, "spoken": Generation, "rated": RewardScores, "failed": Failure}
"""How responses are named in caches and item files; these names outlive the classes'."""
_KIND_OF = {response: kind for kind, response in _STORED_KINDS.items()}


def request_json(ask: Request) -> dict[str, Any]:
    """An ask as plain values; what is at its default is left out."""
    found: dict[str, Any] = {"kind": ask.kind}
    for own in fields(ask):
        value = getattr(ask, own.name)
        if own.name == "prompt" or value != own.default:
            found[own.name] = value.to_json() if isinstance(value, Dialogue) else value
    return found


def request_key(ask: Request) -> str:
    """Digest of what is asked: equal asks have equal keys."""
    text = json.dumps(request_json(ask), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def response_json(answer: Response) -> dict[str, Any]:
    """An answer as plain values."""
    return {"kind": _KIND_OF[type(answer)], **asdict(answer)}


def response_from_json(found: Mapping[str, Any]) -> Response:
    """The inverse of `response_json`.

    Raises:
        DataError: it is no answer.
    """
    try:
        given = dict(found)
        kind = _STORED_KINDS[given.pop("kind")]
        answer: Response = kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in given.items()})
        return answer
    except (KeyError, TypeError) as error:
        raise DataError(f"no answer to an evaluation: {found!r:.200}") from error
