"""Which labels each round was given."""

from pathlib import Path

import pytest

from preflab.control.rewards.label_log import LabelLog
from preflab.control.rewards.labels import Label
from preflab.errors import DataError


def test_a_log_keeps_which_labels_each_round_was_given(tmp_path: Path) -> None:
    label = Label(1, 2, "tie", "ann", 640, 2.5)
    log = LabelLog(tmp_path / "a.jsonl")
    log.append(3, [label])
    log.append(4, [])
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write("[5, [{")  # a kill
    again = LabelLog(tmp_path / "a.jsonl")
    assert 3 in again and 4 in again and 5 not in again
    assert (again[3], again[4], again.labels()) == ([label], [], [label])
    (tmp_path / "a.jsonl").write_text('[1, [{"left": 1}]]\n')
    with pytest.raises(DataError, match=r"a\.jsonl:1: expected labels"):
        LabelLog(tmp_path / "a.jsonl")
