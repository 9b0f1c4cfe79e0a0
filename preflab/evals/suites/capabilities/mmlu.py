"""MMLU (Hendrycks et al. 2021): four-choice questions of 57 subjects, as a check on what alignment costs.

The default variant is the plain text frame of lm-evaluation-harness: five answered questions of the subject, then the
question, its options behind letters, and the log-probability of " A" to " D". ``zero-shot`` leaves the five out;
``chat`` asks through the model's chat template; ``sampled`` lets it answer and reads the letter.

The test split is read unless another is asked for. Questions that people see must come from ``validation``
(Bowman et al. 2022): nobody who works on models should read the test.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from preflab.data.dialogue import Dialogue
from preflab.data.sources.source import Record
from preflab.errors import ConfigError, DataError
from preflab.evals.core import record_fields
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.items import Item, Items
from preflab.evals.core.suite import Measure, Outcome, Plan, Suite, Variant
from preflab.rollouts.requests.parse_letter import parse_letter
from preflab.rollouts.requests.parse_reply import NO_OPTION, SEVERAL_OPTIONS
from preflab.rollouts.requests.types import Generate, Generation, OptionLogprobs, UnreadableResponse

LETTERS = "ABCD"
SHOTS = ("mmlu_dev*",)
FILES: dict[str, tuple[str, ...]] = {"test": ("mmlu_test*",), "validation": ("mmlu_val*",), "dev": SHOTS}
"""Names of each split's files."""


@dataclass(frozen=True, slots=True)
class MMLUQuestion:
    """A question with four options, and five answered ones of its subject."""

    subject: str
    question: str
    options: tuple[str, ...]
    answer: int
    shots: tuple["MMLUQuestion", ...] = ()

    @property
    def with_options(self) -> str:
        """The question and its options behind letters."""
        lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, self.options, strict=True)]
        return "\n".join([self.question.strip(), *lines])

    def text(self, shots: int) -> str:
        """The plain text frame, up to where the answer's letter comes."""
        subject = self.subject.replace("_", " ")
        head = f"The following are multiple choice questions (with answers) about {subject}.\n\n"
        answered_examples = [f"{shot.with_options}\nAnswer: {LETTERS[shot.answer]}\n\n" for shot in self.shots[:shots]]
        return f"{head}{''.join(answered_examples)}{self.with_options}\nAnswer:"


def read(record: Record) -> MMLUQuestion:
    """A record of the published set (subject, question, choices, answer)."""
    options = record_fields.texts(record, "choices", least=4)
    return MMLUQuestion(
        subject=record_fields.first_text(record, "subject"),
        question=record_fields.first_text(record, "question"),
        options=tuple(options),
        answer=record_fields.index(record, "answer", len(options)),
    )


def load(source: DataSource) -> Items:
    """Questions of the data source's split, each with the answered ones of its subject; never with itself.

    Raises:
        ConfigError: there is no such split, or a file was named beside it.
    """
    split = source.splits.get("mmlu", "test")
    if split not in FILES:
        raise ConfigError(f"the split of mmlu must be one of {', '.join(FILES)}, got {split!r}")
    if "mmlu" in source.splits and "mmlu" in source.paths and source.paths["mmlu"].is_file():
        raise ConfigError(
            f"split mmlu={split} would change nothing with data mmlu={source.paths['mmlu']}, a single file"
        )
    shots: dict[str, list[MMLUQuestion]] = {}
    try:
        shot_records = source.records("mmlu_shots", SHOTS, hub="cais/mmlu/all:dev")
    except DataError:
        shot_records = None  # without them only the variants that need none can be asked
    for located in shot_records.records if shot_records else ():
        shot = read(located.record)
        shots.setdefault(shot.subject, []).append(shot)

    def item(record: Record) -> Item:
        bare = read(record)
        question = MMLUQuestion(
            bare.subject,
            bare.question,
            bare.options,
            bare.answer,
            tuple([shot for shot in shots.get(bare.subject, ()) if shot != bare][:5]),
        )
        name = record_fields.optional_text(record, "id") or f"{bare.subject}: {bare.question}"[:200]
        return Item(id=name, group=name, data=question)

    return source.records("mmlu", FILES[split], hub=f"cais/mmlu/all:{split}").items(item)


