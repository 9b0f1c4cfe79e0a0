"""MMLU (Hendrycks et al. 2021): four-choice questions of 57 subjects, as a check on what alignment costs.

The default way is the plain text frame of lm-evaluation-harness: five answered questions of the subject, then the
question, its options behind letters, and the log-probability of " A" to " D". ``zero-shot`` leaves the five out;
``chat`` asks through the model's chat template; ``sampled`` lets it answer and reads the letter.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from preflab.data.dialogue import Dialogue
from preflab.data.sources.source import Record
from preflab.errors import DataError
from preflab.evals.core import record_fields
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.suite import Item, Items, Measure, Suite, Variant
from preflab.rollouts.requests.types import Generate, OptionLogprobs, Outcome, Plan, Unscorable

LETTERS = "ABCD"
FILES = ("mmlu_test*",)
SHOTS = ("mmlu_dev*",)


@dataclass(frozen=True, slots=True)
class Question:
    """A question with four options, and five answered ones of its subject."""

    subject: str
    question: str
    options: tuple[str, ...]
    answer: int
    shots: tuple["Question", ...] = ()

    @property
    def asked(self) -> str:
        """The question and its options behind letters."""
        lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, self.options, strict=True)]
        return "\n".join([self.question.strip(), *lines])

    def text(self, shots: int) -> str:
        """The plain text frame, up to where the answer's letter comes."""
        subject = self.subject.replace("_", " ")
        head = f"The following are multiple choice questions (with answers) about {subject}.\n\n"
        done = [f"{one.asked}\nAnswer: {LETTERS[one.answer]}\n\n" for one in self.shots[:shots]]
        return f"{head}{''.join(done)}{self.asked}\nAnswer:"


def read(record: Record) -> Question:
    """A record of the published set (subject, question, choices, answer)."""
    options = record_fields.texts(record, "choices", least=4)
    return Question(
        subject=record_fields.first_text(record, "subject"),
        question=record_fields.first_text(record, "question"),
        options=tuple(options),
        answer=record_fields.index(record, "answer", len(options)),
    )


def load(shelf: DataSource) -> Items:
    """Questions, each with the answered ones of its subject."""
    shots: dict[str, list[Question]] = {}
    try:
        answered = shelf.records("mmlu_shots", SHOTS, hub="cais/mmlu/all:dev")
    except DataError:
        answered = None  # without them only the ways that need none are open
    for found in answered.found if answered else ():
        own = read(found.record)
        shots.setdefault(own.subject, []).append(own)

    def item(record: Record) -> Item:
        question = read(record)
        own = Question(
            question.subject,
            question.question,
            question.options,
            question.answer,
            tuple(shots.get(question.subject, ())[:5]),
        )
        name = record_fields.optional_text(record, "id") or f"{question.subject}: {question.question}"[:200]
        return Item(id=name, group=name, data=own)

    return shelf.records("mmlu", FILES, hub="cais/mmlu/all:test").items(item)


def _outcome(question: Question, chosen: int, **more: object) -> Outcome:
    return {"subject": question.subject, "chosen": LETTERS[chosen], "correct": float(chosen == question.answer), **more}


def plain(shots: int) -> Callable[[Item], Plan]:
    """Log-probabilities of the letters behind plain text."""

    def plan(item: Item) -> Plan:
        question: Question = item.data
        if len(question.shots) < shots:
            raise Unscorable(f"its subject has fewer than {shots} answered questions (mmlu_dev*)")
        options = tuple(f" {letter}" for letter in LETTERS)
        (found,) = yield [OptionLogprobs(prompt=question.text(shots), options=options)]
        probs = found.probs
        return _outcome(question, found.best, confidence=probs[found.best], mass=found.mass)

    return plan


_ASKED = "{question}\n\nAnswer with the letter of the right option."


def chat(item: Item) -> Plan:
    """Log-probabilities of the letters as the assistant's reply."""
    question: Question = item.data
    prompt = Dialogue.of(_ASKED.format(question=question.asked))
    (found,) = yield [
        OptionLogprobs(prompt=prompt, lead="The answer is", options=tuple(f" {letter}" for letter in LETTERS))
    ]
    return _outcome(question, found.best, confidence=found.probs[found.best], mass=found.mass)


def sampled(item: Item) -> Plan:
    """The letter that the model writes."""
    question: Question = item.data
    (said,) = yield [Generate(prompt=Dialogue.of(_ASKED.format(question=question.asked)), max_new_tokens=64)]
    return _outcome(question, letter_in(said.words(), len(question.options)))


_LETTER = re.compile(r"\(?\b([A-Z])\b[).:]?")


def letter_in(text: str, n: int) -> int:
    """Which option a reply names: the only capital letter that stands alone, or the one behind "answer is".

    Raises:
        Unscorable: it names none, or several.
    """
    named = re.search(r"answer(?:\s+is)?\s*:?\s*\**\(?([A-Z])\b", text)
    found = {named.group(1)} if named else {m.group(1) for m in _LETTER.finditer(text)}
    found &= set("ABCDEFGHIJ"[:n])
    if len(found) != 1:
        raise Unscorable("the reply names none of the options" if not found else "the reply names several options")
    return "ABCDEFGHIJ".index(found.pop())


SUITE = Suite(
    name="mmlu",
    title="MMLU",
    summary="Four-choice questions of 57 subjects: what the model knows, before and after.",
    source="Hendrycks et al. 2021, 'Measuring Massive Multitask Language Understanding'; data MIT",
    load=load,
    files=(*FILES, *SHOTS),
    ways=(
        Variant(name="five-shot", summary="plain text, five answered questions", plan=plain(5), logprobs=True),
        Variant(name="zero-shot", summary="plain text, no answered question", plan=plain(0), logprobs=True),
        Variant(name="chat", summary="chat template, log-probability of the letter", plan=chat, logprobs=True),
        Variant(name="sampled", summary="chat template, the letter it writes", plan=sampled),
    ),
    measures=(
        Measure(name="accuracy", of="correct", how="Share of questions answered right; a guess is right in 25 %."),
        Measure(
            name="calibration gap",
            of=lambda c: float(np.mean(c["confidence"]) - np.mean(c["correct"])),
            where=lambda c: ~np.isnan(c.get("confidence", np.full(len(c["correct"]), np.nan))),
            better="zero",
            unit="score",
            how="Mean probability given to the chosen letter minus accuracy: above 0 is too sure.",
        ),
    ),
    tax=True,
)
