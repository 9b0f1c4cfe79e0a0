"""Labels against return at the smallest scale, and a kill in the middle of an arm."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from preflab.errors import ConfigError
from preflab.recipes.christiano2017 import experiment
from preflab.recipes.christiano2017 import mujoco as recipe
from preflab.reporting.run_files import read_results
from preflab.run import Run
from preflab.runner.catalogue import recipe_named
from preflab.runner.launch import launch
from tests.killing import killed_and_whole, results

for _package in ("mujoco", "gymnasium", "PIL"):
    pytest.importorskip(_package, reason=f"needs the extra 'control' ({_package})")

NAME = "christiano2017_mujoco"


def test_the_smallest_scale_runs_is_not_run_twice_and_tells_its_outcome(tmp_path: Path) -> None:
    folder, own = tmp_path / "mujoco", recipe_named("christiano2017_mujoco")
    config = replace(recipe.smoke(), arms=("true_reward", "labels6", "labels12", "offline"))
    assert launch(own, config, folder, quiet=True)
    assert not launch(own, config, folder, quiet=True)
    found = results(folder)
    assert sum(found["labels6-0"]["labels"].values()) == 6
    assert sum(found["offline-1"]["labels"].values()) == 12
    assert found["true_reward-0"]["labels"] == {}
    claims = [own["claim"] for own in found["compare"]["verdicts"]]
    assert claims[0] == "12 labels give at least the return of 6" and len(claims) == len(set(claims)) >= 5
    page = (folder / "report.html").read_text()
    assert "The run is complete." in page and page.count("<svg") == 5  # two kinds of curves, three correlations
    assert page.count('<img src="data:image/gif;base64,') == 1
    assert [what for what, _, _ in recipe.summarise(folder)][:3] == ["untrained", "true_reward", "labels6"]


@pytest.mark.parametrize("arm", ["true_reward", "labels12"])
def test_killed_in_the_middle_of_an_arm_it_ends_as_the_unbroken_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: str
) -> None:
    config = replace(recipe.smoke(), arms=(arm,), seeds=1)
    cut, whole = killed_and_whole(recipe.main, config, "christiano2017_mujoco", tmp_path, monkeypatch, at=3)
    assert (cut / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes() != b""
    assert (cut / "before-after.gif").read_bytes() == (whole / "before-after.gif").read_bytes()


def test_killed_between_the_end_of_an_arm_and_its_result_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clips of a finished loop are needed until its result is kept, and gone then."""
    config = replace(recipe.smoke(), arms=("labels12",), seeds=1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(experiment, "arm_result", Mock(side_effect=KeyboardInterrupt))
        with Run(tmp_path / "cut", config, recipe=NAME, checkpoint_seconds=0.0, quiet=True) as run:
            recipe.main(config, run)
    assert (tmp_path / "cut" / "arms" / "labels12-0" / "clips").is_dir()
    for name in ("cut", "whole"):
        with Run(tmp_path / name, config, recipe=NAME, quiet=True) as run:
            recipe.main(config, run)
        assert not (tmp_path / name / "arms" / "labels12-0" / "clips").exists()
    cut, whole = (read_results(tmp_path / name)["labels12-0"]["curve"] for name in ("cut", "whole"))
    assert cut == whole


def test_runs_in_which_no_clip_or_episode_is_whole_are_refused_before_they_train(tmp_path: Path) -> None:
    smoke = recipe.smoke()
    for config, told in (
        (replace(smoke, horizon=500), r"loop.steps \(800\) are 200 for each of 4 copies: no episode of 500"),
        (replace(smoke, loop=replace(smoke.loop, rollout_steps=10)), "a clip has 15 steps, a rollout 10"),
    ):
        with (
            Run(tmp_path / str(config.loop.rollout_steps), config, recipe=NAME, quiet=True) as run,
            pytest.raises(ConfigError, match=told),
        ):
            recipe.main(config, run)
        assert not (run.folder / "results").exists() or not list((run.folder / "results").iterdir())
