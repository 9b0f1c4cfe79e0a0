"""BoolQ: three ways, both layouts, and what one answer to everything scores."""

from pathlib import Path
from typing import Any

import pytest

from preflab.errors import DataError
from preflab.evals.core.data_source import DataSource
from preflab.evals.suites.capabilities.boolq import SUITE
from preflab.rollouts.requests.types import OptionLogprobs
from tests.evals.suites.scripted import Scripted, asked, shelf_of, tell, values

RECORD: dict[str, Any] = {"id": "1", "passage": "Tea is a drink.", "question": "is tea a drink", "answer": True}
SECOND = RECORD | {"id": "2", "question": "is tea a meal", "answer": False}
THIRD = RECORD | {"id": "3", "question": "is tea wet", "answer": True}


@pytest.mark.parametrize("way", ["plain", "chat"])
def test_one_answer_to_everything_leads_over_nothing(way: str, tmp_path: Path) -> None:
    """Yes is right in 2 of 3, at 0.03 of 0.04: 3/4 - 2/3 too sure."""
    policy = Scripted(choose=lambda ask: (0.01, 0.03))
    shelf = shelf_of(tmp_path, [RECORD, SECOND, THIRD], "boolq")
    found = values(SUITE, tell(SUITE, shelf, way, policy=policy))
    assert found["accuracy"] == pytest.approx(2 / 3) and found["says yes"] == 1.0
    assert found["lead over the commoner answer"] == pytest.approx(0.0)
    assert found["calibration gap"] == pytest.approx(3 / 4 - 2 / 3)
    assert found["probability held by the words"] == pytest.approx(0.04)


def test_the_plain_frame(tmp_path: Path) -> None:
    policy = Scripted(choose=lambda ask: (0.1, 0.1))
    (told,) = tell(SUITE, shelf_of(tmp_path, [RECORD], "boolq"), "plain", policy=policy)
    (ask,) = policy.tape
    assert isinstance(ask, OptionLogprobs)
    assert (asked(ask), ask.options) == ("Tea is a drink.\nQuestion: is tea a drink?\nAnswer:", (" no", " yes"))
    assert told.outcome is not None and told.outcome["yes"] == 0.0  # the first of equals


def test_what_it_writes(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path, [RECORD, SECOND, THIRD], "boolq")
    says = {"drink?": "Yes, it is.", "meal?": "No", "wet?": "Maybe."}
    policy = Scripted(speak=lambda ask: next(v for k, v in says.items() if k in asked(ask)))
    told = tell(SUITE, shelf, "sampled", policy=policy)
    assert [own.outcome and own.outcome["correct"] for own in told] == [1.0, 1.0, None]
    assert told[2].failed == "the model answers neither"


@pytest.mark.parametrize("mark", [{"answer": "true"}, {"answer": None, "label": 1}, {"label": 1, "answer": False}])
def test_layouts(mark: dict[str, Any], tmp_path: Path) -> None:
    (item,) = SUITE.load(shelf_of(tmp_path, [RECORD | mark], "boolq")).items
    assert item.data.yes is True and item.group == "Tea is a drink."


def test_what_cannot_be_used_is_counted(tmp_path: Path) -> None:
    bad = [{"id": "a", "passage": " "}, {"id": "b", "question": ""}, {"id": "c", "label": -1}]
    items = SUITE.load(shelf_of(tmp_path, [RECORD, *(RECORD | own for own in bad)], "boolq"))
    assert len(items.items) == 1
    assert items.refused == {"passage is empty": 1, "question is empty": 1, "its answer is hidden": 1}
    for wrong in ({"answer": "perhaps"}, {"answer": None}):
        with pytest.raises(DataError, match="answer"):
            SUITE.load(shelf_of(tmp_path, [RECORD | wrong], "boolq"))


def test_the_real_file(shared: Path) -> None:
    items = SUITE.load(DataSource(folder=shared / "data"))
    assert (len(items.items), items.refused) == (1200, {})
