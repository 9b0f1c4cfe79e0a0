"""A model whose answers follow a rule, and items of our own to ask it."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from preflab.evals.core.items import Item
from preflab.evals.core.runner import ItemResult, run_items
from preflab.evals.suites.bias import admissions, bbq, winogender
from preflab.evals.suites.bias.prompt_templates import Benchmark
from preflab.recipes.ganguli2023_self_correction.conditions import PromptSettings, condition_variant
from preflab.rollouts.requests.types import Generate, Generation, OptionLogprobs, OptionScores, Request, Response
from tests.evals.suites.bbq_records import block
from tests.evals.suites.bias.test_admissions import students
from tests.evals.suites.bias.test_bbq import written
from tests.evals.suites.bias.winogender_rows import rows, shelf


def items_of(benchmark: Benchmark, folder: Path) -> list[Item]:
    """A few items of our own."""
    if benchmark == "bbq":
        return list(bbq.load(written(folder, block(1))).items)
    if benchmark == "winogender":
        return list(winogender.load(shelf(folder, rows(), "winogender.jsonl")).items)
    return list(admissions.loader()(students(folder, 2)).items)


class Tape:
    """Answers by a rule, and keeps what was asked in order."""

    name = digest = "tape"
    kinds = frozenset({"choose", "speak"})

    def __init__(self, choose: Callable[[OptionLogprobs], Sequence[float]], speak: Callable[[Generate], str]) -> None:
        self.choose, self.speak = choose, speak
        self.asked: list[Request] = []

    def respond(self, asks: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        """Every ask is written down."""
        for i, ask in enumerate(asks):
            self.asked.append(ask)
            if isinstance(ask, OptionLogprobs):
                yield i, OptionScores(tuple(math.log(p) for p in self.choose(ask)), tuple(1 for _ in ask.options))
            elif isinstance(ask, Generate):
                yield i, Generation(self.speak(ask))


def even(ask: OptionLogprobs) -> list[float]:
    """The first option has half of what there is."""
    rest = 0.5 / (len(ask.options) - 1)
    return [0.5] + [rest] * (len(ask.options) - 1)


def shown(ask: Request) -> str:
    """All turns of a prompt and the lead, a line between them."""
    assert isinstance(ask, OptionLogprobs | Generate)
    turns = [ask.prompt] if isinstance(ask.prompt, str) else [turn.text for turn in ask.prompt.messages]
    return "\n".join([*turns, ask.lead])


def run(benchmark: Benchmark, condition: str, how: PromptSettings, items: list[Item], tape: Tape) -> list[ItemResult]:
    """Ask the items."""
    told = run_items(condition_variant(benchmark, condition, how), items, {"policy": tape})
    assert not [own.failed for own in told if own.failed]
    return told
