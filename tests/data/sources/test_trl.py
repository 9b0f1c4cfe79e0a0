"""TRL's preference formats: text and messages, prompt given or not."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.data.sources.trl import read, recognise, write
from preflab.errors import DataError, RecordRefused

TEXT = (st.text(min_size=1) | st.sampled_from(["Human: no turn", "a: b", "\n\nHuman: x"])).filter(str.strip)
USER, YES, NO = (
    {"role": "user", "content": "Is the sky blue?"},
    {"role": "assistant", "content": "Yes: mostly."},
    {"role": "assistant", "content": "No."},
)


@given(
    st.lists(TEXT, min_size=1, max_size=5).filter(lambda turns: len(turns) % 2 == 1),
    TEXT,
    TEXT,
    st.none() | st.floats(allow_nan=False),
    st.none() | TEXT,
)
@settings(deadline=None)
def test_what_is_written_is_read_back(
    turns: list[str], chosen: str, rejected: str, strength: float | None, system: str | None
) -> None:
    if chosen == rejected:
        return
    prompt = Dialogue.of(*turns, system=system)
    comparison = Comparison.chosen_rejected(prompt, chosen, rejected, strength=strength)
    (record,) = write(comparison)
    assert recognise(record)
    assert read(json.loads(json.dumps(record))) == comparison


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "Is the sky blue?", "chosen": "Yes: mostly.", "rejected": "No."},
        {"prompt": [USER], "chosen": [YES], "rejected": [NO]},
        {"prompt": [USER], "chosen": [USER, YES], "rejected": [USER, NO]},
        {"prompt": "Is the sky blue?", "chosen": [USER, YES], "rejected": [USER, NO]},
        {"chosen": [USER, YES], "rejected": [USER, NO]},
    ],
)
def test_every_form_gives_the_same_comparison(record: dict[str, Any]) -> None:
    assert recognise(record)
    assert read(record) == Comparison.chosen_rejected(Dialogue.of("Is the sky blue?"), "Yes: mostly.", "No.")


def test_an_implicit_prompt_in_text_ends_at_a_blank_and_loses_nothing() -> None:
    record = {"chosen": "The sky is blue.", "rejected": "The sky is black."}
    found = read(record)
    assert found.prompt == Dialogue.of("The sky is ")  # not "The sky is bl"
    assert found.replies == ("blue.", "black.")


def test_one_text_may_begin_with_the_other() -> None:
    found = read({"chosen": "Say yes", "rejected": "Say yes please"})
    assert (found.prompt, found.replies) == (Dialogue.of("Say "), ("yes", "yes please"))


@given(TEXT, TEXT)
@settings(deadline=None)
def test_an_implicit_prompt_and_a_reply_make_the_whole_text_again(chosen: str, rejected: str) -> None:
    record = {"chosen": "What? " + chosen, "rejected": "What? " + rejected}
    try:
        found = read(record)
    except RecordRefused:
        return
    assert tuple(found.prompt.messages[0].text + reply for reply in found.replies) == tuple(record.values())


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"chosen": "one", "rejected": "two"}, "share no prompt"),
        ({"chosen": "same", "rejected": "same"}, "the same text"),
        ({"prompt": "q", "chosen": "a", "rejected": "a"}, "chosen == rejected"),
        ({"prompt": "q", "chosen": "a", "rejected": ""}, "a reply is empty"),
        ({"chosen": [USER, YES], "rejected": [USER, NO, USER, YES]}, "different numbers of turns"),
    ],
)
def test_a_bad_record_is_refused_with_the_reason(record: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecordRefused, match=reason):
        read(record)


def test_a_margin_is_the_strength() -> None:
    assert read({"prompt": "q", "chosen": "a", "rejected": "b", "margin": 3}).strength == 3.0


def test_sides_of_different_kinds_stop_the_load() -> None:
    with pytest.raises(DataError, match=r"\[rejected\]: expected text, found list"):
        read({"prompt": "q", "chosen": "a", "rejected": [NO]})


def test_a_ranking_becomes_decided_pairs_without_a_margin() -> None:
    comparison = Comparison(prompt=Dialogue.of("q"), replies=("a", "b", "c"), ranks=(1, 0, 1), strength=2.0)
    records = list(write(comparison))
    assert [read(record).replies for record in records] == [("b", "a"), ("b", "c")]
    assert all("margin" not in record for record in records)  # the strength is of best over next only
