"""The comparisons of a run in parts that share no prompt, as text and as rows."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TypeVar

import torch

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.data.load import load_comparisons
from preflab.data.prompts import distinct_prompts
from preflab.data.rows import Row
from preflab.data.split import split_by_prompt, split_keys
from preflab.errors import ConfigError
from preflab.feedback.label_comparisons import LabelledComparisons, label_comparisons, pairs_of
from preflab.feedback.recorded_labels import RecordedLabeller
from preflab.maths.statistics import Estimate
from preflab.recipes.common.configs import ComparisonDataConfig
from preflab.recipes.common.model_roles import ModelRoles
from preflab.recipes.common.open_models import open_judge
from preflab.rollouts.encode import Encoded, count_reasons, encode_comparisons
from preflab.run import Run
from preflab.runner.inputs import guard_data

T = TypeVar("T")
Parts = dict[str, list[Comparison]]
TRAIN = "train"
"""The part that is learned from, in every recipe."""
HELD_OUT_PM_TRAIN = "judge"
"""The part that a held-out preference model learns from, and nothing else does."""
HELD_OUT = "held_out"
"""The part for measuring, in every recipe."""


@dataclass(frozen=True, kw_only=True)
class JudgeResult:
    """What came of it that a judge labelled the comparisons anew; see `LabelledComparisons`."""

    judge: str
    """Its name: the specification, and a digest of what else its labels depend on."""
    pairs: dict[str, int]
    """Part -> pairs of replies that it was asked about."""
    abstained: dict[str, int]
    """Reason -> pairs of all parts that it did not label."""
    left_out: dict[str, int]
    """Reason -> comparisons of all parts of which nothing could be said."""
    replies_left_out: int
    agreement: Estimate | None
    """With the labels that the comparisons came with: share of the same winner."""
    changed: Estimate | None
    """Share of labels that say something else than those."""
    agreement_by_part: dict[str, Estimate]
    """The same by part, where a part has a pair with a winner."""


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
    judge: JudgeResult | None = None
    """Of ``data.judge``; None where the comparisons keep the labels that they came with."""


class ComparisonParts:
    """Comparisons loaded, drawn, split, and labelled anew where there is a judge, when first asked for.

    A judge labels the held-out part too: what is fitted is measured against the labels that it is to learn, and a
    preference model is not called wrong where it follows its judge. How far the judge agrees with the labels before
    stands beside, by part (`JudgeResult`).

    Args:
        shares      name of each part and its share; `HELD_OUT` is for measuring.
        transform   applied to every comparison after the split, where there is no judge.
        unlabelled  parts that the judge is not asked about, since their prompts alone are used.
    """

    def __init__(
        self,
        run: Run,
        config: ComparisonDataConfig,
        models: ModelRoles,
        shares: Mapping[str, float],
        *,
        transform: Callable[[Comparison], Comparison] | None = None,
        unlabelled: Collection[str] = (),
    ) -> None:
        self.run, self.config, self.models, self.shares = run, config, models, shares
        self.transform, self.unlabelled = transform, unlabelled

    @cached_property
    def parts(self) -> Parts:
        """Comparisons of each part; no prompt is in two of them.

        Raises:
            RunError: the run began with other comparisons.
            ConfigError: the judge leaves nothing in a part that it labels.
        """
        if self.config.judge is not None:
            return self._judged[0]
        if self.transform is None:
            return self._loaded
        return {part: [self.transform(comparison) for comparison in self._loaded[part]] for part in self._loaded}

    @cached_property
    def _loaded(self) -> Parts:
        """With the labels that they come with."""
        config = self.config
        loaded = load_comparisons(config.comparisons, format=config.format, split=config.split, columns=config.columns)
        guard_data(
            self.run,
            "comparisons",
            source=loaded.source,
            digest=loaded.digest,
            split=config.split,
            before=self.run.recorded("data").get("digest"),
        )
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
            columns_not_used=loaded.unused,
        )
        record_openings(self.run, [comparison.prompt for comparison in chosen], self.shares)
        return split_by_prompt(chosen, self.shares, seed=self.run.seed_of("split"))

    @cached_property
    def _judged(self) -> tuple[Parts, JudgeResult]:
        """With the judge's labels, read back from the run as far as it holds them; and what came of it."""
        spec, run = self.config.judge, self.run
        assert spec is not None
        device = self.models.config.device
        judge = RecordedLabeller(run, lambda on_progress: open_judge(spec, run, device=device, on_progress=on_progress))
        to_label = {part: self._loaded[part] for part in self._loaded if part not in self.unlabelled}
        judge(pairs_of(list(chain(*to_label.values()))))  # at once: people see all that is to be judged
        labelled = {part: label_comparisons(comparisons, judge) for part, comparisons in to_label.items()}
        in_all = label_comparisons(list(chain(*to_label.values())), judge)
        result = JudgeResult(
            judge=judge.name,
            pairs={part: labels.pairs for part, labels in labelled.items()},
            abstained=in_all.abstained,
            left_out=in_all.left_out,
            replies_left_out=in_all.replies_left_out,
            agreement=in_all.agreement,
            changed=in_all.changed,
            agreement_by_part={part: ls.agreement for part, ls in labelled.items() if ls.agreement is not None},
        )
        run.record("judge", spec=spec, **vars(result))
        for part, labels in labelled.items():
            _check_labels(labels, part, spec)
        return self._loaded | {part: labels.comparisons for part, labels in labelled.items()}, result

    @cached_property
    def encoded(self) -> dict[str, Encoded]:
        """Each part as rows; what did not fit is recorded.

        Raises:
            ConfigError: nothing of a part fits the context, or the chat template refuses all.
        """
        encoder = self.models.encoder
        encoded_parts = {part: encode_comparisons(encoder, comparisons) for part, comparisons in self.parts.items()}
        for part, encoded in encoded_parts.items():
            if not encoded.rows:
                reasons = count_reasons(encoded.refused) or "there are none"
                advice = self.models.context_advice(reasons)
                raise ConfigError(f"no comparison of part {part!r} can be used: {reasons}{advice}")
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
            judge=None if self.config.judge is None else self._judged[1],
        )


def _check_labels(labels: LabelledComparisons, part: str, spec: str) -> None:
    """Whether a part has something to learn from or to measure on."""
    if not any(True for comparison in labels.comparisons for _ in comparison.pairs(ties=False)):
        reasons = {**labels.abstained, **labels.left_out}
        because = "; ".join(f"{count} x {reason}" for reason, count in reasons.items()) or "all its labels are ties"
        raise ConfigError(f"judge {spec!r} finds no reply better than another in part {part!r}: {because}")


def record_openings(run: Run, prompts: Sequence[Dialogue], shares: Mapping[str, float]) -> None:
    """Keep on record which openings (greetings) were too common to tell prompts apart; nothing where none was."""
    _, crowded = split_keys(prompts, shares)
    if crowded:
        run.record("split", openings_told_apart_by_later_turns=crowded)


def draw_subset(items: Sequence[T], most: int | None, run: Run) -> list[T]:
    """All items, or ``most`` of them drawn by the run's seed, in their order."""
    if most is None:
        return list(items)
    generator = torch.Generator().manual_seed(run.seed_of("which comparisons"))
    return [items[i] for i in sorted(torch.randperm(len(items), generator=generator)[:most].tolist())]


def _pair_tokens(row: Row) -> int:
    """Tokens a pair-by-pair trainer runs for this row, without padding."""
    return (len(row.replies) - 1) * row.path_tokens
