"""Respondents that answer as a test says, and one way of running a suite with them."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from preflab.data.dialogue import Dialogue
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.runner import ItemResult, MeasuredValue, measure_results, run_items
from preflab.evals.core.suite import Suite
from preflab.rollouts.requests.types import (
    Failure,
    Generate,
    Generation,
    OptionLogprobs,
    OptionScores,
    Request,
    Response,
    RewardScores,
    ScoreReplies,
)

Tell = Callable[[Any], Any]


class Scripted:
    """Gives probabilities of options, words or scores by what is asked; leaves a tape of all asks."""

    name = "scripted"
    digest = "scripted"

    def __init__(self, *, choose: Tell | None = None, speak: Tell | None = None, rate: Tell | None = None) -> None:
        self.tells = {"choose": choose, "speak": speak, "rate": rate}
        self.kinds = frozenset(kind for kind, tell in self.tells.items() if tell)
        self.tape: list[Request] = []

    def respond(self, asks: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        for i, ask in enumerate(asks):
            self.tape.append(ask)
            tell = self.tells[ask.kind]
            assert tell is not None
            found = tell(ask)
            if isinstance(found, Failure):
                yield i, found
            elif isinstance(ask, OptionLogprobs):
                yield (
                    i,
                    OptionScores(tuple(math.log(p) for p in found), tuple(max(1, len(o.split())) for o in ask.options)),
                )
            elif isinstance(ask, Generate):
                yield i, Generation(found)
            else:
                assert isinstance(ask, ScoreReplies)
                yield i, RewardScores(tuple(float(x) for x in found))


def asked(ask: Request) -> str:
    """All that an ask says, in one text."""
    prompt = ask.prompt
    return "\n".join(m.text for m in prompt.messages) if isinstance(prompt, Dialogue) else prompt


def shelf_of(folder: Path, records: Sequence[Mapping[str, Any]], suite: str, name: str = "records.jsonl") -> DataSource:
    """These records as the file of a suite."""
    path = folder / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return DataSource(paths={suite: path})


def tell(suite: Suite, shelf: DataSource, way: str, **panel: Any) -> list[ItemResult]:
    """Every item of a suite, asked one way."""
    return run_items(suite.variant(way), suite.load(shelf).items, panel)


def outcome(told: ItemResult) -> Mapping[str, Any]:
    """What came of an item that was scored."""
    assert told.outcome is not None, told.failed
    return told.outcome


def values(suite: Suite, told: Sequence[ItemResult]) -> dict[str, float | None]:
    """Measures by name, those of a part as ``name [column=value]``."""

    def name(own: MeasuredValue) -> str:
        return f"{own.name} [{own.column}={own.value}]" if own.column else own.name

    found = measure_results(suite.measures, told)
    return {name(own): None if own.estimate is None else own.estimate.value for own in found}
