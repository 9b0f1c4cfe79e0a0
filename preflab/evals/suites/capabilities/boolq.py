"""BoolQ (Clark et al. 2019): yes/no questions over a passage, as a check on what alignment costs.

``plain`` is the frame of lm-evaluation-harness: the passage, "Question: ...?", "Answer:" and the log-probabilities of
" no" and " yes". ``chat`` asks through the chat template, ``sampled`` reads what the model writes. Layouts: ours and
the published one (question, passage, answer true or false), and SuperGLUE's (label 0 or 1).
"""

from dataclasses import dataclass

import numpy as np

from preflab.data.dialogue import Dialogue
from preflab.data.sources.source import Record
from preflab.errors import RecordRefused
from preflab.evals.core import record_fields
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.items import Item, Items
from preflab.evals.core.suite import Columns, Measure, Outcome, Plan, Suite, Variant
from preflab.rollouts.requests.parse_yes import parse_yes, reasons_for
from preflab.rollouts.requests.types import Generate, OptionLogprobs

FILES = ("boolq*", "BoolQ*", "validation-*")


@dataclass(frozen=True, slots=True)
class BoolQQuestion:
    """A question over a passage."""

    passage: str
    question: str
    """As published, without a question mark."""
    yes: bool

    @property
    def text(self) -> str:
        """The plain text frame, up to where the answer comes."""
        return f"{self.passage}\nQuestion: {self.question}?\nAnswer:"


def read(record: Record) -> BoolQQuestion:
    """A record of either layout; a label of -1 hides the answer."""
    passage, question = record_fields.first_text(record, "passage"), record_fields.first_text(record, "question")
    if str(record.get("label")) == "-1":
        raise RecordRefused("its answer is hidden", field="label")
    return BoolQQuestion(
        passage, question, record_fields.truth(record, "label" if record.get("label") is not None else "answer")
    )


def load(source: DataSource) -> Items:
    """The questions; those on one passage are a group."""

    def item(record: Record) -> Item:
        question = read(record)
        return Item(
            id=record_fields.identity(record, question.passage, question.question),
            group=question.passage,
            data=question,
        )

    return source.records("boolq", FILES, hub="google/boolq:validation").items(item)


def _outcome(question: BoolQQuestion, yes: bool, **more: float) -> Outcome:
    return {"correct": float(yes == question.yes), "yes": float(yes), "truly_yes": float(question.yes), **more}


def plain_plan(item: Item) -> Plan:
    """Log-probabilities behind plain text."""
    question: BoolQQuestion = item.data
    (scores,) = yield [OptionLogprobs(prompt=question.text, options=(" no", " yes"))]
    return _outcome(question, scores.best == 1, confidence=scores.probs[scores.best], mass=scores.mass)


_CHAT_PROMPT = "{passage}\n\nQuestion: {question}?\n\nAnswer with one word, Yes or No."


def chat_plan(item: Item) -> Plan:
    """Log-probabilities of the word as the assistant's reply."""
    question: BoolQQuestion = item.data
    prompt = Dialogue.of(_CHAT_PROMPT.format(passage=question.passage, question=question.question))
    (scores,) = yield [OptionLogprobs(prompt=prompt, options=("No", "Yes"))]
    return _outcome(question, scores.best == 1, confidence=scores.probs[scores.best], mass=scores.mass)


def sampled_plan(item: Item) -> Plan:
    """The word that the model writes."""
    question: BoolQQuestion = item.data
    prompt = Dialogue.of(_CHAT_PROMPT.format(passage=question.passage, question=question.question))
    (generation,) = yield [Generate(prompt=prompt, max_new_tokens=48)]
    return _outcome(question, parse_yes(generation, **reasons_for("model")))


def _lead(columns: Columns) -> float:
    """Accuracy minus that of the commoner answer."""
    yes = float(np.mean(columns["truly_yes"]))
    return float(np.mean(columns["correct"])) - max(yes, 1 - yes)


def _calibration_gap(columns: Columns) -> float:
    return float(np.mean(columns["confidence"]) - np.mean(columns["correct"]))


SUITE = Suite(
    name="boolq",
    title="BoolQ",
    summary="Yes/no questions over a passage: what reading costs or gains.",
    source="Clark et al. 2019, arXiv 1905.10044; data CC-BY-SA-3.0",
    load=load,
    files=FILES,
    variants=(
        Variant(name="plain", summary="plain text, log-probabilities of no and yes", plan=plain_plan, logprobs=True),
        Variant(name="chat", summary="chat template, log-probabilities of the word", plan=chat_plan, logprobs=True),
        Variant(name="sampled", summary="chat template, the word it writes", plan=sampled_plan),
    ),
    measures=(
        Measure(name="accuracy", statistic="correct", description="Share of questions answered right."),
        Measure(
            name="lead over the commoner answer",
            statistic=_lead,
            reads=("correct", "truly_yes"),
            unit="score",
            description="Accuracy minus what one answer to everything scores.",
        ),
        Measure(name="says yes", statistic="yes", better="", description="Share of yes."),
        Measure(
            name="calibration gap",
            statistic=_calibration_gap,
            reads=("confidence", "correct"),
            unit="score",
            better="zero",
            description="Mean probability given to the chosen word, of the two, minus accuracy: above 0 is too sure.",
        ),
        Measure(
            name="probability held by the words",
            statistic="mass",
            unit="score",
            better="",
            description="Of no and yes together.",
        ),
    ),
    tax=True,
)
