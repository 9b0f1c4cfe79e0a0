"""``preflab run``."""

import json
from pathlib import Path

from tests.cli.commands import preflab


def test_a_recipe_runs_in_a_folder_named_after_it_and_shows_its_outcome(tmp_path: Path) -> None:
    done = preflab("run", "christiano2017_horizon", "--scale", "smoke", "--quiet", "--name", "h", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].rstrip() == "christiano2017_horizon: runs/h"
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


def test_a_judge_is_refused_by_a_recipe_that_compares_nothing(tmp_path: Path) -> None:
    refused = preflab("run", "christiano2017_horizon", "--judge", "oracle:brief", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr == "error: --judge: recipe christiano2017_horizon has no setting data.judge\n"
    assert not (tmp_path / "runs").exists()


def test_a_judge_is_a_setting_of_recipes_on_comparisons_and_a_typo_is_refused_at_once(tmp_path: Path) -> None:
    shown = preflab("run", "dpo", "--scale", "smoke", "--judge", "oracle:brief", "--show-config", cwd=tmp_path)
    assert "  judge: oracle:brief\n" in shown.stdout
    wrong = preflab("run", "dpo", "--judge", "oracl:brief", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "unknown judge 'oracl:brief'; did you mean 'oracle'?" in wrong.stderr
    assert not (tmp_path / "runs").exists()
