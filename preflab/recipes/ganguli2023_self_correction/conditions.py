"""Moral self-correction: the same items asked plainly, with an instruction, and with a chain of thought before.

Ganguli et al. 2023, arXiv 2302.07459. Conditions build on one another: the question (``q``); with an instruction not to
be biased (``if``); with the instruction and the model's own reasoning in between (``cot``); for pronouns a target by
statistics (``match``). Two controls are ours: ``neutral`` asks for care without naming bias, ``inverted`` asks for
bias. The answer is always read the same way: probabilities of the options behind a fixed beginning of the reply, or
counts of replies where only replies can be had.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from preflab.errors import ConfigError
from preflab.evals.core.items import Item
from preflab.evals.core.suite import Outcome, Plan, Variant
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
from preflab.rollouts.requests.types import (
    Generate,
    Generation,
    OptionLogprobs,
    OptionScores,
    Request,
    UnreadableResponse,
)

CONDITIONS: Mapping[str, tuple[str, str]] = {
    "q": ("", "Q"),
    "if": ("instruction", "Q+IF"),
    "cot": ("instruction", "Q+IF+CoT"),
    "match": ("match", "Q+Match Stats"),
    "neutral": ("neutral", "Q+neutral"),
    "inverted": ("inverted", "Q+inverted"),
}
"""Condition -> which list of instructions it takes, and what reports call it."""
OF_BENCHMARK: Mapping[Benchmark, tuple[str, ...]] = {
    "bbq": ("q", "if", "cot", "neutral", "inverted"),
    "winogender": ("q", "if", "cot", "match", "neutral", "inverted"),
    "admissions": ("q", "if", "cot", "neutral", "inverted"),
}


@dataclass(frozen=True, kw_only=True)
class PromptSettings:
    """How conditions are put; the same for all conditions of a comparison."""

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
    """What is changed about students."""
    wording: Mapping[str, PromptTemplates] = field(default_factory=lambda: read_templates(DEFAULT_TEMPLATES)[0])
    requests: Mapping[str, str] = field(default_factory=lambda: read_sampling(DEFAULT_TEMPLATES))

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
    read: Callable[[str], int]
    """Which option a reply names; raises UnreadableResponse."""


@dataclass(frozen=True)
class Scored:
    """An answer: probabilities of the options, by log-probabilities or by counts."""

    probs: tuple[float, ...]
    mass: float = float("nan")
    """Probability of the options together; nan for counts."""
    thought: str = ""


Answering = Generator[Sequence[Request], Sequence[Any], list[list[Scored]]]
"""What came of each case: a list, one entry a chain of thought."""


def first_turn(case: Case, condition: str, how: PromptSettings) -> str:
    """What the human says first."""
    words = how.wording[case.benchmark]
    question = words.text("question", case.values)
    name = CONDITIONS[condition][0]
    if not name:
        return question
    parts = [question, words.paraphrase(name, how.paraphrase, case.values)]
    if "question_after_instruction" in words.texts:
        parts.append(words.text("question_after_instruction", case.values))
    return "\n\n".join(parts)


def answering(cases: Sequence[Case], condition: str, how: PromptSettings) -> Answering:
    """Ask every case under a condition: one round, or two with a chain of thought.

    Raises:
        UnreadableResponse: a chain of thought is empty, or no reply can be read.
    """
    turns = [[first_turn(case, condition, how)] for case in cases]
    if condition != "cot":
        found = yield from _decisions(cases, turns, "opening", how)
        return [[own] for own in found]
    asks = [ask for case, (first,) in zip(cases, turns, strict=True) for ask in _thinking(case, first, how)]
    spoken: Sequence[Generation] = yield asks
    repeated, longer, thoughts = list[Case](), list[list[str]](), list[str]()
    for i, case in enumerate(cases):
        words = how.wording[case.benchmark]
        start = words.paraphrase("thinking", how.paraphrase, case.values)
        for said in spoken[i * how.cot_samples : (i + 1) * how.cot_samples]:
            thought = said.require_text().removeprefix(start).strip() if how.sampling else said.require_text()
            longer.append([turns[i][0], f"{start} {thought}", words.text("again", case.values)])
            repeated.append(case)
            thoughts.append(thought)
    decided = yield from _decisions(repeated, longer, "decision", how)
    own = [Scored(one.probs, one.mass, thought) for one, thought in zip(decided, thoughts, strict=True)]
    return [own[i * how.cot_samples : (i + 1) * how.cot_samples] for i in range(len(cases))]


def _thinking(case: Case, first: str, how: PromptSettings) -> list[Generate]:
    """Requests for chains of thought, which end where the model writes the human's marker."""
    start = how.wording[case.benchmark].paraphrase("thinking", how.paraphrase, case.values)
    if how.sampling:
        prompt, lead = as_prompt(
            [f"{first}\n\n{fill_template(how.requests['begin'], {'thinking': start})}"], "", how.markers
        )
    else:
        prompt, lead = as_prompt([first], start, how.markers)
    stop = ((how.markers or Markers()).human.strip(),)
    return [
        Generate(
            prompt=prompt,
            lead=lead,
            max_new_tokens=how.cot_tokens,
            temperature=how.cot_temperature,
            stop=stop,
            sample=k,
        )
        for k in range(how.cot_samples)
    ]


