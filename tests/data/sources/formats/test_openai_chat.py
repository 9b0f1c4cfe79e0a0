"""OpenAI-style chats with two ways to go on."""

from typing import Any

import pytest

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.data.sources.formats.openai_chat import read, recognise
from preflab.errors import DataError, RecordRefused

ASKED = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
YO, GO = {"role": "assistant", "content": "yo"}, {"role": "assistant", "content": "go away"}
EXPECTED = Comparison.chosen_rejected(Dialogue.of("hi", system="be brief"), "yo", "go away")


@pytest.mark.parametrize(
    "record",
    [
        {"messages": ASKED, "chosen": "yo", "rejected": "go away"},
        {"messages": ASKED, "chosen": YO, "rejected": GO},
        {"messages": ASKED, "chosen": [YO], "rejected": [GO]},
        {"messages": ASKED, "chosen": [*ASKED, YO], "rejected": [*ASKED, GO]},
        {"input": {"messages": ASKED, "tools": []}, "preferred_output": [YO], "non_preferred_output": [GO]},
    ],
)
def test_every_form_gives_the_same_comparison(record: dict[str, Any]) -> None:
    assert recognise(record)
    assert read(record) == [EXPECTED]


def test_completions_of_several_turns_must_agree_up_to_the_last() -> None:
    more = [YO, {"role": "user", "content": "more"}]
    (comparison,) = read({"messages": ASKED, "chosen": [*more, YO], "rejected": [*more, GO]})
    assert comparison.prompt == Dialogue.of("hi", "yo", "more", system="be brief")
    with pytest.raises(RecordRefused, match="differ before the last reply"):
        read({"messages": ASKED, "chosen": [*more, YO], "rejected": [GO, more[1], GO]})


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ({"chosen": "a", "rejected": "b"}, r"\[messages\]: missing"),
        ({"messages": ASKED, "chosen": "a"}, r"\[rejected\]: missing"),
        ({"messages": "hi", "chosen": "a", "rejected": "b"}, r"\[messages\]: expected a list of messages"),
        ({"input": "hi", "preferred_output": [YO], "non_preferred_output": [GO]}, r"\[input\]: expected an object"),
    ],
)
def test_a_malformed_record_stops_the_load(record: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        read(record)
