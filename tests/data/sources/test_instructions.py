"""Prompts in Alpaca's and Orca's columns."""

import pytest

from preflab.data.dialogue import Message
from preflab.data.sources.instructions import instruction_column, instruction_messages
from preflab.errors import DataError


def test_the_column_is_the_only_one_that_holds_something() -> None:
    assert instruction_column({"instruction": "a", "question": ""}) == "instruction"
    assert instruction_column({"query": "a", "input": "b"}) == "query"
    assert instruction_column({"input": "a"}) == "input"
    assert instruction_column({"instruction": "a", "question": "b"}) is None
    assert instruction_column({"prompt": "a", "instruction": "b"}) is None
    assert instruction_column({"input": {"messages": []}}) is None


def test_the_input_stands_below_the_instruction_and_history_before() -> None:
    record = {"instruction": "Sum it up.", "input": "A text.", "history": [["Hi", "Hello"]]}
    assert instruction_messages(record) == (
        Message("user", "Hi"),
        Message("assistant", "Hello"),
        Message("user", "Sum it up.\nA text."),
    )


def test_no_instruction_is_an_error_that_names_the_columns() -> None:
    with pytest.raises(DataError, match="expected one of instruction, question, query; this record has text"):
        instruction_messages({"text": "a"})
