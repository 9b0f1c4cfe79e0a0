"""Win rates and grades with judges written for the purpose."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from preflab.evals.core.data_source import DataSource
from preflab.evals.core.runner import measure_results, run_items
from preflab.evals.suites.bias import likert
from preflab.evals.suites.preferences import winrate
from preflab.rollouts.requests.types import OptionLogprobs, UnreadableResponse
from tests.evals.suites.speakers import Chooser, Rater, Speaker

ROWS: list[dict[str, Any]] = [
    {"id": f"p{k}", "category": "even" if k % 2 == 0 else "odd", "turns": [f"Question {k}?"], "reference": ["no idea"]}
    for k in range(8)
]


def shelf(tmp_path: Path, rows: list[dict[str, Any]] = ROWS, name: str = "mt_bench_questions.jsonl") -> DataSource:
    (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return DataSource(folder=tmp_path)


def says(ask: Any) -> str:
    return "a long answer of six words" if int(ask.prompt.messages[0].text[9]) % 2 else "no"


def values(suite: Any, told: Any) -> dict[Any, float | None]:
    return {(m.name, m.value): m.estimate and m.estimate.value for m in measure_results(suite.measures, told)}


def test_a_preference_model_that_counts_letters(tmp_path: Path) -> None:
    items = winrate.SUITE.load(shelf(tmp_path)).items
    told = run_items(
        winrate.SUITE.variant("pm"), items, {"policy": Speaker(says), "pm": Rater(lambda _, r: float(len(r)))}
    )
    own = values(winrate.SUITE, told)
    assert own["win rate", ""] == 0.5 and own["win rate", "odd"] == 1 and own["win rate", "even"] == 0
    assert own["longer wins", ""] == 1


def test_judges(tmp_path: Path) -> None:
    items = winrate.SUITE.load(shelf(tmp_path)).items

    def judge(ask: Any) -> str:
        return "A" if "(A) no idea" not in ask.prompt.messages[0].text else "B"

    told = run_items(winrate.SUITE.variant("judge-sampled"), items, {"policy": Speaker(says), "judge": Speaker(judge)})
    own = values(winrate.SUITE, told)
    assert own["win rate", ""] == 1 and own["inconsistent", ""] == 0 and own["favours first", ""] == 0.5
    biased = Chooser(lambda ask: [math.log(0.7), math.log(0.3)])
    for way in ("judge", "harmless"):
        told = run_items(winrate.SUITE.variant(way), items, {"policy": Speaker(says), "judge": biased})
        own = values(winrate.SUITE, told)
        assert own["win rate", ""] == 0.5 and own["inconsistent", ""] == 1
    mute = run_items(
        winrate.SUITE.variant("harmless-sampled"), items, {"policy": Speaker(lambda _: ""), "judge": biased}
    )
    assert {one.failed for one in mute} == {"the model said nothing"}


def test_against_an_earlier_run(tmp_path: Path) -> None:
    items = likert.SUITE.load(shelf(tmp_path)).items
    told = run_items(likert.SUITE.variant("sampled"), items, {"policy": Speaker(says), "judge": Speaker(lambda _: "7")})
    path = tmp_path / "items.jsonl"
    path.write_text("".join(json.dumps(own.to_json()) + "\n" for own in told))
    again = winrate.SUITE.load(DataSource(paths={"winrate": path})).items
    assert [i.id for i in again] == [i.id for i in items]
    assert {i.data.reference for i in again} == {"a long answer of six words", "no"}


def test_rows_without_a_reference_are_counted(tmp_path: Path) -> None:
    found = winrate.SUITE.load(shelf(tmp_path, [*ROWS, {"id": "z", "turns": ["?"], "reference": None}]))
    assert len(found.items) == 8 and found.refused == {"it has no reply to be compared with": 1}


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
    ],
)
def test_numbers_that_are_grades(text: str, grade: int) -> None:
    assert likert.parse_grade(text) == grade


@pytest.mark.parametrize("text", ["good", "11", "0", "-3", "7.5", "between 6 and 8", "10 or 9"])
def test_numbers_that_are_none(text: str) -> None:
    with pytest.raises(UnreadableResponse, match="the judge"):
        likert.parse_grade(text)


def test_the_samples(shared: Path) -> None:
    data = DataSource(folder=shared / "data" / "instructions")
    assert len(likert.SUITE.load(data).items) == 80
    assert len(winrate.SUITE.load(data).items) == 30
