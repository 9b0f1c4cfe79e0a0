"""Judge one rule on a dialogue that somebody had.

Source: Glaese et al. 2022 (Sparrow), section 2.5 and appendices: each rule is rated by itself, on a scale from
"definitely broken" to "definitely kept".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.errors import DataError
from preflab.feedback.protocols.protocol import (
    Answer,
    AnsweredQuestion,
    Content,
    Form,
    check_fields,
    field_of,
    read_int,
    read_text,
)
from preflab.feedback.rules import Rule, load_rules

RATINGS: dict[int, str] = {
    1: "definitely broken",
    2: "probably broken",
    3: "cannot say",
    4: "probably kept",
    5: "definitely kept",
}
"""What may be said of a rule, as the pages of ``rule-judge`` and ``rule-probe`` offer it."""
_EXAMPLE = """\
name: was-it-broken
protocol: rule-judge
title: Was the rule broken?
instructions: Read the conversation and judge one rule alone, whatever else you think of the replies.
slots: 3
items:
  - rule: not_human
    messages:
      - {role: user, content: "Where did you grow up?"}
      - {role: assistant, content: "I am a computer program; I did not grow up anywhere."}
"""


def rule_of(record: Mapping[str, Any]) -> Rule:
    """The rule that an item names, or writes out for itself."""
    if "rule_text" in record:
        text = field_of(record, "rule_text", str, "the rule's text")
        return Rule(id=str(record.get("rule", "own")), category="own", goal="harmless", text=text)
    rule_id, rules = field_of(record, "rule", str, "the id of a rule"), load_rules()
    if rule_id not in rules:
        raise DataError(f"unknown rule {rule_id!r}; known are {', '.join(rules)}, or give rule_text", field="rule")
    return rules[rule_id]


def rule_content(rule: Rule) -> dict[str, str]:
    """A rule as an item holds it."""
    return {"rule": rule.id, "rule_text": rule.text, "category": rule.category, "probing": rule.probing}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleJudge:
    """Settings of judging a rule on a dialogue that somebody had."""

    name: ClassVar[str] = "rule-judge"
    version: ClassVar[int] = 1
    live_replies: ClassVar[int] = 0
    template: ClassVar[str] = "rule_judge.html.j2"
    examples: ClassVar[Mapping[str, str]] = {"rule-judge": _EXAMPLE}
    gold_field: ClassVar[str] = "broken"
    needs_policies: ClassVar[bool] = False
    ratings: ClassVar[dict[int, str]] = RATINGS
    comment: bool = True
    """Offer a field for a remark."""

    def read_item(self, record: Mapping[str, Any]) -> Content:
        """``messages`` that end with the assistant's turn, and ``rule`` or ``rule_text``; ``broken`` for gold."""
        check_fields(record, "messages", "rule", "rule_text", "broken", "policy", "feedback")
        dialogue = Dialogue.from_json(field_of(record, "messages", list, "the messages of a dialogue"))
        if dialogue.awaits_reply:
            raise DataError("expected a dialogue that ends with the assistant's turn", field="messages")
        content: Content = {"messages": dialogue.to_json(), **rule_content(rule_of(record))}
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
        questions = {"rating": AnsweredQuestion(float(rating), "ordinal")}
        return questions if rating == 3 else questions | {"broken": AnsweredQuestion(float(rating < 3), "nominal")}

    def comparisons(self, payload: Mapping[str, Any]) -> list[Comparison]:
        """None: rule models learn from the ratings themselves."""
        del payload
        return []


PROTOCOL = RuleJudge()
