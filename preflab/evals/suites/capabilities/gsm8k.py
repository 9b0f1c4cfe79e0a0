"""GSM8K (Cobbe et al. 2021): word problems of primary school, as a check on what alignment costs.

``chat`` asks through the chat template and lets the model reason. ``five-shot`` is the plain text frame of
lm-evaluation-harness ("Question: ...\\nAnswer:", five worked problems before it), with its two rules of reading: strict
takes the number behind "####", flexible the last number there is. Which five problems differs: that library draws them
anew for each question, here they are the first five of the training file (and are not asked, should they be in the
test file too). Those rules compare digits, to the letter, so that numbers can be laid beside that library's; ``chat``
compares values (29.00 is 29). A reply without a number is wrong by both rules; an empty one is not scored, nor in the
chat one that was cut at its limit.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from preflab.data.dialogue import Dialogue
from preflab.data.sources.source import Record
from preflab.errors import DataError, RecordRefused
from preflab.evals.core import record_fields
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.items import Item, Items
from preflab.evals.core.suite import Measure, Outcome, Plan, Suite, Variant
from preflab.rollouts.requests.parse_number import last_number, same_value, stated_number
from preflab.rollouts.requests.types import Generate, UnreadableResponse

FILES = ("gsm8k_test*", "gsm8k*", "main/test-*")
SHOTS = ("gsm8k_train*", "main/train-*")
N_SHOTS = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """A word problem, its worked solution and the number that it comes to."""

    question: str
    solution: str
    answer: str
    shots: tuple["Problem", ...] = ()

    @property
    def text(self) -> str:
        """The plain text frame, up to where the solution comes."""
        worked_examples = [f"Question: {shot.question}\nAnswer: {shot.solution}\n\n" for shot in self.shots]
        return f"{''.join(worked_examples)}Question: {self.question}\nAnswer:"


def read(record: Record) -> Problem:
    """A record of the published set (question, answer with the number behind ####)."""
    solution = record_fields.first_text(record, "answer")
    _, mark, answer = solution.rpartition("#### ")
    if not mark or not re.search(r"\d", answer):
        raise RecordRefused("the answer has no number behind ####", field="answer")
    return Problem(record_fields.first_text(record, "question"), solution, answer.strip())


def load(source: DataSource) -> Items:
    """Problems, each with the same five worked ones."""
    shots: list[Problem] = []
    hub = "gsm8k" not in source.paths
    try:
        records = source.records("gsm8k_shots", SHOTS, hub="openai/gsm8k/main:train" if hub else "").records
        shots = [read(next(records).record) for _ in range(N_SHOTS)]
    except (DataError, StopIteration):
        pass  # without five of them only the variants that need none can be asked
    shot_questions = {shot.question for shot in shots}

    def item(record: Record) -> Item | None:
        problem = read(record)
        if problem.question in shot_questions:
            return None
        name = record_fields.identity(record, problem.question)
        return Item(
            id=name,
            group=problem.question,
            data=Problem(problem.question, problem.solution, problem.answer, tuple(shots)),
        )

    return source.records("gsm8k", FILES, hub="openai/gsm8k/main:test").items(item)


_MARKED = re.compile(r"#### (\-?[0-9\.\,]+)")
_NUMBER = re.compile(r"-?[$0-9.,]{2,}|-?[0-9]+")


def bare(number: str) -> str:
    """A number as the five-shot rules compare it: no commas, no dollar sign, no full stop at its end."""
    return re.sub(r"\.$", "", number.replace(",", "").replace("$", "").strip())


def _outcome(reply: str, *, strict: bool, flexible: bool, followed: bool) -> Outcome:
    shares = {"strict": float(strict), "flexible": float(flexible), "followed": float(followed)}
    return {**shares, "words": float(len(reply.split()))}


_CHAT_PROMPT = """{question}

Work it out step by step. Then write the result on a line of its own, like this:
Answer: 12"""


def chat_plan(item: Item) -> Plan:
    """Reasoning in the chat, the result behind "Answer:"; the strict rule takes the last such. Numbers are compared by
    value."""
    problem: Problem = item.data
    (generation,) = yield [
        Generate(prompt=Dialogue.of(_CHAT_PROMPT.format(question=problem.question)), max_new_tokens=320)
    ]
    reply = generation.require_answer()
    stated = stated_number(reply)
    return _outcome(
        reply,
        strict=same_value(problem.answer, stated),
        flexible=same_value(problem.answer, last_number(reply)),
        followed=stated is not None,
    )


def few_shot_plan(item: Item) -> Plan:
    """Plain text that goes on from worked problems; digits compared as they stand, as lm-evaluation-harness does."""
    problem: Problem = item.data
    if len(problem.shots) < N_SHOTS:
        raise UnreadableResponse(f"fewer than {N_SHOTS} worked problems were found (gsm8k_train*)")
    (generation,) = yield [Generate(prompt=problem.text, max_new_tokens=256, stop=("Question:",))]
    reply = generation.require_raw_text()
    answer, marked, numbers = bare(problem.answer), _MARKED.findall(reply)[:1], _NUMBER.findall(reply)
    return _outcome(
        reply,
        strict=bool(marked) and bare(marked[0]) == answer,
        flexible=bool(numbers) and bare(numbers[-1]) == answer,
        followed=bool(marked),
    )


_RULES: Mapping[str, str] = {
    "strict": "Share of problems whose number stands where it was asked for (behind Answer: or ####) and is right.",
    "flexible": "Share of problems whose last number is the right one.",
}
SUITE = Suite(
    name="gsm8k",
    title="GSM8K",
    summary="Word problems with a number as answer: what reasoning costs or gains.",
    source="Cobbe et al. 2021, arXiv 2110.14168; data openai/grade-school-math, MIT",
    load=load,
    files=(*FILES, *SHOTS),
    variants=(
        Variant(name="chat", summary="chat template, reasoning and a last line with the answer", plan=chat_plan),
        Variant(name="five-shot", summary="plain text behind five worked problems", plan=few_shot_plan),
    ),
    measures=(
        Measure(name="accuracy, flexible", statistic="flexible", description=_RULES["flexible"]),
        Measure(name="accuracy, strict", statistic="strict", description=_RULES["strict"]),
        Measure(
            name="followed the form",
            statistic="followed",
            description="Share of replies with a number where it was asked for.",
        ),
        Measure(name="words", statistic="words", unit="words", better="", description="Length of a reply."),
    ),
    tax=True,
)
