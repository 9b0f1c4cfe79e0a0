"""How good judgements are: of each annotator, and of a study as a whole.

Nothing here drops anybody. Numbers come with intervals; a flag says what was measured, against which bound, and by
how many judgements; where there are too few the report says that it cannot say. Papers differ on what to do with
such numbers: Stiennon et al. 2020 and Ouyang et al. 2022 screened by agreement with themselves, Bai et al. 2022 did
not, since agreement is low on hard topics. So people are compared with others on the items they share.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, TypeAlias, TypeVar

import numpy as np

from preflab.data.store.judgements import Judgement
from preflab.errors import ConfigError, DataError
from preflab.feedback.protocols import JudgementProtocol
from preflab.feedback.protocols.protocol import AnsweredQuestion
from preflab.maths.agreement import Resampling, krippendorff_alpha, raw_agreement
from preflab.maths.statistics import Estimate, mean_with_interval, wilson

_K = TypeVar("_K")
About: TypeAlias = Literal["gold", "consistency", "agreement", "haste", "side"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What quality is measured on: one judgement, without its words."""

    annotator: str
    """A pseudonym."""
    item: str
    questions: Mapping[str, AnsweredQuestion]
    """What was said, question by question. Questions that end in a number (``quality 2``, ``preference 0:1``) are
    one question asked of several replies."""
    side: Literal[0, 1] | None = None
    """What was picked of two, as it stood on the screen: 0 left, 1 right; None where nothing was."""
    tied: bool = False
    """Whether both of two were called equal."""
    strength: float | None = None
    seconds: float | None = None
    """How long it took; None where unknown."""
    right: bool | None = None
    """Of a gold item: whether it was answered as expected; None for all other items."""
    repeat_of: str | None = None
    """The item that the same person had judged before; None for an item of its own."""
    status: Literal["counted", "late"] = "counted"
    at: int = 0
    """Milliseconds since 1970."""
    category: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What is flagged, and how much must be known first. The thresholds are ours; no paper gives them."""

    fewest_gold: int = 10
    """Gold items below which nothing is said of their share; likewise the next three."""
    fewest_repeats: int = 10
    fewest_shared: int = 20
    fewest_sides: int = 20
    gold: float = 0.7
    """Share of gold items answered as expected; guessing between two gives 0.5."""
    consistency: float = 0.6
    """Share of repeated questions answered as before."""
    behind: float = 0.1
    """How much less somebody agrees with others than those do among themselves, on the same items."""
    fast_seconds: float | None = None
    """Answers faster than this are hasty; None asks no such question."""
    hasty: float = 0.1
    """Share of hasty answers."""
    level: float = 0.95
    """Of the intervals shown."""
    flag_level: float = 0.99
    """Of the intervals that flags go by: many people are tested in several ways, and few of them should be flagged
    by chance."""

    def __post_init__(self) -> None:
        if not 0 < self.level < 1 or not 0 < self.flag_level < 1:
            raise ConfigError(f"levels must be in (0, 1), got {self.level} and {self.flag_level}")
        if self.fast_seconds is not None and self.fast_seconds < 0:
            raise ConfigError(f"fast_seconds must not be negative, got {self.fast_seconds}")


@dataclass(frozen=True, slots=True)
class Flag:
    """Something to look at."""

    about: About
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatorQuality:
    """One annotator's judgements. None stands where there is nothing to measure."""

    annotator: str
    n: int
    """Judgements that count, gold items and repetitions among them, as for what shows how somebody works: seconds,
    haste and side (which is shuffled anew each time)."""
    late: int
    gold: Estimate | None
    """Share of gold items answered as expected, Wilson's interval; each counts once."""
    consistency: Estimate | None
    """Share of repeated questions answered as before; Wilson's interval, a repeated item being one trial."""
    agreement: Estimate | None
    """Share of others' answers that are the same, mean over the items shared with others (leave one out); gold items,
    which are chosen to be agreed on, and repetitions are left out."""
    ahead: Estimate | None
    """How much more of it there is than among the others, on the items that two of them judged too; below 0 is less.
    Hard items lower both."""
    median_seconds: float | None
    hasty: Estimate | None
    """Share of timed answers faster than ``Bounds.fast_seconds``."""
    left: Estimate | None
    """Share of choices between two that fell on the left one; sides are shuffled, so 1/2 is expected."""
    ties: Estimate | None
    """Share of judgements of two that call them equal, repetitions left out."""
    flags: tuple[Flag, ...]
    unsaid: tuple[str, ...]
    """What cannot be said yet, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far annotators agree on one question, of all items or of one category of them."""

    question: str
    category: str
    """Empty for all items."""
    scale: Literal["nominal", "ordinal", "interval"]
    alpha: Estimate | None
    raw: Estimate | None
    why_not: str
    """Why a number is missing; empty where none is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyQuality:
    """A study as it stands."""

    n: int
    late: int
    annotators: tuple[AnnotatorQuality, ...]
    """The most prolific first."""
    agreement: tuple[Agreement, ...]
    """By question: all items, then each category where there is more than one."""
    progress: tuple[tuple[int, int], ...]
    """Milliseconds since 1970, and judgements that count until then."""


def judged_of(judgement: Judgement, protocol: JudgementProtocol) -> Judged | None:
    """What a stored judgement says for these purposes; None once it is erased, or where its status does not count."""
    payload = judgement.payload
    if payload is None or judgement.status not in ("counted", "late"):
        return None
    answer, content, shown = payload["answer"], payload["content"], list(payload["shown"])
    ranks = answer.get("ranks")
    picked = answer.get("picked")
    if ranks is not None and len(ranks) == 2 and ranks[0] != ranks[1]:
        picked = int(ranks[1] < ranks[0])
    strength = answer.get("strength")
    tied = (ranks is not None and len(ranks) == 2 and ranks[0] == ranks[1]) or (picked is not None and strength == 0)
    sided = picked is not None and not tied and len(shown) == 2
    return Judged(
        annotator=judgement.person,
        item=str(judgement.item),
        questions=protocol.questions(answer),
        side=(0 if shown.index(picked) == 0 else 1) if sided else None,
        tied=tied,
        strength=None if strength is None else float(strength),
        seconds=None if payload.get("seconds") is None else float(payload["seconds"]),
        right=protocol.right(answer, content) if payload["purpose"] == "gold" else None,
        repeat_of=None if payload["repeats"] is None else str(payload["repeats"]),
        status="counted" if judgement.status == "counted" else "late",
        at=judgement.at,
        category=str(content.get("category", "")),
    )


def quality_of(
    judged: Iterable[Judged], bounds: Bounds | None = None, *, resampling: Resampling | None = None
) -> StudyQuality:
    """Everything that a study's judgements say of themselves. Late ones are counted as late, and nowhere else.

    Raises:
        DataError: one person judged an item twice and none of the two is a repetition; or a question stands on two
            scales.
    """
    records, bounds = list(judged), bounds or Bounds()
    counted = [record for record in records if record.status == "counted"]
    by_person = _grouped(records, lambda record: record.annotator)
    table = _Table(counted)
    people = [_annotator(person, of_person, table, bounds) for person, of_person in by_person.items()]
    return StudyQuality(
        n=len(counted),
        late=len(records) - len(counted),
        annotators=tuple(sorted(people, key=lambda person: (-person.n, person.annotator))),
        agreement=tuple(agreement_by_question(counted, resampling=resampling or Resampling(level=bounds.level))),
        progress=_progress(counted),
    )


def agreement_by_question(judged: Sequence[Judged], *, resampling: Resampling | None = None) -> list[Agreement]:
    """Alpha and raw agreement of each question, of all items and by category; gold items and repetitions left out.

    Items are resampled whole, with all their replies. Raises DataError where a question stands on two scales.
    """
    resampling = resampling or Resampling()
    records = [r for r in judged if r.right is None and r.repeat_of is None and r.status == "counted"]
    categories = sorted({record.category for record in records})
    scales_by_question: dict[str, set[str]] = defaultdict(set)
    for record in records:
        for name, answer in record.questions.items():
            scales_by_question[_family(name)].add(answer.level)
    agreements = []
    for question, scales in scales_by_question.items():
        if len(scales) > 1:
            raise DataError(f"a question has one scale, but {question!r} has {', '.join(sorted(scales))}")
        for category in ["", *categories] if len(categories) > 1 else [""]:
            of_category = [record for record in records if category in ("", record.category)]
            agreements.append(_agreement(question, category, of_category, resampling))
    return agreements


def _agreement(question: str, category: str, records: Sequence[Judged], resampling: Resampling) -> Agreement:
    rows = [
        ((record.item, name), record.item, answer)
        for record in records
        for name, answer in record.questions.items()
        if _family(name) == question
    ]
    units, items = [unit for unit, _, _ in rows], [item for _, item, _ in rows]
    values = [answer.value for _, _, answer in rows]
    scale: Literal["nominal", "ordinal", "interval"] = rows[0][2].level if rows else "nominal"
    alpha = raw = None
    try:
        raw = raw_agreement(units, values, clusters=items, resampling=resampling)
        alpha = krippendorff_alpha(units, values, scale, clusters=items, resampling=resampling)
        why_not = ""
    except DataError as error:
        why_not = error.message
    return Agreement(question=question, category=category, scale=scale, alpha=alpha, raw=raw, why_not=why_not)


# annotators ----------------------------------------------------------------------------------------------


class _Table:
    """Judgements by item: whose answers can be held against whose."""

    def __init__(self, counted: Sequence[Judged]) -> None:
        self.by_item: dict[str, dict[str, Judged]] = defaultdict(dict)
        for record in counted:
            annotator, item = record.annotator, record.item
            if record.repeat_of is None and record.right is None and record.questions:  # votes of a turn have none
                if annotator in self.by_item[item]:
                    raise DataError(f"{annotator!r} judged item {item!r} twice, and neither is a repetition")
                self.by_item[item][annotator] = record

    def with_others(self, person: str) -> tuple[list[float], list[float]]:
        """A person's mean agreement with the others, by item; and how far it is ahead of theirs among themselves.

        The second list has only the items that two others judged too.
        """
        agreement, ahead = [], []
        for by_annotator in self.by_item.values():
            if person not in by_annotator or len(by_annotator) < 2:
                continue
            peers = [record for annotator, record in by_annotator.items() if annotator != person]
            with_peers = _mean([_same(by_annotator[person], peer) for peer in peers])
            among_peers = _mean([_same(a, b) for k, a in enumerate(peers) for b in peers[:k]])
            agreement += with_peers
            ahead += [with_peers[0] - among_peers[0]] if with_peers and among_peers else []
        return agreement, ahead


@dataclass(frozen=True)
class _Test:
    """Shares that are expected to lie between two bounds on average."""

    about: About
    shares: Sequence[float]
    fewest: int
    unit: str
    measure: str
    low: float = 0.0
    high: float = 1.0

    def outcome(self, level: float) -> Flag | str | None:
        """A flag where the interval lies wholly outside the bounds; a text where there is too little to say."""
        n = len(self.shares)
        if n < self.fewest:
            return f"{self.about}: {n} {self.unit}, fewer than {self.fewest}: cannot say"
        signed = self.about == "agreement"  # a difference of shares, in [-1, 1]
        mean = mean_with_interval(np.array(self.shares), level=level) if signed else wilson(sum(self.shares), n, level)
        if self.low <= mean.high and mean.low <= self.high:
            return None
        bounds = f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"
        measured = f"{self.measure}: {mean.value:.2f} [{mean.low:.2f}, {mean.high:.2f}] of {n} {self.unit}"
        return Flag(self.about, f"{measured}; expected {bounds} ({100 * level:g} % interval)")


def _annotator(person: str, records: Sequence[Judged], table: _Table, bounds: Bounds) -> AnnotatorQuality:
    counted = [record for record in records if record.status == "counted"]
    first = [record for record in counted if record.repeat_of is None]
    gold = [float(record.right) for record in first if record.right is not None]
    again, sides = _consistency(counted), [float(record.side == 0) for record in counted if record.side is not None]
    timed = [record.seconds for record in counted if record.seconds is not None]
    fast = [] if bounds.fast_seconds is None else [float(seconds < bounds.fast_seconds) for seconds in timed]
    tied = [float(record.tied) for record in first if record.tied or record.side is not None]
    shared, ahead = table.with_others(person)
    tests = [
        _Test("gold", gold, bounds.fewest_gold, "gold items", "answered as expected", low=bounds.gold),
        _Test("consistency", again, bounds.fewest_repeats, "repeated items", "answered as before", bounds.consistency),
        _Test("side", sides, bounds.fewest_sides, "choices between two", "of the left one", low=0.5, high=0.5),
        _Test("haste", fast, 1, "timed answers", f"faster than {bounds.fast_seconds} s", high=bounds.hasty),
        _Test("agreement", ahead, bounds.fewest_shared, "items that two others judged too",
              "agreement above theirs among themselves", low=-bounds.behind),
    ]  # fmt: skip
    outcomes = [test.outcome(bounds.flag_level) for test in tests if test.about != "haste" or fast]
    return AnnotatorQuality(
        annotator=person,
        n=len(counted),
        late=len(records) - len(counted),
        gold=_share(gold, bounds.level),
        consistency=_share(again, bounds.level),
        agreement=_mean_share(shared, bounds.level),
        ahead=mean_with_interval(np.array(ahead), level=bounds.level) if ahead else None,
        median_seconds=median(timed) if timed else None,
        hasty=_share(fast, bounds.level),
        left=_share(sides, bounds.level),
        ties=_share(tied, bounds.level),
        flags=tuple(outcome for outcome in outcomes if isinstance(outcome, Flag)),
        unsaid=tuple(outcome for outcome in outcomes if isinstance(outcome, str)),
    )


def _share(shares: Sequence[float], level: float) -> Estimate | None:
    return wilson(sum(shares), len(shares), level) if shares else None


def _consistency(counted: Sequence[Judged]) -> list[float]:
    """For each repeated item the share of its questions that were answered as before."""
    first = {record.item: record for record in counted if record.repeat_of is None and record.questions}
    pairs = [(first[record.repeat_of], record) for record in counted if record.repeat_of in first]
    return [same for before, again in pairs if (same := _same(before, again)) is not None]


def _same(a: Judged, b: Judged) -> float | None:
    """Share of equal answers to the questions that both answered; the nominal ones where there are any."""
    shared = [name for name in a.questions if name in b.questions]
    nominal = [name for name in shared if a.questions[name].level == "nominal"]
    compared = nominal or shared
    if not compared:
        return None
    return sum(a.questions[name].value == b.questions[name].value for name in compared) / len(compared)


def _mean(values: Sequence[float | None]) -> list[float]:
    defined = [value for value in values if value is not None]
    return [sum(defined) / len(defined)] if defined else []


def _mean_share(shares: Sequence[float], level: float) -> Estimate | None:
    """Mean of shares; where all are alike, or there is one, Wilson's interval: there is no spread to go by."""
    if not shares:
        return None
    if len(set(shares)) == 1:
        return wilson(sum(shares), len(shares), level)
    return mean_with_interval(np.array(shares), level=level).clip()


def _progress(counted: Sequence[Judged], most: int = 200) -> tuple[tuple[int, int], ...]:
    """How many there were when, at no more than ``most`` moments; the first and the last are among them."""
    times = sorted(record.at for record in counted)
    if len(times) <= most:
        return tuple((at, k) for k, at in enumerate(times, 1))
    indices = sorted({round(k * (len(times) - 1) / (most - 1)) for k in range(most)})
    return tuple((times[index], index + 1) for index in indices)


def _family(question: str) -> str:
    """A question without the number of the reply it is about."""
    return re.sub(r" \d+(:\d+)?$", "", question)


def _grouped(judged: Iterable[Judged], key: Callable[[Judged], _K]) -> dict[_K, list[Judged]]:
    groups: dict[_K, list[Judged]] = defaultdict(list)
    for record in judged:
        groups[key(record)].append(record)
    return dict(groups)
