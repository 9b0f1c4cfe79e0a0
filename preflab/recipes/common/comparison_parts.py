"""The comparisons of a run in parts that share no prompt, as text and as rows."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import torch

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.data.load import load_comparisons
from preflab.data.prompts import distinct_prompts
from preflab.data.rows import Row
from preflab.data.split import split_by_prompt
from preflab.errors import ConfigError
from preflab.recipes.common.configs import ComparisonDataConfig
from preflab.recipes.common.model_roles import ModelRoles
from preflab.rollouts.encode import Encoded, encode_comparisons
from preflab.run import Run

T = TypeVar("T")
HELD_OUT = "held_out"
"""The part for measuring, in every recipe."""


@dataclass(frozen=True)
class DataResult:
    """What the comparisons of a run hold, by part."""

    comparisons: dict[str, int]
    pairs: dict[str, int]
    """Pairs with a clear label."""
    tokens: dict[str, int]
    tokens_pair_by_pair: dict[str, int]
    """What a trainer that runs every pair by itself would process, without padding."""
    categories: dict[str, dict[str, int]]
    shortened: dict[str, int]
    """Comparisons whose prompt lost its beginning to fit the context."""
    refused: dict[str, int]
    """Comparisons that do not fit the context at all."""
    evaluation_prompts: int
    stop_token: str


class ComparisonParts:
    """Comparisons loaded, drawn and split, when first asked for.

    Args:
        shares     name of each part and its share; `HELD_OUT` is for measuring.
        transform  applied to every comparison after the split (a judge that labels anew).
    """

    def __init__(
        self,
        run: Run,
        config: ComparisonDataConfig,
        models: ModelRoles,
        shares: Mapping[str, float],
        *,
        transform: Callable[[Comparison], Comparison] | None = None,
    ) -> None:
        self.run, self.config, self.models, self.shares, self.transform = run, config, models, shares, transform

    @cached_property
    def parts(self) -> dict[str, list[Comparison]]:
        """Comparisons of each part; no prompt is in two of them."""
        config = self.config
        loaded = load_comparisons(config.comparisons, format=config.format, split=config.split)
        chosen = draw_subset(loaded.comparisons, config.max_comparisons, self.run)
        self.run.record(
            "data",
            source=loaded.source,
            format=loaded.format,
            digest=loaded.digest,
            records=loaded.records,
            used=len(chosen),
            refused=loaded.refused,
            first_refused=loaded.first_refused,
        )
        parts = split_by_prompt(chosen, self.shares, seed=self.run.seed_of("split"))
        if self.transform is None:
            return parts
        return {part: [self.transform(comparison) for comparison in parts[part]] for part in parts}

    @cached_property
    def encoded(self) -> dict[str, Encoded]:
        """Each part as rows; what did not fit is recorded.

        Raises:
            ConfigError: nothing of a part fits the context.
        """
        encoder = self.models.encoder
        encoded_parts = {part: encode_comparisons(encoder, comparisons) for part, comparisons in self.parts.items()}
        for part, encoded in encoded_parts.items():
            if not encoded.rows:
                raise ConfigError(
                    f"no comparison of part {part!r} fits in {encoder.max_tokens} tokens; "
                    "raise model.max_context_tokens"
                )
            self.run.record("counts", **{part: {"shortened": encoded.shortened, "refused": encoded.refused}})
        return encoded_parts

    def held_out_prompts(self) -> list[tuple[Dialogue, str]]:
        """Prompts that nothing is trained on, each once, with its category."""
        held_out = self.parts[HELD_OUT]
        category = {comparison.prompt: comparison.category for comparison in held_out}
        return [(prompt, category[prompt]) for prompt in distinct_prompts(held_out)]

    def describe(self, evaluation_prompts: int) -> DataResult:
        """Counts of everything, left out or not."""
        parts, encoder = self.encoded, self.models.encoder
        return DataResult(
            comparisons={part: len(e.comparisons) for part, e in parts.items()},
            pairs={part: sum(1 for c in e.comparisons for _ in c.pairs(ties=False)) for part, e in parts.items()},
            tokens={part: e.n_tokens for part, e in parts.items()},
            tokens_pair_by_pair={part: sum(_pair_tokens(row) for row in e.rows) for part, e in parts.items()},
            categories={part: dict(Counter(c.category for c in e.comparisons)) for part, e in parts.items()},
            shortened={part: e.shortened for part, e in parts.items()},
            refused={part: len(e.refused) for part, e in parts.items()},
            evaluation_prompts=evaluation_prompts,
            stop_token=encoder.tokenizer.convert_ids_to_tokens(encoder.end_id),
        )


def draw_subset(items: Sequence[T], most: int | None, run: Run) -> list[T]:
    """All items, or ``most`` of them drawn by the run's seed, in their order."""
    if most is None:
        return list(items)
    generator = torch.Generator().manual_seed(run.seed_of("which comparisons"))
    return [items[i] for i in sorted(torch.randperm(len(items), generator=generator)[:most].tolist())]


def _pair_tokens(row: Row) -> int:
    """Tokens a pair-by-pair trainer runs for this row, without padding."""
    return (len(row.replies) - 1) * row.path_tokens
