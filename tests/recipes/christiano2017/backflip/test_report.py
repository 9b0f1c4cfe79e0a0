"""Report and closing lines of the backflip, from files written by hand."""

from pathlib import Path

from preflab.conversion import to_json
from preflab.maths.statistics import Estimate
from preflab.recipes.christiano2017.backflip.config import smoke
from preflab.recipes.christiano2017.backflip.report import summarise, write_report
from preflab.recipes.christiano2017.backflip.results import LearningResult, TurnResult
from preflab.run import Run


def turns(value: float, share: float, video: str) -> TurnResult:
    estimate = Estimate(value, value - 0.1, value + 0.1, 32)
    return TurnResult(turns=estimate, most_turns=value + 1, share_of_a_turn_or_more=share, height=0.9, video=video)


LEARNING = LearningResult(
    steps=2400,
    updates=5,
    queries=12,
    labels={"left": 7, "right": 3, "tie": 2, "cannot tell": 0},
    labellers=("ann", "bob"),
    seconds_answering=36.0,
)


def stages(folder: Path, *names: str) -> None:
    results = {"before": turns(0.4, 0.03, "before.gif"), "learn": LEARNING, "after": turns(1.9, 0.97, "after.gif")}
    with Run(folder, smoke(), recipe="christiano2017_backflip", quiet=True) as run:
        run.log("learn", step=800, held_out_accuracy=0.5, height=0.6)
        for name in names:
            run.stage(name, lambda name=name: to_json(results[name]))  # type: ignore[misc]


def test_a_finished_run_tells_turns_labels_and_their_rate(tmp_path: Path) -> None:
    stages(tmp_path, "before", "learn", "after")
    page = write_report(tmp_path).read_text()
    assert "Turns backwards in an episode: +0.40 before, +1.90 after 12 labels." in page
    assert "ann, bob" in page and "labels an hour" in page and "1,200" in page  # 12 in 36 seconds
    lines = {title: (number, remark) for title, number, remark in summarise(tmp_path)}
    assert lines["turns after"] == ("+1.90 [+1.80, +2.00]", "an episode, backwards; 97 % of a whole turn or more")
    assert lines["labels"] == ("12", "7 left, 3 right, 2 tie")


def test_an_unfinished_run_has_a_report_too(tmp_path: Path) -> None:
    stages(tmp_path, "before")
    assert "Learning has not finished yet" in write_report(tmp_path).read_text()
    assert [title for title, _, _ in summarise(tmp_path)][:2] == ["turns before", "video before"]
