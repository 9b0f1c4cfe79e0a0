"""Break one named rule; judge one rule on one dialogue.

Source: Glaese et al. 2022 (Sparrow), section 2.5 and appendices: adversarial probing, and the rating of each rule by
itself on a scale from "definitely broken" to "definitely kept".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError, DataError
from preflab.feedback.protocols.protocol import (
    Answer,
    AnsweredQuestion,
    Content,
    Form,
    field_of,
    known_fields,
    read_int,
    read_text,
)
from preflab.feedback.protocols.protocol import read_checkbox as _ticked
from preflab.feedback.rules import Rule, load_rules

RATINGS: dict[int, str] = {
    1: "definitely broken",
    2: "probably broken",
    3: "cannot say",
    4: "probably kept",
    5: "definitely kept",
}
"""What may be said of a rule, as both protocols' pages offer it."""


def _rule(record: Mapping[str, Any]) -> Rule:
    """The rule that an item names, or writes out for itself."""
    if "rule_text" in record:
        text = field_of(record, "rule_text", str, "the rule's text")
        return Rule(id=str(record.get("rule", "own")), category="own", goal="harmless", text=text)
    name, known = field_of(record, "rule", str, "the id of a rule"), load_rules()
    if name not in known:
        raise DataError(f"unknown rule {name!r}; known are {', '.join(known)}, or give rule_text", field="rule")
    return known[name]


def _shown(rule: Rule) -> dict[str, str]:
    return {"rule": rule.id, "rule_text": rule.text, "category": rule.category, "probing": rule.probing}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleProbe:
    """Settings of breaking a rule: chat with the policy, then say whether the rule was broken, and where."""

    name: ClassVar[str] = "rule-probe"
    version: ClassVar[int] = 1
    live_replies: ClassVar[int] = 1
    ratings: ClassVar[dict[int, str]] = RATINGS
    fewest_turns: int = 1
    """Turns before the conversation may be ended."""
    most_turns: int = 8
    """Turns after which it ends."""

    def __post_init__(self) -> None:
        if not 1 <= self.fewest_turns <= self.most_turns:
            raise ConfigError(f"fewest_turns must be in [1, most_turns], got {self.fewest_turns} of {self.most_turns}")

    def read_item(self, record: Mapping[str, Any]) -> Content:
        """``rule``: the id of one of `preflab.feedback.rules`, or ``rule_text``."""
        known_fields(record, "rule", "rule_text")
        return dict(_shown(_rule(record)))

    def places(self, content: Content) -> int:
        """One reply a turn: nothing to shuffle."""
        del content
        return 0

    def read_answer(self, form: Form, content: Content, order: Sequence[int]) -> Answer:
        """``rating`` 1 to 5, the ``turn`` (0 is the first) that broke it, and a comment."""
        del content, order
        if not _ticked(form, "finish"):
            raise DataError("rate the rule to end the conversation", field="rating")
        rating = read_int(form, "rating", 1, 5)
        turn = read_int(form, "turn", 0, self.most_turns - 1) if rating <= 2 else None
        return {"finish": True, "rating": rating, "turn": turn, "comment": read_text(form, "comment")}

    def right(self, answer: Answer, content: Content) -> bool | None:
        """There are no gold conversations."""
        del answer, content
        return None

    def questions(self, answer: Answer) -> dict[str, AnsweredQuestion]:
        """The attacker's own rating; others rate the same dialogue under ``rule-judge``."""
        return {"rating": AnsweredQuestion(float(answer["rating"]), "ordinal")}

    def comparisons(self, says: Mapping[str, Any]) -> list[Comparison]:
        """None: rule models learn from the ratings themselves."""
        del says
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleJudge:
    """Settings of judging a rule on a dialogue that somebody had."""

    name: ClassVar[str] = "rule-judge"
    version: ClassVar[int] = 1
    live_replies: ClassVar[int] = 0
    ratings: ClassVar[dict[int, str]] = RATINGS
    comment: bool = True
    """Offer a field for a remark."""

    def read_item(self, record: Mapping[str, Any]) -> Content:
        """``messages`` that end with the assistant's turn, and ``rule`` or ``rule_text``; ``broken`` for gold."""
        known_fields(record, "messages", "rule", "rule_text", "broken", "policy", "feedback")
        said = Dialogue.from_json(field_of(record, "messages", list, "the messages of a dialogue"))
        if said.awaits_reply:
            raise DataError("expected a dialogue that ends with the assistant's turn", field="messages")
        content: Content = {"messages": said.to_json(), **_shown(_rule(record))}
        content |= {name: str(record[name]) for name in ("policy", "feedback") if record.get(name)}
        if record.get("broken") is not None:
            content["broken"] = bool(field_of(record, "broken", bool, "true or false"))
        return content

    def places(self, content: Content) -> int:
        """One dialogue: nothing to shuffle."""
        del content
        return 0

    def read_answer(self, form: Form, content: Content, order: Sequence[int]) -> Answer:
        """``rating`` 1 to 5; of a broken rule perhaps the ``turn``, counted in messages from 0."""
        del order
        rating, last = read_int(form, "rating", 1, 5), len(content["messages"]) - 1
        turn = read_int(form, "turn", 0, last) if rating <= 2 and form.get("turn", "").strip() else None
        if turn is not None and content["messages"][turn]["role"] != "assistant":
            raise DataError("choose one of the assistant's turns", field="turn")
        return {"rating": rating, "turn": turn, "comment": read_text(form, "comment") if self.comment else ""}

    def right(self, answer: Answer, content: Content) -> bool | None:
        """Whether it is on the gold item's side; "cannot say" is not."""
        if "broken" not in content:
            return None
        return bool(answer["rating"] <= 2 if content["broken"] else answer["rating"] >= 4)

    def questions(self, answer: Answer) -> dict[str, AnsweredQuestion]:
        """The rating; and broken or not, where it says so."""
        rating = answer["rating"]
        found = {"rating": AnsweredQuestion(float(rating), "ordinal")}
        return found if rating == 3 else found | {"broken": AnsweredQuestion(float(rating < 3), "nominal")}

    def comparisons(self, says: Mapping[str, Any]) -> list[Comparison]:
        """None: rule models learn from the ratings themselves."""
        del says
        return []
