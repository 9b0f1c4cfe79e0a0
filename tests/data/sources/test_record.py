"""Fields of records: what is missing stops the load, what is merely useless is refused."""

import pytest

from preflab.data.dialogue import Message
from preflab.data.sources.messages import messages
from preflab.data.sources.record import (
    comparison,
    full_dialogue,
    last_replies_compared,
    optional_number,
    optional_text,
    text,
)
from preflab.errors import DataError, RecordRefused

ASK, YES, NO = Message("user", "ask"), Message("assistant", "yes"), Message("assistant", "no")


def test_a_missing_column_is_named_with_those_that_are_there() -> None:
    with pytest.raises(DataError, match=r"\[chosen\]: missing; this record has id, prompt"):
        text({"id": 1, "prompt": "x"}, "chosen")


def test_a_wrong_type_is_named_with_what_was_found() -> None:
    with pytest.raises(DataError, match=r"\[chosen\]: expected text, found int 7"):
        text({"chosen": 7}, "chosen")
    with pytest.raises(DataError, match=r"\[margin\]: expected a number, found bool True"):
        optional_number({"margin": True}, "margin")


def test_optional_fields_may_be_missing_or_null() -> None:
    assert optional_text({}, "id") == optional_text({"id": None}, "id") == ""
    assert optional_text({"id": 12}, "id") == "12"
    assert optional_number({}, "margin") is optional_number({"margin": None}, "margin") is None
    assert optional_number({"margin": 2}, "margin") == 2.0


def test_text_parts_of_a_message_are_joined() -> None:
    parts = [{"type": "text", "text": "two "}, {"type": "text", "text": "parts"}]
    assert messages([{"role": "user", "content": parts}], "prompt") == (Message("user", "two parts"),)


@pytest.mark.parametrize("value", ["text", 3, [{"role": "user"}], ["text"]])
def test_what_is_no_list_of_messages_stops_the_load(value: object) -> None:
    with pytest.raises(DataError, match=r"\[prompt\]: expected a list of messages") as error:
        messages(value, "prompt")
    assert not isinstance(error.value, RecordRefused)


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": None},
        {"role": "user", "content": [{"type": "image_url", "image_url": "x"}]},
    ],
)
def test_messages_that_are_not_text_are_refused(message: dict[str, object]) -> None:
    with pytest.raises(RecordRefused, match="a message"):
        messages([message], "prompt")


@pytest.mark.parametrize(
    ("prompt", "replies", "reason"),
    [
        ([ASK], ("yes", " \n"), "a reply is empty"),
        ([Message("user", " ")], ("yes", "no"), "the prompt is empty"),
        ([], ("yes", "no"), "the prompt is empty"),
        ([ASK, YES], ("yes", "no"), "already ends with a reply"),
        ([ASK], ("yes", "yes"), "chosen == rejected"),
        ([ASK], ("yes", "\ud83d"), "surrogate"),
    ],
)
def test_useless_content_is_refused(prompt: list[Message], replies: tuple[str, str], reason: str) -> None:
    with pytest.raises(RecordRefused, match=reason):
        comparison(prompt, replies)


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason"),
    [
        ([ASK, YES], [ASK], "does not end with a reply"),
        ([ASK, YES], [], "does not end with a reply"),
        ([ASK, YES], [ASK, NO, ASK, YES], "different numbers of turns"),
        ([ASK, YES], [Message("user", "other"), NO], "differ before the last reply"),
        ([YES], [NO], "the prompt is empty"),
    ],
)
def test_sides_that_do_not_belong_together_are_refused(
    chosen: list[Message], rejected: list[Message], reason: str
) -> None:
    with pytest.raises(RecordRefused, match=reason):
        last_replies_compared(chosen, rejected)


def test_a_side_may_repeat_the_prompt_or_continue_it() -> None:
    system = Message("system", "be brief")
    assert full_dialogue([ASK], [YES]) == (ASK, YES)
    assert full_dialogue([ASK], [ASK, YES]) == (ASK, YES)
    assert full_dialogue([ASK], [system, ASK, YES]) == (system, ASK, YES)
    with pytest.raises(RecordRefused, match="a side neither repeats the prompt nor begins"):
        full_dialogue([ASK], [Message("user", "other"), YES])
