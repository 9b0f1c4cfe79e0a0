"""Run a suite: every item's plan in step, all asks of a round together, a line an item.

What a plan asks next may depend on what was answered; all items take their first round together, then their second.
Items that cannot be scored are counted by reason and kept with what was asked and answered.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from preflab.errors import ConfigError, DataError
from preflab.evals.core.suite import Item, Measure, Suite, Variant, columns_of
from preflab.evals.metrics.diversity import reply_estimates
from preflab.maths.statistics import Estimate
from preflab.rollouts.requests.responders import Responder
from preflab.rollouts.requests.response_cache import ResponseCache
from preflab.rollouts.requests.types import (
    Failure,
    Generate,
    Generation,
    Outcome,
    Plan,
    Request,
    ResponderRole,
    Response,
    Unscorable,
    request_json,
    response_json,
)

Advance = Callable[..., None]
Responders = Mapping[ResponderRole, Responder]
"""Who answers as what."""


@dataclass
class ItemResult:
    """One item, what was asked and answered, and what came of it."""

    item: Item
    rounds: list[tuple[Sequence[Request], Sequence[Response]]] = field(default_factory=list)
    outcome: Outcome | None = None
    failed: str | None = None
    """Why it could not be scored."""

    def to_json(self) -> dict[str, Any]:
        """A line of the items' file."""
        rounds = [
            [{"ask": request_json(ask), "answer": response_json(answer)} for ask, answer in zip(*own, strict=True)]
            for own in self.rounds
        ]
        found: dict[str, Any] = {"id": self.item.id, "group": self.item.group, "rounds": rounds}
        return found | ({"failed": self.failed} if self.outcome is None else {"outcome": dict(self.outcome)})


def select_items(items: Sequence[Item], limit: int | None, seed: int) -> list[Item]:
    """At most ``limit`` items, drawn by the seed from as many groups as there can be, blocks whole.

    One block of every group comes before the second of any, groups and blocks in a pseudo-random order. The last block
    may be cut. The same seed takes the same items, and a larger limit takes more beside them.

    Raises:
        ConfigError: the limit is below 1.
    """
    if limit is None:
        return list(items)
    if limit < 1:
        raise ConfigError(f"limit must be at least 1, got {limit}")
    blocks: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        blocks.setdefault((item.group, item.block), []).append(item)
    of_group: dict[str, list[list[Item]]] = {}
    for group, block in sorted(blocks, key=lambda own: _draw_key(seed, *own)):
        of_group.setdefault(group, []).append(blocks[group, block])
    order = sorted(of_group, key=lambda group: _draw_key(seed, group))
    most = max(map(len, of_group.values()), default=0)
    found = [item for k in range(most) for group in order for own in of_group[group][k : k + 1] for item in own]
    return found[:limit]


def _draw_key(seed: int, *names: str) -> bytes:
    return hashlib.sha256("/".join((str(seed), *names)).encode("utf-8", "surrogatepass")).digest()


def run_items(
    way: Variant,
    items: Sequence[Item],
    panel: Responders,
    *,
    seed: int = 0,
    answers: ResponseCache | None = None,
    advance: Advance | None = None,
) -> list[ItemResult]:
    """Ask all items.

    Args:
        panel    who answers for each of ``way.asks``.
        seed     of what is drawn.
        answers  those of before, and where new ones are kept.
        advance  called with the number of items that are done.

    Raises:
        ConfigError: nobody on the panel can answer what the way asks.
    """
    check_responders(way, panel)
    answers = answers or ResponseCache(None)
    plays = [_ItemRun(ItemResult(item), way.plan(item)) for item in items]
    waiting = [i for i, play in enumerate(plays) if play.step(None) or _done(advance)]
    while waiting:
        flat = [(i, k) for i in waiting for k in range(len(plays[i].asks))]
        again: list[int] = []
        for whom in sorted({plays[i].asks[k].whom for i, k in flat}):
            own = [(i, k) for i, k in flat if plays[i].asks[k].whom == whom]
            if whom not in panel:
                raise ConfigError(f"a plan of the way {way.name} asks the {whom}, which it did not announce")
            wanted = [plays[i].asks[k] for i, k in own]
            for n, answer in answers.answered(panel[whom], wanted, seed=seed):
                i, k = own[n]
                if plays[i].take(k, answer):
                    again += [i] if plays[i].step(plays[i].round()) or _done(advance) else []
        waiting = sorted(again)
    return [play.told for play in plays]


def _done(advance: Advance | None) -> bool:
    if advance:
        advance(1)
    return False


class _ItemRun:
    """An item's plan, and the answers of the round it is in."""

    def __init__(self, told: ItemResult, plan: Plan) -> None:
        self.told, self.plan = told, plan
        self.asks: Sequence[Request] = ()
        self._answers: dict[int, Response] = {}

    def take(self, k: int, answer: Response) -> bool:
        """One answer of the round; True when it was the last."""
        self._answers[k] = answer
        return len(self._answers) == len(self.asks)

    def round(self) -> Sequence[Response]:
        """The answers of the round, which is over."""
        return [self._answers[k] for k in range(len(self.asks))]

    def step(self, answers: Sequence[Response] | None) -> bool:
        """Take the plan one round on; False when it is done."""
        try:
            if answers is None:
                self.asks = next(self.plan)
            else:
                self.told.rounds.append((self.asks, answers))
                bad = next((answer for answer in answers if isinstance(answer, Failure)), None)
                self.asks = self.plan.send(answers) if bad is None else self.plan.throw(Unscorable(bad.reason))
        except StopIteration as done:
            self.told.outcome = done.value
            return False
        except Unscorable as error:
            self.told.failed = str(error)
            return False
        self._answers = {}
        if not self.asks:
            raise ConfigError(f"the plan of item {self.told.item.id!r} asks for nothing in a round")
        return True


