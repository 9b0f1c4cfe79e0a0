"""ShareGPT conversations with two ways to go on."""

from typing import Any

import pytest

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.data.sources.formats.sharegpt import read, recognise
from preflab.errors import RecordRefused

ASKED = [{"from": "human", "value": "Name a bird."}]
WREN, BRICK = {"from": "gpt", "value": "A wren."}, {"from": "gpt", "value": "A brick."}
EXPECTED = [Comparison.chosen_rejected(Dialogue.of("Name a bird."), "A wren.", "A brick.")]


@pytest.mark.parametrize(
    "record",
    [
        {"conversations": ASKED, "chosen": WREN, "rejected": BRICK},
        {"conversations": ASKED, "chosen": [WREN], "rejected": [BRICK]},
        {"conversations": ASKED, "chosen": "A wren.", "rejected": "A brick."},
        {"conversation": ASKED, "chosen": [*ASKED, WREN], "rejected": [*ASKED, BRICK]},
    ],
)
def test_every_form_gives_the_same_comparison(record: dict[str, Any]) -> None:
    assert recognise(record)
    assert read(record) == EXPECTED


def test_a_system_turn_and_a_system_column_are_the_system_message() -> None:
    system = {"from": "system", "value": "Be brief."}
    turns = {"conversations": [system, *ASKED], "chosen": WREN, "rejected": BRICK}
    column = {"conversations": ASKED, "chosen": WREN, "rejected": BRICK, "system": "Be brief."}
    assert read(turns) == read(column)
    assert read(turns)[0].prompt == Dialogue.of("Name a bird.", system="Be brief.")


def test_a_conversation_that_ends_with_a_reply_is_refused() -> None:
    with pytest.raises(RecordRefused, match="the prompt already ends with a reply"):
        read({"conversations": [*ASKED, WREN], "chosen": WREN, "rejected": BRICK})


def test_sides_alone_are_not_of_this_format() -> None:
    assert not recognise({"chosen": WREN, "rejected": BRICK})
    assert not recognise({"conversations": ASKED, "chosen": WREN})
    assert not recognise({"conversations": "text", "chosen": WREN, "rejected": BRICK})
