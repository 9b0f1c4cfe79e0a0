"""A game at the smallest scale, a kill in the middle of an arm, and settings that cannot be."""

from dataclasses import replace
from pathlib import Path

import pytest

from preflab.recipes.christiano2017 import atari as recipe
from preflab.run import Run
from preflab.runner.catalogue import recipe_named
from preflab.runner.launch import launch
from tests.killing import killed_and_whole, results

for _package in ("ale_py", "PIL"):
    pytest.importorskip(_package, reason=f"needs the extra 'control' ({_package})")


def tiny(*arms: str) -> recipe.Config:
    config = recipe.smoke()
    loop = replace(config.loop, steps=160, pretrain_steps=80, rollout_steps=40, window=20, queries=4, candidates=20)
    return replace(config, game="breakout", labels=4, arms=arms, loop=loop)


def test_the_smallest_scale_runs_is_not_run_twice_and_tells_its_outcome(tmp_path: Path) -> None:
    folder, own = tmp_path / "atari", recipe_named("christiano2017_atari")
    config = tiny("true_reward", "labels4")
    assert launch(own, config, folder, quiet=True)
    assert not launch(own, config, folder, quiet=True)
    found = results(folder)
    assert sum(found["labels4-0"]["labels"].values()) == 4
    assert found["true_reward-0"]["labels"] == {}
    assert found["labels4-0"]["target_std"] == 0.05
    assert None not in found["true_reward-0"]["curve"]  # windows end, games need not
    page = (folder / "report.html").read_text()
    assert "breakout: a reward from comparisons" in page and "The run is complete." in page
    assert [what for what, _, _ in recipe.summarise(folder)][:3] == ["untrained", "true_reward", "labels4"]
    with Run(folder, config, recipe="christiano2017_atari", quiet=True) as run:
        lines = run.metrics("labels4-0")
    assert [line["step"] for line in lines] == [80, 160] and "games" in lines[-1]


@pytest.mark.parametrize("arm", ["true_reward", "labels4"])
def test_killed_in_the_middle_of_an_arm_it_ends_as_the_unbroken_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: str
) -> None:
    config = tiny(arm)
    cut, whole = killed_and_whole(recipe.main, config, "christiano2017_atari", tmp_path, monkeypatch, at=2)
    assert (cut / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes() != b""
    assert (cut / "before-after.gif").read_bytes() == (whole / "before-after.gif").read_bytes()
