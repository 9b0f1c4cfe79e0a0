"""What the files of the backflip's stages hold, under the keys they always had."""

from pathlib import Path

from preflab.conversion import to_json
from preflab.maths.statistics import Estimate
from preflab.recipes.christiano2017.backflip.results import LearningResult, TurnResult
from preflab.run import typed_result

ESTIMATE = {"value": 1.9, "low": 1.8, "high": 2.0, "n": 32, "clusters": None, "level": 0.95}
TURNS = {"turns": ESTIMATE, "most": 2.5, "share_of_a_turn_or_more": 0.97, "height": 0.95, "film": "after.gif"}
LEARNING = {
    "steps": 2400, "updates": 5, "queries": 12, "labels": {"left": 7, "right": 3, "tie": 1, "cannot tell": 1},
    "labellers": ["judge"], "seconds_answering": None,
}  # fmt: skip


def test_turns_are_read_from_their_file_and_written_as_they_were() -> None:
    result = typed_result(Path("after.json"), {**TURNS, "seconds": 3.0}, TurnResult)
    assert (result.most_turns, result.video, result.turns) == (2.5, "after.gif", Estimate(1.9, 1.8, 2.0, 32))
    assert to_json(result) == TURNS


def test_learning_counts_every_answer() -> None:
    result = typed_result(Path("learn.json"), LEARNING, LearningResult)
    assert (result.labels_given, result.labellers, result.seconds_answering) == (12, ("judge",), None)
    assert to_json(result) == LEARNING
