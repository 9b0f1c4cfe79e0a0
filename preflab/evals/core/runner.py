"""Run a suite: every item's plan in step, all requests of a round together, a line an item.

A plan's next requests may depend on the responses so far: all items take their first round together, then their second.
Items that cannot be scored are counted by reason and kept with their requests and responses.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from preflab.atomic_files import json_text, write_atomically
from preflab.conversion import stored_as
from preflab.errors import ConfigError, ContractError, DataError
from preflab.evals.core.items import Item
from preflab.evals.core.suite import Measure, Outcome, Plan, Suite, Variant, checked_outcome, columns_of
from preflab.evals.metrics.diversity import reply_estimates
from preflab.maths.statistics import Estimate
from preflab.rollouts.requests.responders import Responder
from preflab.rollouts.requests.response_cache import ResponseCache
from preflab.rollouts.requests.types import (
    Failure,
    Generate,
    Generation,
    Request,
    ResponderRole,
    Response,
    UnreadableResponse,
    request_json,
    response_json,
    restore_numbers,
)

Advance = Callable[..., None]
Responders = Mapping[ResponderRole, Responder]
"""Who answers in which role."""


_NOT_FINITE = "not_finite"
"""Key of an items' line: names in its outcome -> ``nan``, ``inf`` or ``-inf``, which JSON cannot write."""


@dataclass
class ItemResult:
    """One item, its requests and responses, and what came of it."""

    item: Item
    rounds: list[tuple[Sequence[Request], Sequence[Response]]] = field(default_factory=list)
    outcome: Outcome | None = None
    failed: str | None = None
    """Why it could not be scored."""

    def to_json(self) -> dict[str, Any]:
        """A line of the items' file."""
        rounds = [
            [
                {"ask": request_json(request), "answer": response_json(response)}
                for request, response in zip(*exchanges, strict=True)
            ]
            for exchanges in self.rounds
        ]
        line: dict[str, Any] = {"id": self.item.id, "group": self.item.group, "rounds": rounds}
        if self.outcome is None:
            return line | {"failed": self.failed}
        not_finite = {
            name: str(value)
            for name, value in self.outcome.items()
            if isinstance(value, float) and not math.isfinite(value)
        }
        return line | {"outcome": dict(self.outcome)} | ({_NOT_FINITE: not_finite} if not_finite else {})


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
    blocks_of_group: dict[str, list[list[Item]]] = {}
    for group, block in sorted(blocks, key=lambda block_key: _draw_key(seed, *block_key)):
        blocks_of_group.setdefault(group, []).append(blocks[group, block])
    order = sorted(blocks_of_group, key=lambda group: _draw_key(seed, group))
    most = max(map(len, blocks_of_group.values()), default=0)
    selected = [
        item for k in range(most) for group in order for block in blocks_of_group[group][k : k + 1] for item in block
    ]
    return selected[:limit]


def _draw_key(seed: int, *names: str) -> bytes:
    return hashlib.sha256("/".join((str(seed), *names)).encode("utf-8", "surrogatepass")).digest()


def run_items(
    variant: Variant,
    items: Sequence[Item],
    responders: Responders,
    *,
    seed: int = 0,
    cache: ResponseCache | None = None,
    advance: Advance | None = None,
) -> list[ItemResult]:
    """Ask all items.

    Args:
        responders  who answers, for each of ``variant.roles``.
        seed        of what is drawn.
        cache       earlier responses, and where new ones are stored.
        advance     called with the number of items that are done.

    Raises:
        ConfigError: a role has no responder, or one that cannot answer what the variant asks.
        ContractError: a plan is no generator, or yields or returns what it must not.
    """
    check_responders(variant, responders)
    cache = cache or ResponseCache(None)
    item_runs = [_ItemRun(ItemResult(item), variant.plan(item)) for item in items]
    waiting = [i for i, item_run in enumerate(item_runs) if item_run.step(None) or _count_done(advance)]
    while waiting:
        pending = [(i, k) for i in waiting for k in range(len(item_runs[i].requests))]
        unfinished: list[int] = []
        for role in sorted({item_runs[i].requests[k].role for i, k in pending}):
            positions = [(i, k) for i, k in pending if item_runs[i].requests[k].role == role]
            if role not in responders:
                raise ConfigError(f"a plan of variant {variant.name} asks the {role}, which is not among its roles")
            requests = [item_runs[i].requests[k] for i, k in positions]
            for n, response in cache.respond(responders[role], requests, seed=seed):
                i, k = positions[n]
                if item_runs[i].take(k, response):
                    unfinished += (
                        [i] if item_runs[i].step(item_runs[i].round_responses()) or _count_done(advance) else []
                    )
        waiting = sorted(unfinished)
    return [item_run.result for item_run in item_runs]


