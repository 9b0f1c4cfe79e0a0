"""Results as files: what is written is read back, under the keys that earlier versions wrote."""

from dataclasses import replace
from pathlib import Path

from preflab.atomic_files import write_json
from preflab.conversion import from_mapping, to_json
from preflab.recipes.ganguli2023_self_correction.config import smoke
from preflab.recipes.ganguli2023_self_correction.results import (
    COMPARE,
    DATA,
    EXPORT,
    ChainVariation,
    ComparisonResult,
    DataResult,
    ExportResult,
    read_checkpoint_results,
)
from preflab.run import read_result
from tests.recipes.ganguli2023_self_correction.results_of import checkpoint_result, estimate


def test_every_result_of_a_run_is_read(finished: Path) -> None:
    data, comparison, export = (
        read_result(finished, DATA, DataResult),
        read_result(finished, COMPARE, ComparisonResult),
        read_result(finished, EXPORT, ExportResult),
    )
    assert data is not None and comparison is not None and export is not None
    assert (data.benchmarks["bbq"].items, data.benchmarks["bbq"].selected) == (48, 4)
    assert comparison.checkpoints == export.checkpoints == ("tiny-0", "tiny-50", "tiny-5b-50")
    assert {verdict.unit for verdict in comparison.verdicts} == {"points"}
    assert export.files["tiny-0/self_corrected.jsonl"] == 6


def test_checkpoints_are_read_in_the_order_of_the_settings(tmp_path: Path) -> None:
    small, large = checkpoint_result("a", 1e6, None, q=0.1), checkpoint_result("b", None, 5, q=None)
    for result in (small, large):
        write_json(tmp_path / "results" / f"{result.checkpoint}.admissions.json", to_json(result) | {"seconds": 1.0})
    config = replace(smoke(), checkpoints=("b", "c", "a"), benchmarks=("bbq", "admissions"))
    assert read_checkpoint_results(tmp_path, config) == [large, small]
    assert small.estimate("q", "gap") == estimate(0.1)
    assert small.estimate("if.0", "gap") is None
    assert large.estimate("q", "gap") is None


def test_keys_of_earlier_versions() -> None:
    plain = to_json(checkpoint_result("a", 1e6, None, q=0.1))
    assert plain["conditions"]["q"]["spoken_tokens"] == 5
    chains = ChainVariation(
        checkpoint="a", benchmark="bbq", paraphrase=0, by_chain=(0.5,), sd_of_measure=None, sd_within_items=0.1,
        mean_words=3.0,
    )  # fmt: skip
    assert to_json(chains).keys() >= {"by_thought", "words"}
    assert from_mapping(ChainVariation, to_json(chains)) == chains
