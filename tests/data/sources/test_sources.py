"""Which format a record is taken for, where several would fit."""

from pathlib import Path
from typing import Any

import pytest

from preflab.data.sources import SOURCES, formats, get_source, recognise
from preflab.errors import ConfigError, DataError

USER, REPLY = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}
SIDES = {"chosen": [USER, REPLY], "rejected": [USER, {"role": "assistant", "content": "no"}]}
SCORED = {"prompt": "hi", "score_chosen": 2, "score_rejected": 1}


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ({"prompt": "q", "replies": ["a", "b"], "ranks": [0, 1]}, "preflab_jsonl"),
        ({"prompt": "q", "responses": ["a", "b"], "ratings": [0, 1]}, "rated"),
        ({"conversations": [USER], "chosen": REPLY, "rejected": REPLY}, "sharegpt"),
        ({"question": "q", "system": "s", "chosen": "a", "rejected": "b"}, "instruction"),
        ({**SIDES, **SCORED, "messages": [USER, REPLY]}, "ultrafeedback"),
        ({**SIDES, "messages": [USER]}, "openai_chat"),
        ({"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"}, "hh"),
        ({"prompt": "\n\nHuman: a\n\nAssistant:", "chosen": " b", "rejected": " c"}, "hh"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "trl"),
        ({**SIDES, "prompt": [USER]}, "trl"),
        (SIDES, "trl"),
    ],
)
def test_the_most_specific_format_has_it(record: dict[str, Any], name: str) -> None:
    assert recognise(record).name == name


def test_an_unknown_form_is_answered_with_the_known_ones() -> None:
    with pytest.raises(DataError, match="found columns question, answer") as error:
        recognise({"question": "q", "answer": "a"})
    assert all(f"{source.name}: {source.columns}" in str(error.value) for source in SOURCES.values())


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigError,
        match="'csv'; known are preflab_jsonl, rated, ultrafeedback, openai_chat, hh, sharegpt, instruction, trl",
    ):
        get_source("csv")


def test_a_format_that_would_leave_out_what_matters_is_not_taken() -> None:
    with pytest.raises(DataError, match=r"like format preflab_jsonl, which would not read 'chosen' \(perhaps"):
        recognise({"prompt": "q", "replies": ["a", "b"], "ranks": [0, 1], "chosen": "a"})
    with pytest.raises(DataError, match=r"--columns NAME=persona\), or .*--columns ignore=persona\)"):
        recognise({"prompt": "q", "chosen": "a", "rejected": "b", "persona": "a pirate"})


def test_every_file_of_formats_is_a_format_and_says_what_it_reads() -> None:
    folder = Path(formats.__path__[0])
    assert len(SOURCES) == len(list(folder.glob("[a-z]*.py")))
    assert all(source.reads for source in SOURCES.values())
