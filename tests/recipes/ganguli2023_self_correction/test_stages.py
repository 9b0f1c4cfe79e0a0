"""What a run leaves, and how it goes on when checkpoints are added."""

import json
from pathlib import Path

import pytest

from preflab.atomic_files import read_json
from preflab.errors import DataError
from preflab.recipes.ganguli2023_self_correction.study import STARTER
from preflab.runner.catalogue import recipe_named
from tests.killing import Nursery, results


def test_a_run_leaves_a_line_for_each_item_and_condition(finished: Path) -> None:
    """Three benchmarks, three checkpoints, every condition that the benchmark has."""
    names = {path.name for path in (finished / "items").iterdir()}
    for checkpoint in ("tiny-0", "tiny-50", "tiny-5b-50"):
        assert {f"{checkpoint}.bbq.{key}.jsonl" for key in ("q", "if.1", "cot.1")} <= names
        assert f"{checkpoint}.winogender.match.1.jsonl" in names
        assert f"{checkpoint}.bbq.match.1.jsonl" not in names
    found = results(finished)
    own = found["tiny-0.bbq"]
    assert own["conditions"]["q"]["scored"] == own["conditions"]["q"]["items"] == 4
    assert own["conditions"]["cot.1"]["items"] == 2
    assert (own["steps"], own["sampling"]) == (0, False)
    assert own["size"] > 1000
    assert found["tiny-5b-50.bbq"]["size"] == 5e9
    assert found["data"]["benchmarks"]["bbq"]["files"] == ["bbq.jsonl"]


def test_a_checkpoint_added_later_is_measured_and_compared(finished: Path) -> None:
    """The first is not asked again: the same weights have the same answers, and each was written down once."""
    (path,) = (finished / "answers").iterdir()
    keys = [json.loads(line)["key"] for line in path.read_text("utf-8").splitlines()]
    assert len(set(keys)) == len(keys)
    compare = results(finished)["compare"]
    assert compare["checkpoints"] == ["tiny-0", "tiny-50", "tiny-5b-50"]
    assert compare["main"] == "tiny-5b-50"
    for own in (gap for gap in compare["gaps"] if gap["benchmark"] == "bbq"):
        other = [gap for gap in compare["gaps"] if gap["checkpoint"] != own["checkpoint"]
                 and (gap["benchmark"], gap["condition"]) == (own["benchmark"], own["condition"])]  # fmt: skip
        assert other[0]["change"] == own["change"]


def test_a_folder_without_the_data_is_named(nursery: Nursery, tmp_path: Path) -> None:
    """Before any model is loaded, and nothing is left behind."""
    from preflab.runner.launch import launch, resolve

    recipe = recipe_named("ganguli2023_self_correction")
    config = resolve(recipe, scale="smoke", assignments=[f"data=[{tmp_path}]"])
    with pytest.raises(DataError, match=r"suite bbq needs a file"):
        launch(recipe, config, tmp_path / "runs" / "r", quiet=True)
    assert not (tmp_path / "runs" / "r").exists()


def test_nothing_of_this_machine_is_in_the_results(finished: Path) -> None:
    """File names of the data, not their folders."""
    assert str(STARTER) not in json.dumps(read_json(finished / "results" / "data.json"))
