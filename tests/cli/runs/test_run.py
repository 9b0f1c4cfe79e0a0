"""``preflab run``."""

import json
from pathlib import Path

from tests.cli.commands import preflab


def test_a_recipe_runs_in_a_folder_named_after_it_and_shows_its_outcome(tmp_path: Path) -> None:
    done = preflab("run", "christiano2017_horizon", "--scale", "smoke", "--quiet", "--name", "h", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("christiano2017_horizon: runs/h\n")
    assert done.stderr == ""
    assert "claims" in done.stdout
    record = json.loads((tmp_path / "runs/h/record.json").read_text())
    state = json.loads((tmp_path / "runs/h/state.json").read_text())
    assert record["ended"]["stages"] == state["done"]


def test_fresh_deletes_the_run_of_that_name_and_says_so(tmp_path: Path) -> None:
    command = ("run", "christiano2017_horizon", "--scale", "smoke", "--name", "h", "--set", "updates=2")
    assert preflab(*command, "--quiet", cwd=tmp_path).returncode == 0
    again = preflab(*command, "--fresh", "--seed", "5", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "the earlier run was deleted (--fresh)\nruns/h: a new run\n" in again.stderr
