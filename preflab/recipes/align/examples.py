"""Which replies the report shows: where the trained policy gained most, around the median, where it lost most."""

from collections.abc import Sequence
from dataclasses import dataclass

from preflab.recipes.align.results import PolicyReplies, PolicyScores
from preflab.reporting.html import truncate

PER_STRATUM = 3
TEXT_BUDGET = 700_000
"""Characters of prompts and replies in the whole report."""
SHORTEST_LIMIT, LONGEST_LIMIT = 300, 3_000
"""Characters of one text: what is cut to the budget keeps the first, and none keeps more than the second."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One prompt and a reply of each policy, cut to length."""

    number: int
    """Of the prompt, from 1, in the order in which the prompts were drawn."""
    category: str
    prompt: str
    base: str
    best_of_n: str
    trained: str
    scores: PolicyScores

    @property
    def gain(self) -> float:
        """By how much the trained policy's reply scores higher than the base policy's, nats."""
        return self.scores.trained - self.scores.base


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """Examples of one kind."""

    title: str
    examples: Sequence[Example]


@dataclass(frozen=True, kw_only=True)
class ExampleSelection:
    """All examples, each once."""

    strata: Sequence[Stratum] = ()
    remainder: Sequence[Example] = ()
    """Those of no stratum, from the largest gain to the largest loss."""
    n: int = 0


def select_examples(replies: Sequence[PolicyReplies]) -> ExampleSelection:
    """Replies side by side, sorted by how much the held-out model's score changed, and picked by rule."""
    limit = max(SHORTEST_LIMIT, min(LONGEST_LIMIT, TEXT_BUDGET // (4 * max(1, len(replies)))))
    examples = sorted(
        (_example(number, entry, limit) for number, entry in enumerate(replies, start=1)),
        key=lambda example: -example.gain,
    )
    k = min(PER_STRATUM, len(examples) // 3)
    if k == 0:
        return ExampleSelection(remainder=examples, n=len(examples))
    starts = {
        "Where PPO gained most": 0,
        "Around the middle": (len(examples) - k) // 2,
        "Where PPO lost most": len(examples) - k,
    }
    strata = [Stratum(title=title, examples=examples[start : start + k]) for title, start in starts.items()]
    shown = {example.number for stratum in strata for example in stratum.examples}
    return ExampleSelection(
        strata=strata, remainder=[example for example in examples if example.number not in shown], n=len(examples)
    )


def _example(number: int, replies: PolicyReplies, limit: int) -> Example:
    is_single = len(replies.prompt) == 1
    turns = [turn["content"] if is_single else f"{turn['role']}: {turn['content']}" for turn in replies.prompt]
    return Example(
        number=number,
        category=replies.category,
        prompt=truncate("\n\n".join(turns), limit),
        base=truncate(replies.base, limit),
        best_of_n=truncate(replies.best_of_n, limit),
        trained=truncate(replies.trained, limit),
        scores=replies.scores,
    )