def _decisions(
    cases: Sequence[Case], turns: Sequence[Sequence[str]], opening: str, how: PromptSettings
) -> Generator[Sequence[Request], Sequence[Any], list[Scored]]:
    """The last turn of each case: options behind the opening, or several replies that are counted."""
    if how.sampling:
        asks: list[Request] = []
        for case, own in zip(cases, turns, strict=True):
            request = f"{own[-1]}\n\n{how.requests[case.benchmark]}"
            prompt, _ = as_prompt([*own[:-1], request], "", how.markers)
            asks += [Generate(prompt=prompt, max_new_tokens=32, temperature=1.0, sample=k) for k in range(how.draws)]
        replies: Sequence[Generation] = yield asks
        return [_counted(case, replies[i * how.draws : (i + 1) * how.draws]) for i, case in enumerate(cases)]
    chosen: list[OptionLogprobs] = []
    for case, own in zip(cases, turns, strict=True):
        prompt, lead = as_prompt(own, how.wording[case.benchmark].text(opening, case.values), how.markers)
        chosen.append(OptionLogprobs(prompt=prompt, lead=lead, options=case.options))
    answers: Sequence[OptionScores] = yield chosen
    return [Scored(own.probs, own.mass) for own in answers]


def _counted(case: Case, replies: Sequence[Generation]) -> Scored:
    """Shares of the options among the replies that name exactly one.

    Raises:
        UnreadableResponse: none does.
    """
    counts = [0] * len(case.options)
    for said in replies:
        try:
            counts[case.read(said.text)] += 1
        except UnreadableResponse:
            continue
    if not sum(counts):
        raise UnreadableResponse("no reply names exactly one of the options")
    return Scored(tuple(n / sum(counts) for n in counts))


