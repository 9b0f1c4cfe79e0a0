"""TRL's preference formats: text and messages, prompt given or not."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.data.sources.formats.trl import read, recognise, write
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
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
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
    assert read(json.loads(json.dumps(record))) == [comparison]


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
    assert read(record) == [Comparison.chosen_rejected(Dialogue.of("Is the sky blue?"), "Yes: mostly.", "No.")]


def test_two_texts_without_a_prompt_are_not_read_whatever_they_begin_with() -> None:
    record = {"chosen": "The sky is blue.", "rejected": "The sky is black."}
    assert not recognise(record)
    with pytest.raises(DataError, match=r"\[prompt\]: missing; this record has chosen, rejected"):
        read(record)


@pytest.mark.parametrize("prompt", [None, "", " ", []])
def test_an_empty_prompt_beside_whole_dialogues_is_no_prompt(prompt: Any) -> None:
    record = {"prompt": prompt, "chosen": [USER, YES], "rejected": [USER, NO]}
    assert recognise(record)
    assert read(record) == [Comparison.chosen_rejected(Dialogue.of("Is the sky blue?"), "Yes: mostly.", "No.")]
    with pytest.raises(RecordRefused, match="the prompt is empty"):
        read(record | {"chosen": "a", "rejected": "b"})


def test_a_system_column_is_the_system_message() -> None:
    record = {"system": "Answer in French.", "prompt": "Add two and two.", "chosen": "Quatre.", "rejected": "Cinq."}
    (comparison,) = read(record)
    assert comparison.prompt == Dialogue.of("Add two and two.", system="Answer in French.")
    assert read(record | {"system": None})[0].prompt == Dialogue.of("Add two and two.")
    whole = [{"role": "system", "content": "Answer in French."}, USER]
    (same,) = read({"system": "Answer in French.", "chosen": [*whole, YES], "rejected": [*whole, NO]})
    assert same.prompt == Dialogue.of("Is the sky blue?", system="Answer in French.")
    with pytest.raises(RecordRefused, match="the system column and the system message of the dialogue differ"):
        read({"system": "Answer in Dutch.", "chosen": [*whole, YES], "rejected": [*whole, NO]})


def test_several_rejected_replies_are_a_comparison_each() -> None:
    comparisons = read({"prompt": "q", "chosen": "best", "rejected": ["b", "c"], "id": 7})
    assert [comparison.replies for comparison in comparisons] == [("best", "b"), ("best", "c")]
    assert {comparison.provenance.id for comparison in comparisons} == {"7"}


def test_messages_may_stand_in_the_cells_as_json_text() -> None:
    record = {"prompt": json.dumps([USER]), "chosen": json.dumps([YES]), "rejected": json.dumps(NO)}
    assert recognise(record)
    assert read(record) == [Comparison.chosen_rejected(Dialogue.of("Is the sky blue?"), "Yes: mostly.", "No.")]
    (text,) = read({"prompt": '["a", "b"]', "chosen": "[1]", "rejected": "{}"})  # JSON, but no messages: plain text
    assert (text.prompt, text.replies) == (Dialogue.of('["a", "b"]'), ("[1]", "{}"))


@pytest.mark.parametrize(
    "names", [("score_chosen", "score_rejected"), ("chosen-rating", "rejected-rating"), ("Chosen Score", None)]
)
def test_scores_of_both_sides_are_the_strength_and_equal_ones_a_tie(names: tuple[str, str | None]) -> None:
    better, worse = names[0].replace("Chosen", "chosen"), names[1] or "rejected Score"
    record: dict[str, Any] = {"prompt": "q", "chosen": "a", "rejected": "b"}
    (comparison,) = read(record | {better: 4.5, worse: "3"})
    assert (comparison.ranks, comparison.strength) == ((0, 1), 1.5)
    (tie,) = read(record | {better: 3, worse: 3})
    assert (tie.ranks, tie.strength) == ((0, 0), 0)
    with pytest.raises(RecordRefused, match="rejected has the higher score"):
        read(record | {better: 1, worse: 3})


def test_who_wrote_a_side_is_kept() -> None:
    record = {"prompt": "q", "chosen": "a", "rejected": "b", "chosen_model": "m1", "rejected_model": "m2"}
    assert read(record)[0].provenance.policies == ("m1", "m2")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": [USER]}, "a side is a turn of the user; expected the assistant"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "margin": 10**400}, "margin is a number beyond what a float"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "margin": float("nan")}, "margin is not a finite number"),
        ({"prompt": "q", "chosen": "a", "rejected": "a"}, "chosen == rejected"),
        ({"prompt": "q", "chosen": "a", "rejected": ""}, "a reply is empty"),
        ({"chosen": [USER, YES], "rejected": [USER, NO, USER, YES]}, "different numbers of turns"),
    ],
)
def test_a_bad_record_is_refused_with_the_reason(record: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecordRefused, match=reason):
        read(record)


def test_a_margin_is_the_strength() -> None:
    assert read({"prompt": "q", "chosen": "a", "rejected": "b", "margin": 3})[0].strength == 3.0
    assert read({"prompt": "q", "chosen": "a", "rejected": "b", "margin": "2.5"})[0].strength == 2.5  # from a table
    with pytest.raises(DataError, match=r"\[margin\]: expected a number, found str 'much'"):
        read({"prompt": "q", "chosen": "a", "rejected": "b", "margin": "much"})


def test_sides_of_different_kinds_are_read_each_in_its_way() -> None:
    assert read({"prompt": "q", "chosen": "a", "rejected": [NO]})[0].replies == ("a", "No.")
    with pytest.raises(DataError, match=r"\[rejected\]: expected a list of messages with .*, found int 3"):
        read({"prompt": "q", "chosen": "a", "rejected": 3})


def test_a_ranking_becomes_decided_pairs_without_a_margin() -> None:
    comparison = Comparison(prompt=Dialogue.of("q"), replies=("a", "b", "c"), ranks=(1, 0, 1), strength=2.0)
    records = list(write(comparison))
    assert [read(record)[0].replies for record in records] == [("b", "a"), ("b", "c")]
    assert all("margin" not in record for record in records)  # the strength is of best over next only
