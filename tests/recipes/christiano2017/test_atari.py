"""A game at the smallest scale, a kill in the middle of an arm, and settings that cannot be."""

from dataclasses import replace
from pathlib import Path

import pytest

from preflab.errors import ConfigError
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


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"game": "breakuot"}, "breakout"),
        ({"arms": ("steps",)}, "for MuJoCo"),
        ({"arms": ("label700",)}, "no arm 'label700'"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        replace(recipe.small(), **wrong)  # type: ignore[arg-type]


def test_play_without_a_window_has_no_returns() -> None:
    config = recipe.small()
    with pytest.raises(ConfigError, match=r"loop\.window"):
        replace(config, loop=replace(config.loop, window=None))


def test_the_papers_scale_is_the_papers() -> None:
    config = recipe.paper()
    assert (config.loop.steps, config.copies, config.agent.steps, config.agent.learning_rate) == (50e6, 16, 5, 7e-4)
    assert round(config.arm("labels5500").loop.pretrain_label_share * 5500) == 500
    assert config.seeds == 3
    assert (config.ensemble.members, config.ensemble.target_std, config.loop.label_buffer) == (3, 0.05, 3000)
