"""Labels against return at the smallest scale, and a kill in the middle of an arm."""

from dataclasses import replace
from pathlib import Path

import pytest

from preflab.control.loop import LoopConfig
from preflab.errors import ConfigError
from preflab.recipes import christiano2017_mujoco as recipe
from preflab.recipes.catalogue import recipe_named
from preflab.recipes.christiano2017_mujoco_summary import summarise
from preflab.recipes.launch import launch
from tests.killing import killed_and_whole, results

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
    claims = [own["claim"] for own in found["compare"]["verdicts"]]
    assert claims[0] == "12 labels give at least the return of 6" and len(claims) == len(set(claims)) >= 5
    page = (folder / "report.html").read_text()
    assert "The run is complete." in page and page.count("<svg") == 4  # two curves, two correlations
    assert page.count('<img src="data:image/gif;base64,') == 1
    assert [what for what, _, _ in summarise(folder)][:3] == ["untrained", "true_reward", "labels6"]


@pytest.mark.parametrize("arm", ["true_reward", "labels12"])
def test_killed_in_the_middle_of_an_arm_it_ends_as_the_unbroken_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: str
) -> None:
    config = replace(recipe.smoke(), arms=(arm,), seeds=1)
    cut, whole = killed_and_whole(recipe.main, config, "christiano2017_mujoco", tmp_path, monkeypatch, at=3)
    assert (cut / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes() != b""
    assert (cut / "before-after.gif").read_bytes() == (whole / "before-after.gif").read_bytes()


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
