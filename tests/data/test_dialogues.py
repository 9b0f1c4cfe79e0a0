"""Dialogues to learn from, read from files of records."""

import json
from pathlib import Path
from typing import Any

import pytest

from preflab.data.dialogue import Dialogue
from preflab.data.dialogues import load_dialogues
from preflab.errors import DataError

GREETING = Dialogue.of("hi", "hello")
TURNS = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]


def written(folder: Path, *records: Any) -> Path:
    path = folder / "dialogues.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"messages": TURNS}, Dialogue.of("hi", "hello")),
        ({"messages": [*TURNS, {"role": "user", "content": "bye"}]}, Dialogue.of("hi", "hello", "bye")),
        ({"prompt": "hi", "reply": "hello"}, Dialogue.of("hi", "hello")),
        ({"prompt": "hi", "completion": "hello"}, Dialogue.of("hi", "hello")),
        ({"prompt": TURNS[:1], "response": "hello"}, Dialogue.of("hi", "hello")),
        ({"prompt": TURNS[:1], "completion": TURNS[1:]}, Dialogue.of("hi", "hello")),
        ({"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]}, GREETING),
        ({"messages": json.dumps(TURNS)}, GREETING),
        ({"instruction": "hi", "input": "", "output": "hello"}, GREETING),
        ({"question": "hi", "answer": "hello", "system": "be kind"}, Dialogue.of("hi", "hello", system="be kind")),
        ({"prompt": "\n\nHuman: hi\n\nAssistant:", "reply": "hello"}, GREETING),
    ],
)
def test_dialogues_are_read_in_every_form(record: Any, expected: Dialogue, tmp_path: Path) -> None:
    loaded = load_dialogues(written(tmp_path, record))
    assert loaded.dialogues == [expected]
    assert (loaded.records, loaded.refused) == (1, {})
    assert loaded.digest.startswith("sha256:")


def test_dialogues_in_which_the_assistant_says_nothing_are_refused_and_counted(tmp_path: Path) -> None:
    silent = {"messages": TURNS[:1]}
    path = written(tmp_path, silent, {"messages": TURNS}, {"prompt": "hi", "reply": " "})
    loaded = load_dialogues(path)
    assert len(loaded.dialogues) == 1
    assert loaded.records == 3
    assert loaded.refused == {"the assistant says nothing": 2}
    assert loaded.first_refused == {"the assistant says nothing": f"{path}:1"}
    with pytest.raises(DataError, match="every record was refused"):
        load_dialogues(written(tmp_path, silent))


def test_a_turn_of_weight_0_is_context_and_is_not_learned(tmp_path: Path) -> None:
    again = [{"role": "user", "content": "bye"}, {"role": "assistant", "content": "goodbye", "weight": 1}]
    unlearned = {**TURNS[1], "weight": 0}
    (dialogue,) = load_dialogues(written(tmp_path, {"messages": [TURNS[0], unlearned, *again]})).dialogues
    assert [(turn.text, turn.learned) for turn in dialogue.messages] == [
        ("hi", True),
        ("hello", False),
        ("bye", True),
        ("goodbye", True),
    ]
    with pytest.raises(DataError, match="every turn of the assistant has weight 0"):
        load_dialogues(written(tmp_path, {"messages": [TURNS[0], unlearned]}))
    with pytest.raises(DataError, match="a weight that is neither 0 nor 1"):
        load_dialogues(written(tmp_path, {"messages": [TURNS[0], {**TURNS[1], "weight": 0.5}]}))


def test_columns_that_matter_are_read_refused_or_named_by_hand(tmp_path: Path) -> None:
    record = {"prompt": "hi", "reply": "hello", "context": "a shop", "notes": "n"}
    with pytest.raises(DataError, match=r"column 'context' \(perhaps part of the prompt\) is not read"):
        load_dialogues(written(tmp_path, record))
    loaded = load_dialogues(written(tmp_path, record), columns=["ignore=context"])
    assert loaded.dialogues == [GREETING]
    assert loaded.columns == {"prompt": "the prompt", "reply": "the reply", "notes": "not used"}
    with pytest.raises(DataError, match="expected one reply, found reply, answer; leave one out with ignore=answer"):
        load_dialogues(written(tmp_path, {"prompt": "hi", "reply": "hello", "answer": "bye"}))


def test_what_is_no_dialogue_stops_the_load_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dialogues\.jsonl:2.*\[prompt\]"):
        load_dialogues(written(tmp_path, {"messages": TURNS}, {"text": "hi"}))
    with pytest.raises(DataError, match="reply"):
        load_dialogues(written(tmp_path, {"prompt": "hi"}))
    with pytest.raises(DataError, match="no such file"):
        load_dialogues(tmp_path / "absent.jsonl")
