"""What the stages leave, read back field by field."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from preflab.conversion import to_json
from preflab.errors import RunError
from preflab.recipes.align.results import MeasureResult, read_align_results
from preflab.run import typed_result
from tests.recipes.align.results_of import best_of_n, finished_results, measure, suites, write_results


def test_every_result_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    written = finished_results(4)
    write_results(tmp_path, written)
    results = read_align_results(tmp_path)
    assert [getattr(results, field.name) for field in fields(results)] == list(written.values())


def test_stages_that_have_not_finished_leave_nothing(tmp_path: Path) -> None:
    assert set(vars(read_align_results(tmp_path)).values()) == {None}


def test_json_keeps_the_names_of_published_runs() -> None:
    plain = to_json(measure(1))
    assert plain["gain"].keys() == {"best_of_n", "ppo"} == plain["kl"].keys() == plain["win_rate_gap"].keys()
    assert plain["win_rate"]["ppo"].keys() == {"pm", "pm_judge"}
    assert plain["facts"].keys() == {"base", "best_of_n", "ppo"} == plain["examples"][0]["judge"].keys()
    assert plain["examples"][0].keys() == {"prompt", "category", "base", "best_of_n", "ppo", "judge"}
    assert to_json(best_of_n())["centre"] == {"pm": -1.0, "pm_judge": 0.0}
    assert to_json(best_of_n())["curve"][0].keys() == {"n", "kl", "kl_of_drawn", "score", "judge_score"}
    change = to_json(suites())["suites"]["starter_x"]["differences"][0]
    assert change.keys() == {"name", "unit", "better", "a", "b", "gap", "outcome"}


def test_a_committed_run_still_has_the_keys_that_are_read(tmp_path: Path) -> None:
    published = json.loads((Path(__file__).parents[3] / "results" / "align" / "default.json").read_text())
    plain = published["results"]["measure"]
    assert plain["gain"]["ppo"].keys() == to_json(measure(1))["gain"]["ppo"].keys()
    assert plain["root_kl_fit"].keys() == to_json(measure(1))["root_kl_fit"].keys()


def test_a_result_of_another_version_is_refused_with_its_field(tmp_path: Path) -> None:
    plain = to_json(measure(1))
    del plain["kl"]["ppo"]
    with pytest.raises(RunError, match=r"kl\.ppo is missing.*another version"):
        typed_result(tmp_path / "measure.json", plain, MeasureResult)