def _outcome(question: MMLUQuestion, chosen: int, **more: object) -> Outcome:
    return {"subject": question.subject, "chosen": LETTERS[chosen], "correct": float(chosen == question.answer), **more}


def plain_plan(shots: int) -> Callable[[Item], Plan]:
    """Log-probabilities of the letters behind plain text."""

    def plan(item: Item) -> Plan:
        question: MMLUQuestion = item.data
        if len(question.shots) < shots:
            raise UnreadableResponse(f"its subject has fewer than {shots} answered questions (mmlu_dev*)")
        options = tuple(f" {letter}" for letter in LETTERS)
        (scores,) = yield [OptionLogprobs(prompt=question.text(shots), options=options)]
        probs = scores.probs
        return _outcome(question, scores.best, confidence=probs[scores.best], mass=scores.mass)

    return plan


_CHAT_PROMPT = "{question}\n\nAnswer with the letter of the right option."


def chat_plan(item: Item) -> Plan:
    """Log-probabilities of the letters as the assistant's reply."""
    question: MMLUQuestion = item.data
    prompt = Dialogue.of(_CHAT_PROMPT.format(question=question.with_options))
    (scores,) = yield [
        OptionLogprobs(prompt=prompt, lead="The answer is", options=tuple(f" {letter}" for letter in LETTERS))
    ]
    return _outcome(question, scores.best, confidence=scores.probs[scores.best], mass=scores.mass)


def sampled_plan(item: Item) -> Plan:
    """The option that the model decides for."""
    question: MMLUQuestion = item.data
    (generation,) = yield [
        Generate(prompt=Dialogue.of(_CHAT_PROMPT.format(question=question.with_options)), max_new_tokens=64)
    ]
    return _outcome(question, parse_option(generation, question.options))


def parse_option(generation: Generation, options: Sequence[str]) -> int:
    """Which option a reply decides for, by its letter or by its text; rules of `parse_letter`.

    Raises:
        UnreadableResponse: the reply was cut or is empty, or names none of the options, or several.
    """
    letters = "ABCDEFGHIJ"[: len(options)]
    return letters.index(parse_letter(generation, letters, texts=options, none=NO_OPTION, several=SEVERAL_OPTIONS))


SUITE = Suite(
    name="mmlu",
    title="MMLU",
    summary="Four-choice questions of 57 subjects: what the model knows, before and after.",
    source="Hendrycks et al. 2021, 'Measuring Massive Multitask Language Understanding'; data MIT",
    load=load,
    files=tuple(name for names in FILES.values() for name in names),
    splits=tuple(FILES),
    variants=(
        Variant(name="five-shot", summary="plain text, five answered questions", plan=plain_plan(5), logprobs=True),
        Variant(name="zero-shot", summary="plain text, no answered question", plan=plain_plan(0), logprobs=True),
        Variant(name="chat", summary="chat template, log-probability of the letter", plan=chat_plan, logprobs=True),
        Variant(name="sampled", summary="chat template, the letter it writes", plan=sampled_plan),
    ),
    measures=(
        Measure(
            name="accuracy",
            statistic="correct",
            description="Share of questions answered right; a guess is right in 25 %.",
        ),
        Measure(
            name="calibration gap",
            statistic=lambda c: float(np.mean(c["confidence"]) - np.mean(c["correct"])),
            mask=lambda c: ~np.isnan(c.get("confidence", np.full(len(c["correct"]), np.nan))),
            better="zero",
            unit="score",
            description="Mean probability given to the chosen letter minus accuracy: above 0 is too sure.",
        ),
    ),
    tax=True,
)
