"""What a data set looks like, before anyone trains on it."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from preflab.data.comparison import Comparison
from preflab.errors import DataError

_LEVELS = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)
_LABELS = ("least", "25 %", "median", "75 %", "95 %", "most")
_NAMED = 12
"""Categories listed by name; the others are summed."""
_EXAMPLE_CHARACTERS = 600
"""Of each text of the example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The facts about a data set that decide whether it can be trained on."""

    comparisons: int
    decided_pairs: int
    tied_pairs: int
    identical_pairs: int
    """Pairs of replies with the same text; they can only be ties."""
    distinct_prompts: int
    repeated_prompts: int
    """Comparisons whose prompt an earlier one had, word for word."""
    soft_labels: int
    """Comparisons labelled with a probability in place of a choice."""
    replies: dict[int, int]
    """Replies to a prompt -> how many comparisons have that many."""
    turns: dict[int, int]
    """Messages in the prompt -> how many comparisons have that many."""
    categories: dict[str, int]
    kinds: dict[str, int]
    lengths: dict[str, tuple[int, ...]]
    """What is measured -> its least, quartiles, 95 % and most."""
    longer_wins: float | None
    """Share of decided pairs of unequal length (in characters) in which the longer reply wins; None without such."""
    example: str
    """The first comparison as text."""

    def render(self) -> str:
        """Plain text, a fact a line."""
        wins = "no pairs of unequal length" if self.longer_wins is None else f"{self.longer_wins:.1%} of unequal pairs"
        lines = [
            f"comparisons        {self.comparisons}",
            f"pairs decided      {self.decided_pairs}",
            f"pairs tied         {self.tied_pairs}, of these the same text {self.identical_pairs}",
            f"soft labels        {self.soft_labels}",
            f"distinct prompts   {self.distinct_prompts}, comparisons that repeat one {self.repeated_prompts}",
            f"replies a prompt   {_counts(self.replies)}",
            f"turns in a prompt  {_counts(self.turns)}",
            f"categories         {_counts(self.categories)}",
            f"kinds              {_counts(self.kinds)}",
            f"longer reply wins  {wins}",
            "",
            f"{'lengths':<20}" + "".join(f"{label:>9}" for label in _LABELS),
            *(f"{name:<20}" + "".join(f"{n:>9}" for n in numbers) for name, numbers in self.lengths.items()),
            "",
            "first comparison",
            self.example,
        ]
        return "\n".join(lines)


def describe(comparisons: Sequence[Comparison]) -> Summary:
    """Count and measure.

    Raises:
        DataError: there are no comparisons.
    """
    if not comparisons:
        raise DataError("there are no comparisons to describe")
    pairs = [(comparison, pair) for comparison in comparisons for pair in comparison.pairs()]
    decided = sum(pair.prob_a != 0.5 for _, pair in pairs)
    distinct = len({comparison.prompt for comparison in comparisons})
    return Summary(
        comparisons=len(comparisons),
        decided_pairs=decided,
        tied_pairs=len(pairs) - decided,
        identical_pairs=sum(a == b for comparison in comparisons for a, b in combinations(comparison.replies, 2)),
        distinct_prompts=distinct,
        repeated_prompts=len(comparisons) - distinct,
        soft_labels=sum(comparison.prob_first is not None for comparison in comparisons),
        replies=_by_size(len(comparison.replies) for comparison in comparisons),
        turns=_by_size(len(comparison.prompt.messages) for comparison in comparisons),
        categories=dict(Counter(comparison.category for comparison in comparisons).most_common()),
        kinds=dict(Counter(comparison.kind for comparison in comparisons).most_common()),
        lengths=_lengths(comparisons),
        longer_wins=_longer_wins(comparisons),
        example=_example(comparisons[0]),
    )


def _by_size(sizes: Iterable[int]) -> dict[int, int]:
    """Size -> how often, small sizes first."""
    return dict(sorted(Counter(sizes).items()))


def _lengths(comparisons: Sequence[Comparison]) -> dict[str, tuple[int, ...]]:
    """Quantiles of words and characters, of prompts and of replies."""
    prompts = ["\n".join(message.text for message in comparison.prompt.messages) for comparison in comparisons]
    replies = [reply for comparison in comparisons for reply in comparison.replies]
    return {
        "prompt words": _quantiles(len(text.split()) for text in prompts),
        "prompt characters": _quantiles(len(text) for text in prompts),
        "reply words": _quantiles(len(text.split()) for text in replies),
        "reply characters": _quantiles(len(text) for text in replies),
    }


def _quantiles(sizes: Iterable[int]) -> tuple[int, ...]:
    """For each level the least size that at least that share of all sizes do not exceed."""
    ordered = sorted(sizes)
    return tuple(ordered[max(math.ceil(level * len(ordered)) - 1, 0)] for level in _LEVELS)


def _longer_wins(comparisons: Sequence[Comparison]) -> float | None:
    """Share of decided pairs in which the longer reply wins; pairs of equal length do not count."""
    wins = []
    for comparison in comparisons:
        for pair in comparison.pairs(ties=False):
            longer = len(comparison.replies[pair.a]) - len(comparison.replies[pair.b])
            if longer:
                wins.append((longer > 0) == (pair.prob_a > 0.5))
    return sum(wins) / len(wins) if wins else None


def _counts(counts: Mapping[str, int] | Mapping[int, int]) -> str:
    """``name: count`` for the first few and a sum for the rest."""
    named = [f"{name if name != '' else '(none)'}: {count}" for name, count in counts.items()]
    remaining = sum(list(counts.values())[_NAMED:])
    return printable(", ".join(named[:_NAMED]) + (f", {len(named) - _NAMED} more: {remaining}" if remaining else ""))


def _example(comparison: Comparison) -> str:
    """A comparison as a person reads it: who said what, then the replies from best to worst."""
    parts = [f"[{message.role}] {_shortened(message.text)}" for message in comparison.prompt.messages]
    if comparison.prob_first is not None:
        parts += [f"(reply 0 is better with probability {comparison.prob_first:g})"]
    for rank, k in sorted((rank, k) for k, rank in enumerate(comparison.ranks)):
        parts.append(f"[reply {k}, rank {rank}] {_shortened(comparison.replies[k])}")
    parts += [f"({i} better than {j}: {_shortened(why)})" for (i, j), why in comparison.why.items()]
    return printable("\n".join(parts))


def _shortened(text: str) -> str:
    """The beginning of a text, and how much was cut."""
    cut = len(text) - _EXAMPLE_CHARACTERS
    return text if cut <= 0 else f"{text[:_EXAMPLE_CHARACTERS]} [... {cut} more characters]"


def printable(text: str) -> str:
    """The text with control characters spelled out, so that data cannot steer the terminal it is shown on."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
