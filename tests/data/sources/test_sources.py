"""Which format a record is taken for, where several would fit."""

from typing import Any

import pytest

from preflab.data.sources import SOURCES, get_source, recognise
from preflab.errors import ConfigError, DataError

USER, REPLY = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}
SIDES = {"chosen": [USER, REPLY], "rejected": [USER, {"role": "assistant", "content": "no"}]}
SCORED = {"prompt": "hi", "score_chosen": 2, "score_rejected": 1}


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ({"prompt": "q", "replies": ["a", "b"], "ranks": [0, 1], "chosen": "a", "rejected": "b"}, "preflab_jsonl"),
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
    with pytest.raises(ConfigError, match="'csv'; known are preflab_jsonl, ultrafeedback, openai_chat, hh, trl"):
        get_source("csv")
