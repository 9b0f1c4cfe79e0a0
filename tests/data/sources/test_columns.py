"""Columns that nobody reads: which of them matter, and how they are named by hand."""

from typing import Any

import pytest

from preflab.data.sources.columns import (
    ColumnMap,
    decode_json_text,
    is_empty,
    meaning_of,
    normalised,
    reading_of,
    side_columns,
    unread_columns,
)
from preflab.errors import ConfigError, DataError

TURNS = [{"from": "human", "value": "hi"}]
READS = {"prompt": "the prompt", "chosen": "the better reply", "rejected": "the worse reply"}


@pytest.mark.parametrize(
    ("name", "value", "meaning"),
    [
        ("instruction", "Name a bird.", "perhaps part of the prompt"),
        ("System Prompt", "Be brief.", "perhaps a system message"),
        ("response_2", "a", "perhaps a reply"),
        ("answer_b", "a", "perhaps a reply"),
        ("chosen-rating", 3, "perhaps a judgement"),
        ("overall_score", 3.0, "perhaps a judgement"),
        ("winner", "a", "perhaps a judgement"),
        ("whatever", TURNS, "messages"),
        ("whatever", '[{"role": "user", "content": "hi"}]', "messages"),
        ("tools", [{"name": "f"}], "perhaps tools"),
        ("instruction", " ", ""),
        ("instruction", None, ""),
        ("input", float("nan"), ""),
        ("id", "7", ""),
        ("notes", "text", ""),
        ("underscore_free", "text", ""),
    ],
)
def test_what_a_column_might_be(name: str, value: object, meaning: str) -> None:
    assert meaning_of(name, value) == meaning


def test_each_column_is_read_or_said_not_to_be() -> None:
    record = {"prompt": "q", "chosen": "a", "rejected": "b", "score_chosen": 1, "score_rejected": 0, "id": 7, "n": "x"}
    assert reading_of(record, READS, sides=True) == {
        **READS,
        "score_chosen": "score of chosen",
        "score_rejected": "score of rejected",
        "id": "not used: bookkeeping",
        "n": "not used",
    }
    assert unread_columns(record, READS, sides=True) == {}
    assert unread_columns(record, READS) == dict.fromkeys(("score_chosen", "score_rejected"), "perhaps a judgement")
    assert unread_columns(record, {}) == {}  # a format that does not say what it reads


def test_two_columns_of_sides_belong_together_by_their_names() -> None:
    record: dict[str, Any] = {"chosen": 1, "rejected": 1, "chosen_model": 1, "rejected_model": 1, "chosen_x": 1}
    assert side_columns(record) == {"chosen_model": "rejected_model"}


def test_empty_is_null_nan_blank_or_nothing() -> None:
    assert all(is_empty(value) for value in (None, "", " \n", [], {}, float("nan")))
    assert not any(is_empty(value) for value in (0, 0.0, False, "a", [None]))


def test_json_text_is_decoded_only_where_it_holds_messages() -> None:
    assert decode_json_text('[{"role": "user", "content": "a"}]') == [{"role": "user", "content": "a"}]
    for text in ("[1]", "{}", "[", "[" * 100_000, "a", '{"a": 1}', "[]"):
        assert decode_json_text(text) == text


def test_names_are_compared_without_case_blanks_and_dashes() -> None:
    assert normalised(" Chosen-Avg Rating.x ") == "chosen_avg_rating_x"


def test_columns_are_renamed_and_left_out_by_hand() -> None:
    columns = ColumnMap(["prompt=instruction", "ignore=notes", " ignore = input "])
    record = {"instruction": "q", "notes": "n", "input": "i", "chosen": "a"}
    columns.check(record)
    assert columns.apply(record) == {"chosen": "a", "prompt": "q"}
    assert not ColumnMap([])
    swapped = ColumnMap(["chosen=rejected", "rejected=chosen"])
    swapped.check({"chosen": "a", "rejected": "b"})
    assert swapped.apply({"chosen": "a", "rejected": "b"}) == {"chosen": "b", "rejected": "a"}


@pytest.mark.parametrize("entries", [["prompt"], ["=a"], ["prompt="], ["prompt=a", "prompt=b"]])
def test_an_entry_of_another_form_is_refused(entries: list[str]) -> None:
    with pytest.raises(ConfigError, match="columns: "):
        ColumnMap(entries)


def test_a_name_that_is_not_there_and_a_target_that_is_are_refused() -> None:
    with pytest.raises(DataError, match="there is no 'instruction'; this record has prompt, chosen"):
        ColumnMap(["prompt=instruction"]).check({"prompt": "q", "chosen": "a"})
    with pytest.raises(DataError, match="there is a 'prompt' already; leave it out with ignore=prompt"):
        ColumnMap(["prompt=question"]).check({"prompt": "q", "question": "a"})


def test_a_column_that_repeats_what_is_read_changes_nothing() -> None:
    asked = [{"role": "user", "content": "q"}]
    record: dict[str, Any] = {"prompt": asked, "chosen": "a", "rejected": "b", "question": " q ", "messages": asked}
    assert unread_columns(record, READS) == {}
    assert unread_columns(record | {"question": "another"}, READS) == {"question": "perhaps part of the prompt"}
    answered = [*asked, {"role": "assistant", "content": "c"}]
    assert unread_columns(record | {"messages": answered}, READS) == {"messages": "perhaps part of the prompt"}
    assert unread_columns(record | {"score": 3}, READS) == {"score": "perhaps a judgement"}
