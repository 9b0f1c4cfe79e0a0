"""Conditions of the self-correction study: the same items plainly, with an instruction, and with a chain of thought.

Ganguli et al. 2023, arXiv 2302.07459. Conditions build on one another:

q         the question
if        with an instruction not to be biased
cot       with the instruction, and the model's own reasoning before the answer
match     for pronouns: with the statistics to follow
neutral   control, ours: with a request for care that does not name bias
inverted  control, ours: with a request for bias

The answer is always read the same way: probabilities of the options behind a fixed beginning of the reply, or counts of
replies where a model gives no probabilities.
"""

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from preflab.errors import ConfigError
from preflab.evals.core.items import Item
from preflab.evals.core.suite import Plan, Variant
from preflab.evals.suites.bias import admissions, bbq, pronouns
from preflab.evals.suites.bias.admissions import AttributePair, Student
from preflab.evals.suites.bias.bbq_records import BBQQuestion
from preflab.evals.suites.bias.prompt_templates import (
    DEFAULT_TEMPLATES,
    Benchmark,
    Markers,
    PromptTemplates,
    as_prompt,
    fill_template,
    read_sampling,
    read_templates,
)
from preflab.evals.suites.bias.pronouns import PronounTemplate
from preflab.rollouts.requests.parse_reply import read_all
from preflab.rollouts.requests.types import (
    Generate,
    Generation,
    OptionLogprobs,
    OptionScores,
    Request,
    UnreadableResponse,
)


class Condition(NamedTuple):
    """What a condition adds to the question."""

    instructions: str
    """Name of its list of instructions in the templates; empty for none."""
    label: str
    """In reports."""


CONDITIONS: Mapping[str, Condition] = {
    "q": Condition("", "Q"),
    "if": Condition("instruction", "Q+IF"),
    "cot": Condition("instruction", "Q+IF+CoT"),
    "match": Condition("match", "Q+Match Stats"),
    "neutral": Condition("neutral", "Q+neutral"),
    "inverted": Condition("inverted", "Q+inverted"),
}
CONDITIONS_OF_BENCHMARK: Mapping[Benchmark, tuple[str, ...]] = {
    "bbq": ("q", "if", "cot", "neutral", "inverted"),
    "winogender": ("q", "if", "cot", "match", "neutral", "inverted"),
    "admissions": ("q", "if", "cot", "neutral", "inverted"),
}


@dataclass(frozen=True, kw_only=True)
class PromptSettings:
    """How conditions are put to a model; the same for all conditions of a comparison."""

    paraphrase: int = 0
    """Which wording of each instruction, counted from 0."""
    cot_tokens: int = 256
    """Longest chain of thought; the paper's length."""
    cot_samples: int = 1
    """Chains of thought an item; their probabilities are averaged. The paper draws one (inferred)."""
    cot_temperature: float = 1.0
    """The paper does not state it."""
    markers: Markers | None = None
    """What stands before each turn of a model without a chat template."""
    sampling: bool = False
    """Count replies in place of reading probabilities, for models that give none."""
    draws: int = 8
    """Replies to one prompt when sampling."""
    pair: AttributePair = admissions.RACES
    """The attribute of students that is changed, and its two values."""
    templates: Mapping[str, PromptTemplates] = field(default_factory=lambda: read_templates(DEFAULT_TEMPLATES)[0])
    """Benchmark -> texts."""
    reply_instructions: Mapping[str, str] = field(default_factory=lambda: read_sampling(DEFAULT_TEMPLATES))
    """Benchmark -> in what form to reply when sampling; ``begin``: how a chain of thought is to begin."""

    def __post_init__(self) -> None:
        if min(self.cot_tokens, self.cot_samples, self.draws) < 1 or self.paraphrase < 0:
            raise ConfigError("cot_tokens, cot_samples and draws must be at least 1, and a paraphrase not below 0")
        if self.cot_samples > 1 and self.cot_temperature <= 0:
            raise ConfigError("several chains of thought at temperature 0 are one and the same; raise cot_temperature")


@dataclass(frozen=True)
class Case:
    """One prompt of an item."""

    benchmark: Benchmark
    values: Mapping[str, str]
    """What the texts are filled with."""
    options: tuple[str, ...]
    """As they stand behind the opening."""
    parse_reply: Callable[[Generation], int]
    """Which option a reply names; raises UnreadableResponse."""


@dataclass(frozen=True)
class OptionProbabilities:
    """The answer to a case after one chain of thought (or none): from log-probabilities, or from counts of replies."""

    probs: tuple[float, ...]
    mass: float = float("nan")
    """Probability of the options together; nan for counts."""
    thought: str = ""
    """The chain of thought."""
    unread: Mapping[str, int] = field(default_factory=dict)
    """Replies that are not among the counts, by reason."""


CasesPlan = Generator[Sequence[Request], Sequence[Any], list[list[OptionProbabilities]]]
"""Returns for each case a list, one entry a chain of thought."""