def check_responders(way: Variant, panel: Responders) -> None:
    """Whether all that a way asks can be answered.

    Raises:
        ConfigError: somebody is missing.
    """
    hints = {"judge": "--judge names a model to judge", "pm": "--pm names a run with a preference model"}
    for whom in sorted(way.asks):
        if whom not in panel:
            raise ConfigError(f"the way {way.name} asks a {whom}; {hints.get(whom, 'name a policy')}")
    policy = panel.get("policy")
    if way.logprobs and "policy" in way.asks and policy is not None and "choose" not in policy.kinds:
        raise ConfigError(
            f"the way {way.name} needs log-probabilities of given words, which {policy.name} does not give; take a way "
            "that reads replies ('preflab eval --list' shows them)"
        )


@dataclass(frozen=True, kw_only=True)
class MeasuredValue:
    """A measure over all items, or over those with one value of a column."""

    name: str
    unit: str
    better: str
    how: str
    estimate: Estimate | None
    """None where it is undefined."""
    column: str = ""
    value: str = ""
    """Which items: those whose ``column`` has this value; all where there is no column."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "estimate": None if self.estimate is None else self.estimate.to_json()}


def measure_results(measures: Sequence[Measure], told: Sequence[ItemResult], *, seed: int = 0) -> list[MeasuredValue]:
    """Every measure, over all scored items and broken down."""
    scored = [own for own in told if own.outcome is not None]
    if not scored:
        return []
    columns = columns_of([own.outcome for own in scored if own.outcome is not None])
    groups = np.array([own.item.group for own in scored], dtype=object)
    found = []
    for measure in measures:
        if not measure.given(columns):
            continue
        words = {"name": measure.name, "unit": measure.unit, "better": measure.better, "how": measure.how}
        found.append(MeasuredValue(**words, estimate=measure.estimate(columns, groups.tolist(), seed=seed)))
        for column in (name for name in measure.by if name in columns):
            for value in sorted(set(columns[column].tolist()) - {""}):
                at = columns[column] == value
                own_columns = {name: own[at] for name, own in columns.items()}
                own = measure.estimate(own_columns, groups[at].tolist(), seed=seed)
                found.append(MeasuredValue(**words, estimate=own, column=column, value=str(value)))
    return found


def summary(suite: Suite, way: Variant, told: Sequence[ItemResult], *, seed: int = 0) -> dict[str, Any]:
    """What a suite found, for the results file."""
    failed = Counter(own.failed for own in told if own.failed is not None)
    shortened = sum(getattr(a, "shortened", False) for own in told for _, answers in own.rounds for a in answers)
    cut_off = sum(not getattr(a, "finished", True) for own in told for _, answers in own.rounds for a in answers)
    return {
        "suite": suite.name,
        "title": suite.title,
        "way": way.name,
        "items": len(told),
        "groups": len({own.item.group for own in told}),
        "scored": sum(own.outcome is not None for own in told),
        "failed": dict(failed.most_common()),
        "shortened_prompts": shortened,
        "unfinished_replies": cut_off,
        "measures": [
            own.to_json() for own in [*measure_results(suite.measures, told, seed=seed), *reply_measures(told)]
        ],
    }


_REPLY_FACTS: dict[str, tuple[str, str]] = {
    "reply length": ("words", "Mean length of the model's replies."),
    "distinct-1": ("share", "Different words over all words of all replies."),
    "distinct-2": ("share", "Different pairs of neighbouring words over all pairs."),
    "distinct-3": ("share", "Different triples of neighbouring words over all triples."),
    "self-BLEU": ("points", "How alike the replies are: BLEU of each against all others, 0 to 100; 400 at most."),
}


def reply_measures(told: Sequence[ItemResult]) -> list[MeasuredValue]:
    """What the policy's replies to scored items look like from outside; of several rounds the last words count."""
    texts, groups = list[str](), list[str]()
    for own in (one for one in told if one.outcome is not None):
        pairs = [pair for asks, answers in own.rounds for pair in zip(asks, answers, strict=True)]
        last = {
            ask.sample: answer.text
            for ask, answer in pairs
            if isinstance(ask, Generate) and ask.whom == "policy" and isinstance(answer, Generation)
        }
        texts += last.values()
        groups += [own.item.group] * len(last)
    found = reply_estimates(texts, groups)
    return [
        MeasuredValue(name=name, unit=_REPLY_FACTS[name][0], better="", how=_REPLY_FACTS[name][1], estimate=own)
        for name, own in found.items()
    ]


def write_items(path: Path, told: Sequence[ItemResult]) -> None:
    """One line an item, replaced at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        for own in told:
            file.write(json.dumps(own.to_json(), ensure_ascii=True) + "\n")
    part.replace(path)


def read_items(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of an items' file.

    Raises:
        DataError: it is not there or damaged.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise DataError(f"not valid JSON: {error}", path=path, line=number) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error
