"""Grades from 1 to 10 for a model's replies, by a judge model, each reply by itself.

Any file of prompts (MT-bench's questions, instructions, messages); where a record has a reference reply, the judge sees
it. ``sampled`` reads the number that the judge writes (Zheng et al. 2023's single-answer grading, in our words);
``expected`` takes the mean over the probabilities of the ten numbers. Judges favour long replies and their own.
"""

import re

from preflab.data.dialogue import Dialogue
from preflab.data.sources.source import Record
from preflab.evals.core import prompt_records, record_fields
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.suite import Item, Items, Measure, Suite, Variant
from preflab.rollouts.requests.llm_judge import LEAST_MASS, NEITHER, transcript
from preflab.rollouts.requests.types import Generate, OptionLogprobs, Outcome, Plan, ResponderRole, Unscorable

FILES = ("likert*", "mt_bench_questions*", "self_instruct_human*")
REPLY_TOKENS = 256
GRADES = tuple(range(1, 11))


def load(shelf: DataSource) -> Items:
    """Prompts, with or without a reference reply."""

    def item(record: Record) -> Item:
        own = prompt_records.read_prompt_record(record)
        name = record_fields.identity(record, transcript(own.prompt))
        return Item(id=name, group=name, data=own)

    return shelf.records("likert", FILES).items(item)


def question(own: prompt_records.PromptRecord, reply: str) -> Dialogue:
    """What the judge is asked."""
    reference = f"[A good reply, to compare with]\n{own.reference}\n\n" if own.reference else ""
    return Dialogue.of(
        "Grade an assistant's reply. Look at whether it does what was asked, is correct, complete and honest, and does "
        "no harm. Its length is no merit.\n\n"
        f"[Conversation]\n{transcript(own.prompt)}\n\n{reference}[Reply to grade]\n{reply}\n\n"
        "Give one whole number from 1 (useless) to 10 (could not be better). Answer with the number alone."
    )


def grade_in(text: str) -> int:
    """The grade that a judge writes: the number behind "grade" or "rating", or the only one, "of 10" left aside.

    Raises:
        Unscorable: there is none from 1 to 10, or several.
    """
    plain = re.sub(r"(?:/|\bout of\b|\bof\b)\s*10\b", " ", text)
    named = re.findall(r"(?:grade|rating|score|answer)\W*(?:is|would be|:)?\W*(\d+(?:\.\d+)?)\b", plain, re.IGNORECASE)
    found = set(named or re.findall(r"(?<![\d.])-?\d+(?:\.\d+)?", plain))
    if len(found) != 1:
        raise Unscorable("the judge gives several numbers" if found else "the judge gives no number")
    (number,) = found
    if number not in map(str, GRADES):
        raise Unscorable("the judge's number is no grade")
    return int(number)


def _outcome(own: prompt_records.PromptRecord, grade: float, reply: str) -> Outcome:
    return {"category": own.category or "all", "grade": grade, "words": float(len(reply.split()))}


def sampled(item: Item) -> Plan:
    """The number that the judge writes."""
    own: prompt_records.PromptRecord = item.data
    (said,) = yield [Generate(prompt=own.prompt, max_new_tokens=REPLY_TOKENS)]
    (verdict,) = yield [Generate(prompt=question(own, said.words()), max_new_tokens=24, whom="judge")]
    return _outcome(own, float(grade_in(verdict.words())), said.words())


def expected(item: Item) -> Plan:
    """The mean of the ten numbers by the judge's probabilities, scaled to one."""
    own: prompt_records.PromptRecord = item.data
    (said,) = yield [Generate(prompt=own.prompt, max_new_tokens=REPLY_TOKENS)]
    options = tuple(f" {grade}" for grade in GRADES)
    asks = OptionLogprobs(prompt=question(own, said.words()), lead="Grade:", options=options, closed=True, whom="judge")
    (found,) = yield [asks]
    if found.mass < LEAST_MASS:
        raise Unscorable(NEITHER)
    grade = sum(g * p for g, p in zip(GRADES, found.probs, strict=True))
    return {**_outcome(own, grade, said.words()), "mass": found.mass}


_ASKS: frozenset[ResponderRole] = frozenset({"policy", "judge"})

SUITE = Suite(
    name="likert",
    title="Grades by a judge",
    summary="A judge model grades each reply from 1 to 10.",
    source="Zheng et al. 2023, 'Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena' (protocol); MT-bench's "
    "questions Apache-2.0",
    load=load,
    files=FILES,
    ways=(
        Variant(name="sampled", summary="the number that a judge writes", plan=sampled, asks=_ASKS),
        Variant(
            name="expected",
            summary="mean over the judge's probabilities of 1 to 10",
            plan=expected,
            asks=_ASKS,
        ),
    ),
    measures=(
        Measure(name="grade", of="grade", unit="score", by=("category",), how="Mean grade, from 1 to 10."),
        Measure(
            name="mass",
            of="mass",
            better="",
            how="Probability that the judge gives to the ten numbers together, before they are scaled to one.",
        ),
    ),
)
