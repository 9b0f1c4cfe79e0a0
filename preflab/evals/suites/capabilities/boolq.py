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
from preflab.evals.core.suite import Columns, Item, Items, Measure, Suite, Variant
from preflab.rollouts.requests.llm_judge import parse_yes
from preflab.rollouts.requests.types import Generate, OptionLogprobs, Outcome, Plan

FILES = ("boolq*", "BoolQ*", "validation-*")


@dataclass(frozen=True, slots=True)
class Question:
    """A question over a passage."""

    passage: str
    question: str
    """As published, without a question mark."""
    yes: bool

    @property
    def text(self) -> str:
        """The plain text frame, up to where the answer comes."""
        return f"{self.passage}\nQuestion: {self.question}?\nAnswer:"


def read(record: Record) -> Question:
    """A record of either layout; a label of -1 hides the answer."""
    passage, question = record_fields.first_text(record, "passage"), record_fields.first_text(record, "question")
    if str(record.get("label")) == "-1":
        raise RecordRefused("its answer is hidden", field="label")
    return Question(
        passage, question, record_fields.truth(record, "label" if record.get("label") is not None else "answer")
    )


def load(shelf: DataSource) -> Items:
    """The questions; those on one passage are a group."""

    def item(record: Record) -> Item:
        own = read(record)
        return Item(id=record_fields.identity(record, own.passage, own.question), group=own.passage, data=own)

    return shelf.records("boolq", FILES, hub="google/boolq:validation").items(item)


def _outcome(own: Question, yes: bool, **more: float) -> Outcome:
    return {"correct": float(yes == own.yes), "yes": float(yes), "truly_yes": float(own.yes), **more}


def plain(item: Item) -> Plan:
    """Log-probabilities behind plain text."""
    own: Question = item.data
    (found,) = yield [OptionLogprobs(prompt=own.text, options=(" no", " yes"))]
    return _outcome(own, found.best == 1, confidence=found.probs[found.best], mass=found.mass)


_ASKED = "{passage}\n\nQuestion: {question}?\n\nAnswer with one word, Yes or No."


def chat(item: Item) -> Plan:
    """Log-probabilities of the word as the assistant's reply."""
    own: Question = item.data
    prompt = Dialogue.of(_ASKED.format(passage=own.passage, question=own.question))
    (found,) = yield [OptionLogprobs(prompt=prompt, options=("No", "Yes"))]
    return _outcome(own, found.best == 1, confidence=found.probs[found.best], mass=found.mass)


def sampled(item: Item) -> Plan:
    """The word that the model writes."""
    own: Question = item.data
    prompt = Dialogue.of(_ASKED.format(passage=own.passage, question=own.question))
    (said,) = yield [Generate(prompt=prompt, max_new_tokens=48)]
    return _outcome(own, parse_yes(said, who="model"))


def _lead(columns: Columns) -> float:
    """Accuracy minus that of the commoner answer."""
    yes = float(np.mean(columns["truly_yes"]))
    return float(np.mean(columns["correct"])) - max(yes, 1 - yes)


def _too_sure(columns: Columns) -> float:
    return float(np.mean(columns["confidence"]) - np.mean(columns["correct"]))


SUITE = Suite(
    name="boolq",
    title="BoolQ",
    summary="Yes/no questions over a passage: what reading costs or gains.",
    source="Clark et al. 2019, arXiv 1905.10044; data CC-BY-SA-3.0",
    load=load,
    files=FILES,
    ways=(
        Variant(name="plain", summary="plain text, log-probabilities of no and yes", plan=plain, logprobs=True),
        Variant(name="chat", summary="chat template, log-probabilities of the word", plan=chat, logprobs=True),
        Variant(name="sampled", summary="chat template, the word it writes", plan=sampled),
    ),
    measures=(
        Measure(name="accuracy", of="correct", how="Share of questions answered right."),
        Measure(
            name="lead over the commoner answer",
            of=_lead,
            reads=("correct", "truly_yes"),
            unit="score",
            how="Accuracy minus what one answer to everything scores.",
        ),
        Measure(name="says yes", of="yes", better="", how="Share of yes."),
        Measure(
            name="calibration gap",
            of=_too_sure,
            reads=("confidence", "correct"),
            unit="score",
            better="zero",
            how="Mean probability given to the chosen word, of the two, minus accuracy: above 0 is too sure.",
        ),
        Measure(
            name="probability held by the words", of="mass", unit="score", better="", how="Of no and yes together."
        ),
    ),
    tax=True,
)
