"""Win rates by judges written for the purpose."""

import json
import math
from pathlib import Path
from typing import Any

from preflab.evals.core.data_source import DataSource
from preflab.evals.core.runner import run_items
from preflab.evals.suites.bias import likert
from preflab.evals.suites.preferences import winrate
from tests.evals.suites.mt_bench_rows import ROWS, says, shelf, values
from tests.evals.suites.speakers import Chooser, Rater, Speaker


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


def test_the_samples(shared: Path) -> None:
    data = DataSource(folder=shared / "data" / "instructions")
    assert len(winrate.SUITE.load(data).items) == 30
