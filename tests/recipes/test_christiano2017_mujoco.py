"""Labels against return at the smallest scale, a kill in the middle of an arm, and what the claims are made of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from preflab.control.ensemble import EnsembleConfig
from preflab.control.loop import LoopConfig
from preflab.errors import ConfigError
from preflab.recipes import christiano2017_mujoco as recipe
from preflab.recipes.catalogue import recipe_named
from preflab.recipes.christiano2017_mujoco_arms import ABLATIONS, arm_of
from preflab.recipes.christiano2017_mujoco_claims import verdicts
from preflab.recipes.christiano2017_mujoco_stages import _curve, _end
from preflab.recipes.christiano2017_mujoco_summary import summarise
from preflab.recipes.launch import launch
from preflab.run import Run
from tests.killing import results

for _package in ("mujoco", "gymnasium", "PIL"):
    pytest.importorskip(_package, reason=f"needs the extra 'control' ({_package})")

LOOP = LoopConfig(steps=800, first_steps=400, queries=12, stretch=50)


def test_the_smallest_scale_runs_is_not_run_twice_and_tells_its_outcome(tmp_path: Path) -> None:
    folder, own = tmp_path / "mujoco", recipe_named("christiano2017_mujoco")
    config = replace(recipe.smoke(), arms=("true_reward", "labels6", "labels12", "offline"))
    assert launch(own, config, folder, quiet=True)
    assert not launch(own, config, folder, quiet=True)
    found = results(folder)
    assert sum(found["labels6-0"]["labels"].values()) == 6
    assert sum(found["offline-1"]["labels"].values()) == 12
    assert found["true_reward-0"]["labels"] == {}
    assert len(found["compare"]["verdicts"]) == 3 + (found["labels12-0"]["rank_correlation"] is not None)
    assert (folder / "before.gif").read_bytes() != (folder / "after.gif").read_bytes()
    assert "The run is complete." in (folder / "report.html").read_text()
    assert [what for what, _, _ in summarise(folder)][:3] == ["untrained", "true_reward", "labels6"]


@pytest.mark.parametrize("arm", ["true_reward", "labels12"])
def test_killed_in_the_middle_of_an_arm_it_ends_as_the_unbroken_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: str
) -> None:
    config = replace(recipe.smoke(), arms=(arm,), seeds=1)

    class Stopped(Exception):
        """A kill."""

    def opened(name: str) -> Run:
        return Run(tmp_path / name, config, recipe="christiano2017_mujoco", quiet=True, checkpoint_seconds=0.0)

    with opened("whole") as run:
        recipe.main(config, run)
    checkpoint, times = Run.checkpoint, [0]

    def killed(self: Run, *given: object) -> bool:
        times[0] += 1
        if times[0] == 3:
            raise Stopped
        return checkpoint(self, *given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, opened("cut") as run:
        patch.setattr(Run, "checkpoint", killed)
        with pytest.raises(Stopped):
            recipe.main(config, run)
    with opened("cut") as run:
        recipe.main(config, run)
    whole, cut = ((tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "cut"))
    assert whole == cut and whole
    assert (tmp_path / "whole" / "after.gif").read_bytes() == (tmp_path / "cut" / "after.gif").read_bytes()


def test_each_ablation_differs_in_one_thing_alone() -> None:
    base = arm_of("labels700", 700, LOOP, EnsembleConfig())
    changed = {
        name: (arm.loop != base.loop, arm.ensemble != base.ensemble)
        for name in ABLATIONS
        for arm in [arm_of(name, 700, LOOP, EnsembleConfig())]
    }
    assert changed == {
        "random": (True, False),
        "one": (True, True),
        "offline": (True, False),
        "unregularised": (False, True),
        "steps": (True, False),
        "target": (False, True),
    }
    assert base.loop.queries == 700


def test_claims_are_made_of_the_arms_that_were_run_and_paired_by_seed() -> None:
    returns = {
        "true_reward": np.array([100.0, 110.0, 90.0]),
        "labels350": np.array([50.0, 60.0, 40.0]),
        "labels700": np.array([91.0, 101.0, 81.0]),  # 41 above at each seed; 91, 101 and 81 of a gain of 100
        "offline": np.array([95.0, 105.0, 85.0]),
    }
    found = verdicts(returns, np.zeros(3), {"labels700": np.array([0.9, 0.9, 0.9])}, "labels700")
    assert [(own.outcome, round(own.estimate.value, 3)) for own in found] == [
        ("holds", 41.0),
        ("undecided", 0.91),  # 0.91 with a deviation of 0.1 over three seeds
        ("fails", -4.0),
        ("holds", 0.9),
    ]
    assert not verdicts({"labels5": np.ones(2)}, np.zeros(2), {}, "labels700")


def test_curves_leave_a_gap_where_a_seed_has_no_episode_that_ended() -> None:
    found = _curve([[None, 1.0, 2.0], [3.0, 3.0, 4.0]])
    assert found[0] is None and [own.value for own in found[1:] if own is not None] == [2.0, 3.0]
    assert _end([1.0, 2.0, None]) == 2.0


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"arms": ("label700",)}, "no arm 'label700'"),
        ({"arms": ("labels7", "labels7")}, "named twice"),
        ({"task": "hoper"}, "hopper"),
        ({"loop": replace(LOOP, blind=True)}, "no reward"),
        ({"seeds": 0}, "at least 1"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        replace(recipe.small(), **wrong)  # type: ignore[arg-type]
