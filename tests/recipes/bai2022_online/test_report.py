"""The report of ``bai2022_online``: the numbers of the results in tables and words, round by round."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from preflab.errors import RunError
from preflab.recipes.bai2022_online.config import smoke
from preflab.recipes.bai2022_online.report import stages_of, write_report
from preflab.reporting.format import DASH
from tests.recipes.bai2022_online.results_of import make_run, one_round
from tests.recipes.page import Page


def page_of(folder: Path, results: dict[str, Any] | None = None, **settings: Any) -> Page:
    config = replace(smoke(), rounds=1, **settings)
    write_report(make_run(folder, one_round() if results is None else results, config))
    return Page(folder)


def test_the_stages_of_a_run_in_their_order() -> None:
    learned = ["preference", "policy", "measure"]
    rounds = ["deploy1", "collect1", *(f"{stage}1" for stage in learned)]
    before, after = ["data", *(f"{stage}0" for stage in learned)], ["compare", "export"]
    assert list(stages_of(1, 0)) == [*before, *rounds, *after]
    assert list(stages_of(1, 4)) == [*before, *rounds, "deploy2", "collect2", *after]
    assert stages_of(1, 4)["collect2"] == "last round: choices"


def test_the_table_of_rounds_has_each_deployment_with_its_choices_and_models(tmp_path: Path) -> None:
    assert page_of(tmp_path / "r").tables["Rounds [95 % interval]"][1:] == [
        ["before the first", DASH, DASH, DASH, "60.0 % [50.0, 70.0]", "0.00 [-0.25, +0.25]", "+1.00 [+0.50, +1.50]"],
        ["round 1", "start, round-0, round-0, best of 2", "12 (3 before)", "5", "70.0 % [60.0, 80.0]",
         "+0.50 [+0.25, +0.75]", "+2.00 [+1.50, +2.50]"],
        ["last, ratings alone", "start, round-0, round-1", "8", "5", DASH, DASH, DASH],
    ]  # fmt: skip


def test_ratings_stand_by_round_and_an_absent_one_is_said(tmp_path: Path) -> None:
    page = page_of(tmp_path / "r")
    table = page.tables["Elo after each round, by all choices until then [95 % interval]"]
    assert table == [
        ["Policy", "after round 1", "after round 2"],
        ["start", "0 [0, 0]", "0 [0, 0]"],
        ["round-0", "+40 [-20, +100]", "+30 [-20, +80]"],
        ["round-1", "not measured", "+120 [+40, +200]"],
    ]
    assert "Without a rating, as no choice was between it and another: round-0, best of 2." in page.text
    assert "Intervals are from resampling people. 3 ties are counted" in page.text
    assert "The newest policy that was judged, round-1, is rated +120 [+40, +200] Elo" in page.text


def test_preference_models_are_compared_on_every_set(tmp_path: Path) -> None:
    page = page_of(tmp_path / "r")
    assert page.tables["Accuracy on held-out pairs [95 % interval]"] == [
        ["", "static", "round 1", "the model before, on the newest set"],
        ["model 0", "60.0 % [50.0, 70.0]", DASH, DASH],
        ["model 1", "60.0 % [50.0, 70.0]", "70.0 % [60.0, 80.0]", "55.0 % [45.0, 65.0]"],
        ["length, static", "50.0 % [40.0, 60.0]", DASH, DASH],
        ["length, round 1", DASH, "50.0 % [40.0, 60.0]", DASH],
    ]
    mix = page.tables["What each model was fitted to, in pairs (copies counted)"]
    assert mix[1:] == [["model 0", "30", DASH, "0 %"], ["model 1", "30", "10", "25 %"]]  # 10 of 40 are online


def test_what_was_learned_of_a_known_preference_and_its_warnings(tmp_path: Path) -> None:
    page = page_of(tmp_path / "r")
    known = page.tables["By round [95 % interval]"][1:]
    assert known[1] == ["round 1", "70.0 % [65.0, 75.0]", "+0.20 [+0.10, +0.30]", "75.0 % [65.0, 85.0]"]
    assert "they like what is brief, and err in 10 % of their choices" in page.text
    assert "90 % of the replies of policy 1 are one and the same text." in page.text
    assert "of policy 0 are one and the same" not in page.text
    people = page_of(tmp_path / "people", annotators="people", true_preference=None)
    assert "By round [95 % interval]" not in people.tables and "Scripted annotators" not in people.text


def test_policies_by_the_last_preference_model(tmp_path: Path) -> None:
    page = page_of(tmp_path / "r")
    assert page.tables["Gain over the start policy on held-out prompts [95 % interval]"][1:] == [
        ["by the last preference model, policy 0", "0.00 [-0.25, +0.25]"],
        ["by the last preference model, policy 1", "+0.50 [+0.25, +0.75]"],
    ]
    assert "Policy 1 stopped early: KL over its limit." in page.text and "Policy 0 stopped" not in page.text


def test_replies_are_never_markup_and_nothing_is_loaded(tmp_path: Path) -> None:
    page = page_of(tmp_path / "r")
    assert page.loads_nothing()
    assert "&lt;script&gt;alert(1)" in page.raw and "Say <b>hi</b>." in page.text


def test_an_unfinished_run_has_a_report_too(tmp_path: Path) -> None:
    page = page_of(tmp_path / "r", {})
    assert "The run is not finished" in page.text and "0 of 1 rounds are done, with 0 choices in all." in page.text
    assert not {"elo", "preference", "policies", "replies"} & set(page.sections)


def test_a_finished_run_says_so_with_every_round(finished: Path) -> None:
    write_report(finished)
    page = Page(finished)
    assert "2 rounds of online training of tiny" in page.text and "The run is complete." in page.text
    assert "preflab run bai2022_online" in page.text and page.loads_nothing()
    rounds = page.tables["Rounds [95 % interval]"]
    assert [row[0] for row in rounds[1:]] == ["before the first", "round 1", "round 2", "last, ratings alone"]
    parts = page.tables["What each part holds"]
    assert [row[0] for row in parts[1:]] == ["train", "topics", "held out"]


def test_a_folder_of_another_recipe_has_no_report(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"recipe": "sft", "config": {}}')
    with pytest.raises(RunError, match="is a run of 'sft'; this report is of the recipe 'bai2022_online'"):
        write_report(tmp_path)
