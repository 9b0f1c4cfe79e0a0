"""Results of ``bai2022_online`` by round, read back from a run folder."""

from pathlib import Path

import pytest

from preflab.errors import RunError
from preflab.maths.statistics import Estimate
from preflab.recipes.bai2022_online.results import data_name, newest_rated, read_rounds
from tests.recipes.bai2022_online.results_of import collect, deploy, elo, estimate, make_run, one_round


def test_what_was_written_is_read_back_by_round(tmp_path: Path) -> None:
    written = one_round()
    rounds = read_rounds(make_run(tmp_path / "r", written), 1)
    assert rounds.preference == {0: written["preference0"], 1: written["preference1"]}
    assert rounds.policy == {0: written["policy0"], 1: written["policy1"]}
    assert rounds.measure == {0: written["measure0"], 1: written["measure1"]}
    assert rounds.deploy == {1: written["deploy1"], 2: written["deploy2"]}
    assert rounds.collect == {1: written["collect1"], 2: written["collect2"]}
    assert rounds.compare == written["compare"]


def test_ratings_are_those_of_the_last_collected_round(tmp_path: Path) -> None:
    assert read_rounds(make_run(tmp_path / "empty", {}), 1).elo is None
    rounds = read_rounds(make_run(tmp_path / "r", one_round()), 1)
    assert rounds.elo is not None and rounds.elo.ratings["round-0"].value == 30.0
    assert rounds.waiting_for is None


def test_a_policy_that_no_choice_was_about_is_without_a_rating(tmp_path: Path) -> None:
    rounds = read_rounds(make_run(tmp_path / "r", one_round()), 1)
    assert rounds.unrated == ["round-0, best of 2"]  # it answered in round 1 and was never drawn
    waiting = one_round() | {"deploy3": deploy(3, ["round-1", "round-2"])}
    assert read_rounds(make_run(tmp_path / "w", waiting), 2).unrated == ["round-0, best of 2"]  # round-2: too early
    assert read_rounds(make_run(tmp_path / "empty", {}), 1).unrated == []


def test_a_round_is_waited_for_between_its_deployment_and_its_choices(tmp_path: Path) -> None:
    stages = {"deploy1": deploy(1, ["start", "round-0"])}
    assert read_rounds(make_run(tmp_path / "a", stages), 1).waiting_for == 1
    stages |= {"collect1": collect(1, elo(round_0=estimate(1.0, 1.0)))}  # type: ignore[dict-item]
    assert read_rounds(make_run(tmp_path / "b", stages), 1).waiting_for is None


def test_a_result_of_another_shape_is_refused(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r", one_round())
    (folder / "results" / "collect1.json").write_text('{"study": "online"}')
    with pytest.raises(RunError, match=r"collect1\.json"):
        read_rounds(folder, 1)


def test_the_newest_trained_policy_with_a_rating() -> None:
    rated = dict.fromkeys(("start", "round-0", "round-1", "round-2, best of 2"), Estimate(0.0, 0.0, 0.0, 1))
    assert newest_rated(rated, range(3)) == "round-1"  # a double is no policy of its own
    assert newest_rated(rated, range(1)) == "round-0"
    assert newest_rated({"start": rated["start"]}, range(3)) is None


def test_round_0_is_the_static_comparisons() -> None:
    assert [data_name(k) for k in range(3)] == ["static", "round 1", "round 2"]
