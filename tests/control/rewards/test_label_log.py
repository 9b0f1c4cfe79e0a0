"""What each round was handed, and oracles that answer at once."""

from pathlib import Path

import numpy as np
import pytest

from preflab.control.clips import Clip
from preflab.control.rewards.label_log import LabelLog, SynchronousLabeller
from preflab.control.rewards.labels import Label
from preflab.control.rewards.oracle import Oracle, OracleConfig
from preflab.errors import DataError


def clip(id: int, reward: float) -> Clip:
    return Clip(id=id, observations=np.zeros((2, 1)), actions=np.zeros((2, 1)), true_reward=np.full(2, reward))


def test_a_journal_keeps_what_each_update_was_handed(tmp_path: Path) -> None:
    label = Label(1, 2, "tie", "ann", 640, 2.5)
    journal = LabelLog(tmp_path / "a.jsonl")
    journal.keep(3, [label])
    journal.keep(4, [])
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write("[5, [{")  # a kill
    again = LabelLog(tmp_path / "a.jsonl")
    assert 3 in again and 4 in again and 5 not in again
    assert (again[3], again[4], again.labels()) == ([label], [], [label])
    (tmp_path / "a.jsonl").write_text('[1, [{"left": 1}]]\n')
    with pytest.raises(DataError, match=r"a\.jsonl:1: expected labels"):
        LabelLog(tmp_path / "a.jsonl")


def test_an_oracle_answers_what_was_asked_once() -> None:
    labeller = SynchronousLabeller(Oracle())
    assert labeller.ask([(clip(1, 0.0), clip(2, 1.0)), (clip(3, 1.0), clip(4, 1.0))], 64) == 2
    assert labeller.answers() == [Label(1, 2, "right", "oracle", 64), Label(3, 4, "tie", "oracle", 64)]
    assert labeller.answers() == []


def test_a_noisy_oracle_answers_a_pair_alike_whatever_was_asked_before() -> None:
    noisy = Oracle(OracleConfig(flip=0.5))
    pairs = [(clip(2 * i, 0.0), clip(2 * i + 1, 1.0)) for i in range(40)]
    forwards, backwards = SynchronousLabeller(noisy), SynchronousLabeller(noisy)
    forwards.ask(pairs, 0)
    backwards.ask(pairs[::-1], 0)
    told = forwards.answers()
    assert told == backwards.answers()[::-1]
    assert {label.response for label in told} == {"left", "right"}
