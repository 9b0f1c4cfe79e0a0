"""Multiple-choice questions, with or without a model's help, against the clock, with a stated confidence.

Source: Bowman et al. 2022, sections 3 to 5 (sandwiching). The question is not sent to the model: the person decides
what to ask. A reset clears what the model sees, not what the person sees.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from preflab.data.comparison import Comparison
from preflab.errors import ConfigError, DataError
from preflab.feedback.protocols.protocol import (
    Answer,
    AnsweredQuestion,
    Content,
    Form,
    check_fields,
    field_of,
    read_checkbox,
    read_int,
    read_text,
)

CONFIDENCES = (25, 42, 60, 80, 100)
"""Per cent, for four options: 25 is a guess (Bowman et al. 2022, section 4)."""


_EXAMPLE = """\
name: with-a-little-help
protocol: questions
title: Questions, with a model to ask
instructions: >
  Answer the question. You may talk to the assistant, which does not see the question unless you tell it, and
  which may be wrong. Then say how sure you are.
settings:
  assisted: true
  seconds: 300
policies:
  - {name: small, model: smollm2, max_new_tokens: 120}
items:
  - question: Which gas do plants take in when they make sugar?
    options: [Oxygen, Nitrogen, Carbon dioxide, Helium]
    answer: 2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """Settings of questions with a stated confidence."""

    name: ClassVar[str] = "questions"
    version: ClassVar[int] = 1
    template: ClassVar[str] = "questions.html.j2"
    examples: ClassVar[Mapping[str, str]] = {"questions": _EXAMPLE}
    gold_field: ClassVar[str] = "answer"
    needs_policies: ClassVar[bool] = False
    assisted: bool = True
    """Whether there is a model to talk to, unless the item says otherwise."""
    seconds: int | None = None
    """Time for a question; at its end what is chosen by then is handed in. None for no limit. QuALITY: 300."""
    confidences: tuple[int, ...] = CONFIDENCES
    """What may be stated, per cent."""
    reveal: bool = True
    """Show the right answer afterwards (as the source did, so that people learn what works)."""
    most_turns: int = 50
    """Messages to the model."""

    def __post_init__(self) -> None:
        if self.seconds is not None and self.seconds < 5:
            raise ConfigError(f"seconds must be at least 5, got {self.seconds}; leave it out for no limit")
        if not self.confidences or list(self.confidences) != sorted(set(self.confidences)):
            raise ConfigError(f"confidences must rise, got {list(self.confidences)}")

    @property
    def live_replies(self) -> int:
        """One reply a turn; none in a study without help."""
        return 1

    def read_item(self, record: Mapping[str, Any]) -> Content:
        """``question``, two to nine ``options``; perhaps ``answer``, ``passage``, ``assisted``, ``category``."""
        check_fields(record, "question", "options", "answer", "passage", "assisted", "category", "feedback")
        options = field_of(record, "options", list, "two to nine options")
        if not 2 <= len(options) <= 9 or not all(isinstance(option, str) and option.strip() for option in options):
            raise DataError(f"expected two to nine texts, got {len(options)}", field="options")
        content: Content = {"question": field_of(record, "question", str, "a text"), "options": options}
        content["assisted"] = bool(record.get("assisted", self.assisted))
        if record.get("passage"):  # the model gets it before the first message, and the person may read it
            content["lead"] = field_of(record, "passage", str, "a text")
        if record.get("answer") is not None:
            answer = field_of(record, "answer", int, "the number of the right option, from 0")
            if not 0 <= answer < len(options):
                raise DataError(f"expected a number from 0 to {len(options) - 1}, got {answer}", field="answer")
            content["answer"] = answer
        return content | {name: str(record[name]) for name in ("category", "feedback") if record.get(name)}

    def places(self, content: Content) -> int:
        """Options keep their letters: nothing is shuffled."""
        del content
        return 0

    def read_answer(self, form: Form, content: Content, order: Sequence[int]) -> Answer:
        """``choice`` and ``confidence``; both may be missing where the time ran out (``timed_out``)."""
        del order
        timed_out = read_checkbox(form, "timed_out") and self.seconds is not None
        last = len(content["options"]) - 1
        choice = None if timed_out and not form.get("choice", "").strip() else read_int(form, "choice", 0, last)
        stated = form.get("confidence", "").strip()
        confidence = None if timed_out and not stated else read_int(form, "confidence", 0, 100)
        if confidence is not None and confidence not in self.confidences:
            allowed = ", ".join(map(str, self.confidences))
            raise DataError(f"expected one of {allowed}, got {confidence}", field="confidence")
        right = None if "answer" not in content else choice == content["answer"]
        answer: Answer = {"choice": choice, "confidence": confidence, "timed_out": timed_out, "correct": right}
        return answer | {"assisted": content["assisted"], "comment": read_text(form, "comment")}

    def right(self, answer: Answer, content: Content) -> bool | None:
        """Whether the right option was chosen."""
        return None if "answer" not in content else answer["choice"] == content["answer"]

    def questions(self, answer: Answer) -> dict[str, AnsweredQuestion]:
        """The option chosen."""
        return {} if answer["choice"] is None else {"choice": AnsweredQuestion(float(answer["choice"]), "nominal")}

    def comparisons(self, payload: Mapping[str, Any]) -> list[Comparison]:
        """None: what is measured is the person with the model."""
        del payload
        return []


PROTOCOL = Questions()
