"""Grades by judges written for the purpose."""

import math
from pathlib import Path

import pytest

from preflab.evals.core.data_source import DataSource
from preflab.evals.core.runner import run_items
from preflab.evals.suites.bias import likert
from preflab.rollouts.requests.types import Generation, OptionLogprobs, UnreadableResponse
from tests.evals.suites.mt_bench_rows import says, shelf, values
from tests.evals.suites.speakers import Chooser, Speaker


def test_grades(tmp_path: Path) -> None:
    items = likert.SUITE.load(shelf(tmp_path)).items
    judge = Speaker(lambda ask: "Grade: 9/10" if "six words" in ask.prompt.messages[0].text else "4")
    told = run_items(likert.SUITE.variant("sampled"), items, {"policy": Speaker(says), "judge": judge})
    own = values(likert.SUITE, told)
    assert own["grade", ""] == 6.5 and own["grade", "odd"] == 9

    def half_and_half(ask: OptionLogprobs) -> list[float]:
        return [math.log(0.4) if option in (" 2", " 10") else math.log(0.001) for option in ask.options]

    told = run_items(
        likert.SUITE.variant("expected"), items, {"policy": Speaker(says), "judge": Chooser(half_and_half)}
    )
    own = values(likert.SUITE, told)
    # (0.4 * 12 + 0.001 * 43) / 0.808
    assert own["grade", ""] == pytest.approx((0.4 * 12 + 0.001 * 43) / 0.808)
    assert own["mass", ""] == pytest.approx(0.808)
    none = run_items(likert.SUITE.variant("expected"), items, {"policy": Speaker(says),
                     "judge": Chooser(lambda ask: [-30.0] * 10)})  # fmt: skip
    assert {one.failed for one in none} == {"the judge answers neither"}


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("7", 7),
        ("10", 10),
        ("**8**", 8),
        ("8/10", 8),
        ("I give it 3 out of 10.", 3),
        ("Rating: 6. It has 2 faults.", 6),
        ("Clear: 7. Correct: 9. Final grade: 8.0", 8),
        ("Grade: 5 would be harsh; on a scale of 1 to 10 my rating is 6.", 6),
        ("<think>a 3, or a 4</think>[[9]]", 9),
    ],
)
def test_numbers_that_are_grades(text: str, grade: int) -> None:
    assert likert.parse_grade(Generation(text)) == grade


@pytest.mark.parametrize("text", ["good", "11", "0", "-3", "7.5", "between 6 and 8", "10 or 9"])
def test_numbers_that_are_none(text: str) -> None:
    with pytest.raises(UnreadableResponse, match="the judge"):
        likert.parse_grade(Generation(text))


def test_our_sample_file(shared: Path) -> None:
    assert len(likert.SUITE.load(DataSource(folder=shared / "data" / "instructions")).items) == 80