def _count_done(advance: Advance | None) -> bool:
    if advance:
        advance(1)
    return False


class _ItemRun:
    """An item's plan, and the responses of the round it is in."""

    def __init__(self, result: ItemResult, plan: Plan) -> None:
        if not isinstance(plan, Generator):
            raise ContractError(
                f"the plan of item {result.item.id!r}: expected a generator (a function that yields its requests), "
                f"found {type(plan).__name__}"
            )
        self.result, self.plan = result, plan
        self.requests: Sequence[Request] = ()
        self._responses: dict[int, Response] = {}

    def take(self, k: int, response: Response) -> bool:
        """Add one response of the round; True when it was the last."""
        self._responses[k] = response
        return len(self._responses) == len(self.requests)

    def round_responses(self) -> Sequence[Response]:
        """The responses of the finished round, in the order of its requests."""
        return [self._responses[k] for k in range(len(self.requests))]

    def step(self, responses: Sequence[Response] | None) -> bool:
        """Take the plan one round on; False when it is done."""
        try:
            if responses is None:
                self.requests = next(self.plan)
            else:
                self.result.rounds.append((self.requests, responses))
                failure = next((response for response in responses if isinstance(response, Failure)), None)
                if failure is None:
                    self.requests = self.plan.send(responses)
                else:
                    self.requests = self.plan.throw(UnreadableResponse(failure.reason))
        except StopIteration as done:
            self.result.outcome = checked_outcome(done.value, self.result.item.id)
            return False
        except UnreadableResponse as error:
            self.result.failed = str(error)
            return False
        self._responses = {}
        if not isinstance(self.requests, Sequence) or not all(hasattr(request, "role") for request in self.requests):
            kind = type(self.requests).__name__
            raise ContractError(f"the plan of item {self.result.item.id!r}: expected a list of requests, found {kind}")
        if not self.requests:
            raise ConfigError(f"the plan of item {self.result.item.id!r} asks for nothing in a round")
        return True


def check_responders(variant: Variant, responders: Responders) -> None:
    """Whether all that a variant asks can be answered.

    Raises:
        ConfigError: a role has no responder, or the policy gives no log-probabilities.
    """
    hints = {"judge": "--judge names a model to judge", "pm": "--pm names a run with a preference model"}
    for role in sorted(variant.roles):
        if role not in responders:
            raise ConfigError(f"variant {variant.name} asks a {role}; {hints.get(role, 'name a policy')}")
    policy = responders.get("policy")
    if variant.logprobs and "policy" in variant.roles and policy is not None and "choose" not in policy.kinds:
        raise ConfigError(
            f"variant {variant.name} needs log-probabilities of given options, which {policy.name} does not give; take "
            "a variant that reads replies ('preflab eval --list' shows them)"
        )


@dataclass(frozen=True, kw_only=True)
class MeasuredValue:
    """A measure over all items, or over those with one value of a column."""

    name: str
    unit: str
    better: str
    description: str = field(metadata=stored_as("how"))
    estimate: Estimate | None
    """None where it is undefined."""
    column: str = ""
    value: str = ""
    """Which items: those whose ``column`` has this value; all where there is no column."""


@dataclass(frozen=True, kw_only=True)
class SuiteSummary:
    """Measures of a suite, and counts of its items."""

    suite: str
    title: str
    variant: str = field(metadata=stored_as("way"))
    items: int
    groups: int
    scored: int
    failed: Mapping[str, int]
    """Why items could not be scored -> how many."""
    shortened_prompts: int
    """Prompts that lost their beginning to fit the context."""
    unfinished_replies: int
    """Replies that were cut off when their room was used up."""
    measures: Sequence[MeasuredValue]
    unread_replies: Mapping[str, int] = field(default_factory=dict)
    """Of items with several drawn replies: those left out of their shares, by reason."""


