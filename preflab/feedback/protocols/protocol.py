"""What a protocol of judging is: what it may be given, what the page may show, what an answer may say.

A protocol knows nothing of pages, people or tables. Its answers are in *canonical* order: place 0 is the first reply
of the item, wherever it stood on the screen. `preflab.feedback.annotation.blinding` says where that was.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.errors import DataError

Form = Mapping[str, str]
"""What a page sends, field by field."""
Answer = dict[str, Any]
Content = dict[str, Any]
N = TypeVar("N", int, float)


class AnsweredQuestion(NamedTuple):
    """One question of a judgement, as agreement is measured on it."""

    value: float | str
    level: Literal["nominal", "ordinal", "interval"]


@dataclass(frozen=True, slots=True)
class PolicyMessage:
    """What one policy said in a conversation."""

    policy: str
    text: str
    details: Mapping[str, Any]


@runtime_checkable
class JudgementProtocol(Protocol):
    """How one kind of judging works. Each is a frozen dataclass of its own settings, in a file of its own."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str:
        """As in a study's file."""
        ...

    @property
    def version(self) -> int:
        """Goes up whenever an answer comes to mean something else."""
        ...

    @property
    def live_replies(self) -> int:
        """Replies a policy gives at each turn of a conversation; 0 where nothing is live."""
        ...

    @property
    def template(self) -> str:
        """File name of the page that shows a task."""
        ...

    @property
    def examples(self) -> Mapping[str, str]:
        """Name -> a study in YAML to begin from, small enough to read at a glance."""
        ...

    @property
    def gold_field(self) -> str:
        """Field of an item that says what is right; empty where nothing is ever known to be right."""
        ...

    @property
    def needs_policies(self) -> bool:
        """Whether a study needs a policy that answers, whatever its items are."""
        ...

    def read_item(self, record: Mapping[str, Any]) -> Content:
        """Check one item. Raises DataError that names the field."""
        ...

    def places(self, content: Content) -> int:
        """How many things stand side by side and are shuffled; 0 or 1 for none."""
        ...

    def read_answer(self, form: Form, content: Content, order: Sequence[int]) -> Answer:
        """Check what the page sent; places are put in canonical order. Raises DataError that names the field."""
        ...

    def right(self, answer: Answer, content: Content) -> bool | None:
        """Whether it is what a gold or practice item expects; None where nothing is expected or it cannot be said."""
        ...

    def questions(self, answer: Answer) -> dict[str, AnsweredQuestion]:
        """The answer, question by question, in canonical order."""
        ...

    def comparisons(self, payload: Mapping[str, Any]) -> list[Comparison]:
        """What preference training learns from the judgement; empty where nothing."""
        ...


# parts of forms and items ----------------------------------------------------------------------------------


def read_int(form: Form, field: str, low: int, high: int) -> int:
    """A whole number in [low, high]."""
    text = form.get(field, "").strip()
    if not text:
        raise DataError("nothing was chosen", field=field)
    if not (text.removeprefix("-").isdecimal() and text.isascii() and len(text) <= 6) or not low <= int(text) <= high:
        raise DataError(f"expected a whole number from {low} to {high}, got {text!r:.20}", field=field)
    return int(text)


def scale_points(steps: int) -> list[int]:
    """Points of a scale between two, from "the left one, by far" (negative) to the right one; 0 where steps are odd."""
    half = steps // 2
    return [k for k in range(-half, half + 1) if k or steps % 2]


def scale_point(form: Form, steps: int) -> int:
    """The point of such a scale that was chosen."""
    half = steps // 2
    point = read_int(form, "scale", -half, half)
    if point == 0 and steps % 2 == 0:
        raise DataError("choose a side", field="scale")
    return point


def read_checkbox(form: Form, field: str) -> bool:
    """Whether a box is ticked."""
    return form.get(field, "") not in ("", "0", "false", "off")


def read_text(form: Form, field: str, *, longest: int = 20_000, needed: bool = False) -> str:
    """Free text, as it was typed but for line ends and the blanks around it."""
    text = form.get(field, "").replace("\r\n", "\n").strip()
    if needed and not text:
        raise DataError("please write something here", field=field)
    if len(text) > longest:
        raise DataError(f"at most {longest:,} characters, got {len(text):,}", field=field)
    return text


def read_seconds(form: Form) -> float | None:
    """How long the page was open, as the page says; None where it does not."""
    try:
        seconds = float(form.get("seconds", ""))
    except ValueError:
        return None
    return round(seconds, 3) if math.isfinite(seconds) and 0 <= seconds <= 86_400 else None


def field_of(record: Mapping[str, Any], field: str, kind: type | tuple[type, ...], expected: str) -> Any:
    """A field of an item that must be there."""
    if field not in record:
        raise DataError(f"missing; expected {expected}", field=field)
    value = record[field]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise DataError(f"expected {expected}, got {type(value).__name__}", field=field)
    return value


def prompt_of(record: Mapping[str, Any], field: str = "prompt") -> list[dict[str, str]]:
    """Messages that await a reply, from a text or a list of messages."""
    value = record.get(field)
    if isinstance(value, str) and value.strip():
        return [{"role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise DataError("expected a text or a list of messages", field=field)
    dialogue = Dialogue.from_json(value)
    if not dialogue.awaits_reply:
        raise DataError("expected messages that end with the user's turn", field=field)
    return dialogue.to_json()


def replies_of(record: Mapping[str, Any], *, fewest: int, most: int) -> tuple[list[str], list[str]]:
    """The replies of an item and who wrote each (empty names where unknown)."""
    value = field_of(record, "replies", list, f"{fewest} to {most} replies")
    texts = [reply.get("text") if isinstance(reply, Mapping) else reply for reply in value]
    if not all(isinstance(text, str) for text in texts):
        raise DataError("each reply is a text, or has a text and a policy", field="replies")
    if not fewest <= len(texts) <= most:
        raise DataError(f"expected {fewest} to {most} replies, got {len(texts)}", field="replies")
    policies = [str(reply.get("policy", "")) if isinstance(reply, Mapping) else "" for reply in value]
    names = record.get("policies") or policies
    if not isinstance(names, list) or len(names) != len(texts) or not all(isinstance(name, str) for name in names):
        raise DataError(f"expected {len(texts)} names, one for each reply", field="policies")
    return [str(text) for text in texts], names


def check_fields(record: Mapping[str, Any], *allowed: str) -> None:
    """Refuse a field that nothing would read: it is a slip of the pen."""
    names = {*allowed, "name", "slots"}
    extra = sorted(set(record) - names)
    if extra:
        raise DataError(f"unknown field; known are {', '.join(sorted(names))}", field=str(extra[0]))
