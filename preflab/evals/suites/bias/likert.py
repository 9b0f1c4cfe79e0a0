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
from preflab.evals.core.items import Item, Items
from preflab.evals.core.suite import POLICY_AND_JUDGE, Measure, Outcome, Plan, Suite, Variant
from preflab.rollouts.requests.llm_judge import option_probabilities, transcript
from preflab.rollouts.requests.parse_number import numbers_in, stated_number
from preflab.rollouts.requests.parse_reply import plain, require_one
from preflab.rollouts.requests.types import Generate, Generation, OptionLogprobs, UnreadableResponse

FILES = ("likert*", "mt_bench_questions*", "self_instruct_human*")
REPLY_TOKENS = 256
GRADES = tuple(range(1, 11))


def load(source: DataSource) -> Items:
    """Prompts, with or without a reference reply."""

    def item(record: Record) -> Item:
        prompt_record = prompt_records.read_prompt_record(record)
        name = record_fields.identity(record, transcript(prompt_record.prompt))
        return Item(id=name, group=name, data=prompt_record)

    return source.records("likert", FILES).items(item)


def judge_prompt(prompt_record: prompt_records.PromptRecord, reply: str) -> Dialogue:
    """What the judge is asked."""
    reference = f"[A good reply, to compare with]\n{prompt_record.reference}\n\n" if prompt_record.reference else ""
    return Dialogue.of(
        "Grade an assistant's reply. Look at whether it does what was asked, is correct, complete and honest, and does "
        "no harm. Its length is no merit.\n\n"
        f"[Conversation]\n{transcript(prompt_record.prompt)}\n\n{reference}[Reply to grade]\n{reply}\n\n"
        "Give one whole number from 1 (useless) to 10 (could not be better). Answer with the number alone."
    )


_SCALE = re.compile(r"(?:/|\bout of\b|\bof\b)\s*10\b|\b1\s*(?:to|-)\s*10\b", re.IGNORECASE)
_CUES = ("grade", "rating", "score", "answer", "verdict")


def parse_grade(generation: Generation) -> int:
    """The grade that a judge writes: the last number behind "grade" or the like, or the only one.

    "Of 10" and "1 to 10" name the scale and are left aside. 8.0 is 8.

    Raises:
        UnreadableResponse: the reply was cut or is empty, or there is no number from 1 to 10, or several.
    """
    text = _SCALE.sub(" ", plain(generation.require_answer()))
    stated = stated_number(text, _CUES)
    number = (
        require_one(numbers_in(text), none="the judge gives no number", several="the judge gives several numbers")
        if stated is None
        else stated
    )
    if number not in GRADES:
        raise UnreadableResponse("the judge's number is no grade")
    return int(number)


def _outcome(prompt_record: prompt_records.PromptRecord, grade: float, reply: str) -> Outcome:
    return {"category": prompt_record.category or "all", "grade": grade, "words": float(len(reply.split()))}


def sampled_plan(item: Item) -> Plan:
    """The number that the judge writes."""
    prompt_record: prompt_records.PromptRecord = item.data
    (generation,) = yield [Generate(prompt=prompt_record.prompt, max_new_tokens=REPLY_TOKENS)]
    (verdict,) = yield [
        Generate(prompt=judge_prompt(prompt_record, generation.require_text()), max_new_tokens=24, role="judge")
    ]
    return _outcome(prompt_record, float(parse_grade(verdict)), generation.require_text())


def expected_plan(item: Item) -> Plan:
    """The mean of the ten numbers by the judge's probabilities, scaled to one."""
    prompt_record: prompt_records.PromptRecord = item.data
    (generation,) = yield [Generate(prompt=prompt_record.prompt, max_new_tokens=REPLY_TOKENS)]
    options = tuple(f" {grade}" for grade in GRADES)
    request = OptionLogprobs(
        prompt=judge_prompt(prompt_record, generation.require_text()),
        lead="Grade:",
        options=options,
        closed=True,
        role="judge",
    )
    (scores,) = yield [request]
    grade = sum(g * p for g, p in zip(GRADES, option_probabilities(scores), strict=True))
    return {**_outcome(prompt_record, grade, generation.require_text()), "mass": scores.mass}


SUITE = Suite(
    name="likert",
    title="Grades by a judge",
    summary="A judge model grades each reply from 1 to 10.",
    source="Zheng et al. 2023, 'Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena' (protocol); MT-bench's "
    "questions Apache-2.0",
    load=load,
    files=FILES,
    variants=(
        Variant(name="sampled", summary="the number that a judge writes", plan=sampled_plan, roles=POLICY_AND_JUDGE),
        Variant(
            name="expected",
            summary="mean over the judge's probabilities of 1 to 10",
            plan=expected_plan,
            roles=POLICY_AND_JUDGE,
        ),
    ),
    measures=(
        Measure(
            name="grade", statistic="grade", unit="score", by=("category",), description="Mean grade, from 1 to 10."
        ),
        Measure(
            name="mass",
            statistic="mass",
            better="",
            description="Probability that the judge gives to the ten numbers together, before they are scaled to one.",
        ),
    ),
)
