"""Results of arms and their comparison, under the keys that files of runs always had."""

from pathlib import Path

import pytest

from preflab.conversion import to_json
from preflab.errors import RunError
from preflab.recipes.christiano2017.mujoco.config import smoke
from preflab.recipes.christiano2017.results import ArmResult, Comparison, UntrainedReturns, Video, read_experiment
from preflab.run import Run, typed_result

ARM = {
    "curve": [None, 3.0], "handed": [None, 1.0], "scores": [None, None], "steps": 800,
    "labels": {"left": 7, "right": 4, "tie": 0, "cannot tell": 1}, "rank_correlation": None, "disputed_asked": 0.2,
    "disputed_candidates": 0.1, "held_out_accuracy": 0.75, "mean_reward": 0.0, "std_reward": 0.9,
    "episodes": [[1.0, 2.0]], "disputed_now": 0.05, "target_std": 1.0,
}  # fmt: skip
ESTIMATE = {"value": 2.0, "low": 1.0, "high": None, "n": 2, "clusters": None, "level": 0.95}
COMPARISON = {
    "verdicts": [], "returns": {"labels12": ESTIMATE}, "by_seed": {"labels12": [1.0, 3.0]},
    "curves": {"labels12": [None, ESTIMATE]}, "at": [400.0, 800.0],
}  # fmt: skip


def test_an_arm_is_read_from_its_file_and_written_as_it_was() -> None:
    result = typed_result(Path("labels12-0.json"), {**ARM, "seconds": 1.5}, ArmResult)
    assert (result.learned_curve, result.disagreement_at_end, result.labels_given) == ((None, 1.0), 0.05, 12)
    assert to_json(result) == ARM


def test_an_arm_on_the_true_reward_has_no_scale() -> None:
    plain = {key: value for key, value in ARM.items() if key not in ("disputed_now", "target_std")}
    assert typed_result(Path("true_reward-0.json"), plain, ArmResult).target_std is None


def test_a_comparison_keeps_gaps_and_unbounded_intervals() -> None:
    result = typed_result(Path("compare.json"), COMPARISON, Comparison)
    assert result.curves["labels12"][0] is None and result.returns["labels12"].high == float("inf")
    assert to_json(result) == COMPARISON


def test_an_experiment_is_read_once_its_arms_are_compared(tmp_path: Path) -> None:
    config = smoke()
    with Run(tmp_path, config, recipe="christiano2017_mujoco", quiet=True) as run:
        run.stage("untrained", lambda: {"returns": [1.0, 2.0], "mean": ESTIMATE}, UntrainedReturns)
        for arm in config.arms:
            for seed in range(config.seeds):
                run.stage(f"{arm}-{seed}", lambda: ARM, ArmResult)
        assert read_experiment(tmp_path, config) is None
        run.stage("compare", lambda: COMPARISON, Comparison)
        found = read_experiment(tmp_path, config)
        assert found is not None and found.video is None and found.untrained.returns == (1.0, 2.0)
        assert {len(seeds) for seeds in found.arms.values()} == {config.seeds}
        run.stage("film", lambda: {"film": "x.gif", "arm": "labels12"}, Video)
    found = read_experiment(tmp_path, config)
    assert found is not None and found.video == Video(video="x.gif", arm="labels12")


def test_a_file_of_another_version_is_named() -> None:
    with pytest.raises(RunError, match=r"labels12-0\.json.*another version"):
        typed_result(Path("labels12-0.json"), {"curve": []}, ArmResult)
