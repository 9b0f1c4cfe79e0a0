"""The lesson of fixed horizons at its smallest scale, and its measure."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gymnasium", reason="needs the extra 'control'")

from preflab.recipes.christiano2017.horizon import Config, smoke, steps_until_fall, summarise
from preflab.recipes.christiano2017.horizon.config import ARMS
from preflab.runner.catalogue import recipe_named
from preflab.runner.launch import launch
from tests.killing import results


def test_the_smallest_scale_runs_is_not_run_twice_and_tells_its_outcome(tmp_path: Path) -> None:
    folder = tmp_path / "horizon"
    recipe = recipe_named("christiano2017_horizon")
    assert launch(recipe, smoke(), folder, quiet=True)
    assert not launch(recipe, smoke(), folder, quiet=True)
    found = results(folder)
    assert {f"{arm}{seed}" for arm in ARMS for seed in range(2)} <= found.keys()
    own = found["compare"]
    assert own["steps"] == [0, 128, 256]
    assert len(own["verdicts"]) == 4
    assert found["varying0"]["untrained"] == found["fixed0"]["untrained"] == found["minus0"]["untrained"]
    assert found["fixed0"]["falls"] > 0
    page = (folder / "report.html").read_text()
    assert "The run is complete." in page
    assert "episodes of one length" in page
    assert [what for what, _, _ in summarise(folder)][:4] == ["untrained", "varying", "fixed", "minus"]


def test_a_cart_that_is_pushed_one_way_alone_falls_within_twelve_steps() -> None:
    found = steps_until_fall(lambda observations: np.ones(len(observations), dtype=np.int64), Config(episodes=8), 3)
    assert 8 <= found <= 12  # Gymnasium's own: 8 to 10 from any of its starts