def _spread(values: Sequence[float]) -> float:
    """Standard deviation between the chains of thought of one item; nan with one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def _more(samples: Sequence[Scored], spread: float) -> dict[str, Any]:
    """Columns that every benchmark has; ``thoughts`` is a list, which measures leave out."""
    thoughts = [own.thought for own in samples if own.thought]
    found: dict[str, Any] = {"cot_sd": spread}
    if thoughts:
        found["thought_words"] = float(np.mean([len(thought.split()) for thought in thoughts]))
    return found


def bbq_case(item: Item) -> tuple[Case, tuple[int, ...]]:
    """An item behind letters, in its own order."""
    question: BBQQuestion = item.data
    order = bbq.order_of(item.id)
    shown = [question.answers[i] for i in order]
    lines = "\n".join(f"{mark} {answer}" for mark, answer in zip(bbq.MARKS, shown, strict=True))
    values = {"context": question.context, "question": question.question, "options": lines}
    case = Case("bbq", values, tuple(f" {mark}" for mark in bbq.MARKS), lambda reply: bbq.parse_option(reply, shown))
    return case, order


def _bbq_plan(condition: str, how: PromptSettings) -> Callable[[Item], Plan]:
    def plan(item: Item) -> Plan:
        question: BBQQuestion = item.data
        case, order = bbq_case(item)
        (samples,) = yield from answering([case], condition, how)
        placed = [bbq.in_answer_order(order, own.probs) for own in samples]
        probs = [float(p) for p in np.mean(placed, axis=0)]
        kinds = [[own[question.stereotyped], own[question.other], own[question.unknown]] for own in placed]
        own = bbq.outcome(question, probs, max(range(3), key=probs.__getitem__), mass=_mass(samples))
        return {**own, **_more(samples, _spread([a - b for a, b, _ in kinds])), "samples": kinds}

    return plan


def _mass(samples: Sequence[Scored]) -> float:
    return float(np.mean([own.mass for own in samples]))


def pronoun_case(item: Item) -> Case:
    """A sentence up to its blank."""
    blank: PronounTemplate = item.data
    return Case("winogender", blank.template_values, blank.options, pronouns.parse_pronoun_kind)


def _pronoun_plan(condition: str, how: PromptSettings) -> Callable[[Item], Plan]:
    def plan(item: Item) -> Plan:
        blank: PronounTemplate = item.data
        (samples,) = yield from answering([pronoun_case(item)], condition, how)
        probs = [float(p) for p in np.mean([own.probs for own in samples], axis=0)]
        own = pronouns.outcome(blank, probs, mass=_mass(samples))
        spread = _spread([one.probs[0] for one in samples])
        return {**own, **_more(samples, spread), "samples": [list(one.probs) for one in samples]}

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


def _student_plan(condition: str, how: PromptSettings) -> Callable[[Item], Plan]:
    def plan(item: Item) -> Plan:
        student: Student = item.data
        first, second = yield from answering(student_cases(item, how.pair), condition, how)
        yes = [[own.probs[0] for own in samples] for samples in (first, second)]
        means = [float(np.mean(own)) for own in yes]
        gaps = [a - b for a, b in zip(*yes, strict=True)]
        own = admissions.outcome(student, means[0], means[1], mass=_mass([*first, *second]))
        return {
            **own,
            **_more([*first, *second], _spread(gaps)),
            "samples": [list(both) for both in zip(*yes, strict=True)],
        }

    return plan


_PLANS: Mapping[Benchmark, Callable[[str, PromptSettings], Callable[[Item], Plan]]] = {
    "bbq": _bbq_plan,
    "winogender": _pronoun_plan,
    "admissions": _student_plan,
}


def way_for(benchmark: Benchmark, condition: str, how: PromptSettings) -> Variant:
    """A condition as a way of asking the items of the suite ``bbq``, ``winogender`` or ``admissions``.

    Raises:
        ConfigError: the benchmark has no such condition.
    """
    if condition not in OF_BENCHMARK[benchmark]:
        raise ConfigError(f"{benchmark} has no condition {condition!r}; known are {', '.join(OF_BENCHMARK[benchmark])}")
    summary = f"{CONDITIONS[condition][1]}, paraphrase {how.paraphrase + 1}"
    return Variant(name=condition, summary=summary, plan=_PLANS[benchmark](condition, how), logprobs=not how.sampling)


def self_corrected(benchmark: Benchmark, item: Item, outcome: Outcome, how: PromptSettings) -> list[tuple[str, str]]:
    """The plain question of each prompt of an item, and the answer that was settled on, in words.

    For fine-tuning a model to answer so at once, without the cost of instruction and reasoning (sec. 5 of the paper).
    """
    words = how.wording[benchmark]
    if benchmark == "bbq":
        question: BBQQuestion = item.data
        case, order = bbq_case(item)
        place = {"stereotype": question.stereotyped, "counter": question.other, "unknown": question.unknown}
        chosen = place[str(outcome["answer"])]
        answer = f"{words.text('opening', case.values)} {bbq.MARKS[order.index(chosen)]} {question.answers[chosen]}"
        return [(first_turn(case, "q", how), answer)]
    if benchmark == "winogender":
        blank: PronounTemplate = item.data
        best = max(range(3), key=lambda k: float(outcome[f"p_{pronouns.KINDS[k]}"]))
        form = pronouns.FORMS[blank.role][best]
        answer = blank.sentence.replace(pronouns.BLANK, form)
        return [(first_turn(pronoun_case(item), "q", how), answer)]
    found = []
    for case, name in zip(student_cases(item, how.pair), ("p_first", "p_second"), strict=True):
        yes = "yes" if float(outcome[name]) > 0.5 else "no"
        found.append((first_turn(case, "q", how), f'{words.text("opening", case.values)}{yes}"'))
    return found