def measure_results(
    measures: Sequence[Measure], results: Sequence[ItemResult], *, seed: int = 0
) -> list[MeasuredValue]:
    """Every measure, over all scored items and broken down."""
    scored = [result for result in results if result.outcome is not None]
    if not scored:
        return []
    columns = columns_of([result.outcome for result in scored if result.outcome is not None])
    groups = np.array([result.item.group for result in scored], dtype=object)
    measured = []
    for measure in measures:
        if not measure.has_columns(columns):
            continue
        facts = {
            "name": measure.name,
            "unit": measure.unit,
            "better": measure.better,
            "description": measure.description,
        }
        measured.append(MeasuredValue(**facts, estimate=measure.estimate(columns, groups.tolist(), seed=seed)))
        for column in (name for name in measure.by if name in columns):
            for value in sorted(set(columns[column].tolist()) - {""}):
                selected = columns[column] == value
                subset = {name: values[selected] for name, values in columns.items()}
                estimate = measure.estimate(subset, groups[selected].tolist(), seed=seed)
                measured.append(MeasuredValue(**facts, estimate=estimate, column=column, value=str(value)))
    return measured


def summary(suite: Suite, variant: Variant, results: Sequence[ItemResult], *, seed: int = 0) -> SuiteSummary:
    """Measures and counts of the results of a suite."""
    failed = Counter(result.failed for result in results if result.failed is not None)
    responses = [response for result in results for _, of_round in result.rounds for response in of_round]
    outcomes = [result.outcome for result in results if result.outcome is not None]
    unread = sum((Counter(outcome.get("unread", {})) for outcome in outcomes), Counter[str]())
    return SuiteSummary(
        suite=suite.name,
        title=suite.title,
        variant=variant.name,
        items=len(results),
        groups=len({result.item.group for result in results}),
        scored=sum(result.outcome is not None for result in results),
        failed=dict(failed.most_common()),
        shortened_prompts=sum(getattr(response, "shortened", False) for response in responses),
        unfinished_replies=sum(not getattr(response, "finished", True) for response in responses),
        measures=(*measure_results(suite.measures, results, seed=seed), *reply_measures(results)),
        unread_replies=dict(unread.most_common()),
    )


_REPLY_FACTS: dict[str, tuple[str, str]] = {
    "reply length": ("words", "Mean length of the model's replies."),
    "distinct-1": ("share", "Different words over all words of all replies."),
    "distinct-2": ("share", "Different pairs of neighbouring words over all pairs."),
    "distinct-3": ("share", "Different triples of neighbouring words over all triples."),
    "self-BLEU": ("points", "How alike the replies are: BLEU of each against all others, 0 to 100; 400 at most."),
}


def reply_measures(results: Sequence[ItemResult]) -> list[MeasuredValue]:
    """What the policy's replies to scored items look like from outside; of several rounds the last reply counts."""
    texts, groups = list[str](), list[str]()
    for result in (result for result in results if result.outcome is not None):
        last = {
            request.sample: response.text
            for requests, responses in result.rounds
            for request, response in zip(requests, responses, strict=True)
            if isinstance(request, Generate) and request.role == "policy" and isinstance(response, Generation)
        }
        texts += last.values()
        groups += [result.item.group] * len(last)
    estimates = reply_estimates(texts, groups)
    return [
        MeasuredValue(
            name=name, unit=_REPLY_FACTS[name][0], better="", description=_REPLY_FACTS[name][1], estimate=estimate
        )
        for name, estimate in estimates.items()
    ]


def write_items(path: Path, results: Sequence[ItemResult]) -> None:
    """One line an item, replaced at once."""
    lines = (json_text(result.to_json(), ensure_ascii=True) + "\n" for result in results)
    write_atomically(path, "".join(lines).encode())


def restore_line(line: dict[str, Any]) -> dict[str, Any]:
    """A line of an items' file with the numbers that JSON could not hold."""
    for exchange in (exchange for exchanges in line.get("rounds", ()) for exchange in exchanges):
        exchange["answer"] = restore_numbers(exchange["answer"])
    for name, text in line.pop(_NOT_FINITE, {}).items():
        line["outcome"][name] = float(text)
    return line


def read_items(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of an items' file.

    Raises:
        DataError: it is not there or damaged.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield restore_line(json.loads(line))
                except ValueError as error:
                    raise DataError(f"not valid JSON: {error}", path=path, line=number) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error