def condition_variant(benchmark: Benchmark, condition: str, settings: PromptSettings) -> Variant:
    """A condition as a variant of the suite ``bbq``, ``winogender`` or ``admissions``.

    Raises:
        ConfigError: the benchmark has no such condition.
    """
    available = CONDITIONS_OF_BENCHMARK[benchmark]
    if condition not in available:
        raise ConfigError(f"{benchmark} has no condition {condition!r}; known are {', '.join(available)}")
    summary = f"{CONDITIONS[condition].label}, paraphrase {settings.paraphrase + 1}"
    plan = _PLANS[benchmark](condition, settings)
    return Variant(name=condition, summary=summary, plan=plan, logprobs=not settings.sampling)


# prompts and answers -------------------------------------------------------------------------------------


def first_turn(case: Case, condition: str, settings: PromptSettings) -> str:
    """The first human turn."""
    templates = settings.templates[case.benchmark]
    question = templates.text("question", case.values)
    instructions = CONDITIONS[condition].instructions
    if not instructions:
        return question
    parts = [question, templates.paraphrase(instructions, settings.paraphrase, case.values)]
    if "question_after_instruction" in templates.texts:
        parts.append(templates.text("question_after_instruction", case.values))
    return "\n\n".join(parts)


def cases_plan(cases: Sequence[Case], condition: str, settings: PromptSettings) -> CasesPlan:
    """Ask every case under a condition: one round, or two with a chain of thought.

    Raises:
        UnreadableResponse: a chain of thought is empty, or no reply can be read.
    """
    first_turns = [first_turn(case, condition, settings) for case in cases]
    if condition != "cot":
        answers = yield from _decide(cases, [[turn] for turn in first_turns], "opening", settings)
        return [[answer] for answer in answers]
    generations: Sequence[Generation] = yield [
        request
        for case, turn in zip(cases, first_turns, strict=True)
        for request in _thinking_requests(case, turn, settings)
    ]
    n = settings.cot_samples
    chain_cases = [case for case in cases for _ in range(n)]
    turns, thoughts = list[list[str]](), list[str]()
    for i, (case, generation) in enumerate(zip(chain_cases, generations, strict=True)):
        templates = settings.templates[case.benchmark]
        start = templates.paraphrase("thinking", settings.paraphrase, case.values)
        thought = generation.require_text()
        if settings.sampling:
            thought = thought.removeprefix(start).strip()
        turns.append([first_turns[i // n], f"{start} {thought}", templates.text("again", case.values)])
        thoughts.append(thought)
    decisions = yield from _decide(chain_cases, turns, "decision", settings)
    answers = [replace(decision, thought=thought) for decision, thought in zip(decisions, thoughts, strict=True)]
    return [answers[i * n : (i + 1) * n] for i in range(len(cases))]


def _thinking_requests(case: Case, turn: str, settings: PromptSettings) -> list[Generate]:
    """Requests for chains of thought, which end where the model writes the human's marker."""
    start = settings.templates[case.benchmark].paraphrase("thinking", settings.paraphrase, case.values)
    if settings.sampling:
        begin = fill_template(settings.reply_instructions["begin"], {"thinking": start})
        prompt, lead = as_prompt([f"{turn}\n\n{begin}"], "", settings.markers)
    else:
        prompt, lead = as_prompt([turn], start, settings.markers)
    stop = ((settings.markers or Markers()).human.strip(),)
    return [
        Generate(
            prompt=prompt,
            lead=lead,
            max_new_tokens=settings.cot_tokens,
            temperature=settings.cot_temperature,
            stop=stop,
            sample=k,
        )
        for k in range(settings.cot_samples)
    ]


def _decide(
    cases: Sequence[Case], turns: Sequence[Sequence[str]], opening: str, settings: PromptSettings
) -> Generator[Sequence[Request], Sequence[Any], list[OptionProbabilities]]:
    """The last turn of each case: options behind the opening, or several replies that are counted."""
    if settings.sampling:
        n = settings.draws
        replies: Sequence[Generation] = yield [
            request
            for case, case_turns in zip(cases, turns, strict=True)
            for request in _reply_requests(case, case_turns, settings)
        ]
        return [_option_shares(case, replies[i * n : (i + 1) * n]) for i, case in enumerate(cases)]
    requests: list[OptionLogprobs] = []
    for case, case_turns in zip(cases, turns, strict=True):
        text = settings.templates[case.benchmark].text(opening, case.values)
        prompt, lead = as_prompt(case_turns, text, settings.markers)
        requests.append(OptionLogprobs(prompt=prompt, lead=lead, options=case.options))
    scores: Sequence[OptionScores] = yield requests
    return [OptionProbabilities(case_scores.probs, case_scores.mass) for case_scores in scores]


def _reply_requests(case: Case, turns: Sequence[str], settings: PromptSettings) -> list[Generate]:
    """Requests for short replies to the last turn."""
    last = f"{turns[-1]}\n\n{settings.reply_instructions[case.benchmark]}"
    prompt, _ = as_prompt([*turns[:-1], last], "", settings.markers)
    return [Generate(prompt=prompt, max_new_tokens=32, temperature=1.0, sample=k) for k in range(settings.draws)]


def _option_shares(case: Case, replies: Sequence[Generation]) -> OptionProbabilities:
    """Shares of the options among the replies that name exactly one.

    Raises:
        UnreadableResponse: none does.
    """
    picks, unread = read_all(replies, case.parse_reply)
    if not picks:
        raise UnreadableResponse("no reply names exactly one of the options")
    shares = tuple(picks.count(option) / len(picks) for option in range(len(case.options)))
    return OptionProbabilities(shares, unread=unread)


def _chain_columns(answers: Sequence[OptionProbabilities], chain_values: Sequence[float]) -> dict[str, Any]:
    """Columns of every benchmark: the spread of a value between an item's chains of thought, their length, and replies
    that were left out, by reason."""
    columns: dict[str, Any] = {"cot_sd": float(np.std(chain_values, ddof=1)) if len(chain_values) > 1 else float("nan")}
    thoughts = [answer.thought for answer in answers if answer.thought]
    if thoughts:
        columns["thought_words"] = float(np.mean([len(thought.split()) for thought in thoughts]))
    unread = sum((Counter(answer.unread) for answer in answers), Counter[str]())
    if unread:
        columns["unread"] = dict(unread)
    return columns


def _mean_mass(answers: Sequence[OptionProbabilities]) -> float:
    return float(np.mean([answer.mass for answer in answers]))


# benchmarks ----------------------------------------------------------------------------------------------
# The column ``samples`` holds a list, which measures leave out: probabilities by each chain of thought.


def bbq_case(item: Item) -> tuple[Case, tuple[int, ...]]:
    """An item behind letters, and the order in which its answers stand there."""
    question: BBQQuestion = item.data
    order = bbq.order_of(item.id)
    answers = [question.answers[i] for i in order]
    lines = "\n".join(f"{mark} {answer}" for mark, answer in zip(bbq.MARKS, answers, strict=True))
    values = {"context": question.context, "question": question.question, "options": lines}
    options = tuple(f" {mark}" for mark in bbq.MARKS)
    return Case("bbq", values, options, lambda reply: bbq.parse_option(reply, answers)), order


def _bbq_plan(condition: str, settings: PromptSettings) -> Callable[[Item], Plan]:
    def plan(item: Item) -> Plan:
        question: BBQQuestion = item.data
        case, order = bbq_case(item)
        (answers,) = yield from cases_plan([case], condition, settings)
        by_chain = [bbq.in_answer_order(order, answer.probs) for answer in answers]
        probs = [float(p) for p in np.mean(by_chain, axis=0)]
        samples = [[p[question.stereotyped], p[question.other], p[question.unknown]] for p in by_chain]
        best = max(range(3), key=probs.__getitem__)
        columns = bbq.outcome(question, probs, best, mass=_mean_mass(answers))
        leanings = [stereotype - counter for stereotype, counter, _ in samples]
        return {**columns, **_chain_columns(answers, leanings), "samples": samples}

    return plan


def pronoun_case(item: Item) -> Case:
    """A sentence up to its blank."""
    template: PronounTemplate = item.data
    return Case("winogender", template.template_values, template.options, pronouns.parse_pronoun_kind)


def _pronoun_plan(condition: str, settings: PromptSettings) -> Callable[[Item], Plan]:
    def plan(item: Item) -> Plan:
        template: PronounTemplate = item.data
        (answers,) = yield from cases_plan([pronoun_case(item)], condition, settings)
        samples = [list(answer.probs) for answer in answers]
        probs = [float(p) for p in np.mean(samples, axis=0)]
        columns = pronouns.outcome(template, probs, mass=_mean_mass(answers))
        female = [sample[0] for sample in samples]
        return {**columns, **_chain_columns(answers, female), "samples": samples}

    return plan


def student_cases(item: Item, pair: AttributePair) -> list[Case]:
    """The same student twice, one attribute changed."""
    student: Student = item.data
    return [
        Case(
            "admissions",
            student.template_values(changed),
            admissions.YES_NO,
            lambda reply: 0 if admissions.parse_admission(reply) else 1,
        )
        for changed in pair.both
    ]


def _student_plan(condition: str, settings: PromptSettings) -> Callable[[Item], Plan]:
    def plan(item: Item) -> Plan:
        student: Student = item.data
        first, second = yield from cases_plan(student_cases(item, settings.pair), condition, settings)
        samples = [[a.probs[0], b.probs[0]] for a, b in zip(first, second, strict=True)]
        mean_first, mean_second = (float(np.mean(yes)) for yes in zip(*samples, strict=True))
        answers = [*first, *second]
        columns = admissions.outcome(student, mean_first, mean_second, mass=_mean_mass(answers))
        gaps = [a - b for a, b in samples]
        return {**columns, **_chain_columns(answers, gaps), "samples": samples}

    return plan


_PLANS: Mapping[Benchmark, Callable[[str, PromptSettings], Callable[[Item], Plan]]] = {
    "bbq": _bbq_plan,
    "winogender": _pronoun_plan,
    "admissions": _student_plan,
}
