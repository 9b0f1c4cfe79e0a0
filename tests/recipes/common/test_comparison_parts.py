"""Comparisons of a run in parts: nothing shared, nothing lost, the same in every process."""

from dataclasses import replace
from pathlib import Path

import pytest

from preflab.data.comparison import Comparison
from preflab.errors import ConfigError
from preflab.recipes.common.comparison_parts import HELD_OUT, ComparisonParts, draw_subset
from preflab.recipes.common.configs import ComparisonDataConfig, ModelConfig
from preflab.recipes.common.model_roles import ModelRoles
from preflab.run import Run

SHARES = {"train": 0.7, HELD_OUT: 0.3}
TINY = ModelConfig(policy="tiny", precision="fp32")


def parts_of(run: Run, model: ModelConfig = TINY, **settings: int) -> ComparisonParts:
    data = replace(ComparisonDataConfig(max_comparisons=40), **settings)
    return ComparisonParts(run, data, ModelRoles(run, model), SHARES)


def test_parts_share_no_prompt_and_hold_what_was_drawn(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        parts = parts_of(run).parts
        assert sum(map(len, parts.values())) == 40 == run.recorded("data")["used"]
    prompts = [{comparison.prompt for comparison in parts[part]} for part in SHARES]
    assert not prompts[0] & prompts[1]


def test_the_same_seed_draws_and_splits_the_same(tmp_path: Path) -> None:
    drawn = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        with Run(tmp_path / name, {}, recipe="x", seed=seed, quiet=True) as run:
            drawn.append(parts_of(run).parts)
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_subset_keeps_its_order_and_all_is_all(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        assert draw_subset(range(5), None, run) == [0, 1, 2, 3, 4]
        subset = draw_subset(range(50), 7, run)
        assert subset == sorted(set(subset)) and len(subset) == 7


def test_a_transform_is_applied_after_the_split(tmp_path: Path) -> None:
    def turn_round(comparison: Comparison) -> Comparison:
        return replace(comparison, ranks=tuple(max(comparison.ranks) - rank for rank in comparison.ranks))

    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        plain, turned = parts_of(run), parts_of(run)
        turned.transform = turn_round
        for part in SHARES:
            expected = [turn_round(comparison) for comparison in plain.parts[part]]
            assert turned.parts[part] == expected


def test_the_description_counts_rows_pairs_and_tokens(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        comparisons = parts_of(run)
        described = comparisons.describe(evaluation_prompts=3)
        for part, encoded in comparisons.encoded.items():
            assert described.comparisons[part] == len(encoded.rows)
            assert described.tokens[part] == sum(map(len, encoded.rows))
            # A pair-by-pair trainer repeats the prompt, so it can only process more.
            assert described.tokens_pair_by_pair[part] >= described.tokens[part]
        assert described.evaluation_prompts == 3
        assert len(comparisons.held_out_prompts()) == len({c.prompt for c in comparisons.parts[HELD_OUT]})


def test_a_context_that_holds_nothing_names_the_setting(tmp_path: Path) -> None:
    with (
        Run(tmp_path / "run", {}, recipe="x", quiet=True) as run,
        pytest.raises(ConfigError, match=r"fits in 4 tokens; raise model\.max_context_tokens"),
    ):
        _ = parts_of(run, replace(TINY, max_context_tokens=4)).encoded
