"""Alpaca's and Orca's columns with two sides."""

from typing import Any

import pytest

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.data.sources.formats.instruction import SOURCE, read, recognise
from preflab.errors import DataError

SIDES = {"chosen": "A wren.", "rejected": "A brick."}


@pytest.mark.parametrize(
    ("columns", "prompt"),
    [
        ({"instruction": "Name a bird."}, Dialogue.of("Name a bird.")),
        ({"instruction": "Name a bird.", "input": ""}, Dialogue.of("Name a bird.")),
        ({"instruction": "Name one.", "input": "Birds"}, Dialogue.of("Name one.\nBirds")),
        ({"question": "Name a bird.", "system": "Be brief."}, Dialogue.of("Name a bird.", system="Be brief.")),
        ({"query": "Name a bird.", "system": ""}, Dialogue.of("Name a bird.")),
        ({"input": "Name a bird."}, Dialogue.of("Name a bird.")),
        ({"instruction": "And a bird?", "history": [["Hi", "Hello"]]}, Dialogue.of("Hi", "Hello", "And a bird?")),
        ({"instruction": "A bird?", "history": None, "prompt": None}, Dialogue.of("A bird?")),
    ],
)
def test_every_form_of_the_prompt(columns: dict[str, Any], prompt: Dialogue) -> None:
    record = columns | SIDES
    assert recognise(record)
    assert read(record) == [Comparison.chosen_rejected(prompt, "A wren.", "A brick.")]


def test_history_as_messages_and_sides_as_messages() -> None:
    turn = {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}
    record = {
        "instruction": "A bird?",
        "history": list(turn),
        "chosen": {"from": "gpt", "value": "A wren."},
        "rejected": [{"role": "assistant", "content": "A brick."}],
    }
    assert read(record) == [Comparison.chosen_rejected(Dialogue.of("Hi", "Hello", "A bird?"), "A wren.", "A brick.")]


@pytest.mark.parametrize(
    "columns", [{}, {"instruction": "a", "question": "b"}, {"instruction": "a", "prompt": "b"}, {"instruction": " "}]
)
def test_no_instruction_or_two_are_not_recognised(columns: dict[str, Any]) -> None:
    assert not recognise(columns | SIDES)


def test_a_history_of_another_form_stops_the_load() -> None:
    with pytest.raises(DataError, match=r"\[history\]: expected pairs of texts"):
        read({"instruction": "a", "history": [["only one"]], **SIDES})


def test_the_format_says_what_it_reads() -> None:
    assert SOURCE.reads["input"] == "the prompt, below the instruction"
    assert {"instruction", "question", "query", "history", "system", "chosen", "rejected"} <= SOURCE.reads.keys()
