"""hh-rlhf: turns start at a marker and nowhere else."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue, Message
from preflab.data.sources.formats.hh import parse_turns, read, recognise, write
from preflab.errors import RecordRefused

TRICKY = ["Human: no turn", "Assistant:", "a: b", "\nHuman: one line break", "x\n\nHuman without colon", " \n\n", ": "]
TEXT = (st.text(min_size=1) | st.sampled_from(TRICKY)).filter(
    lambda text: bool(text.strip()) and "\n\nHuman:" not in text and "\n\nAssistant:" not in text
)


@given(st.lists(TEXT, min_size=1, max_size=5).filter(lambda turns: len(turns) % 2 == 1), TEXT, TEXT)
@settings(deadline=None)
def test_what_is_written_is_read_back(turns: list[str], chosen: str, rejected: str) -> None:
    if chosen == rejected:
        return
    comparison = Comparison.chosen_rejected(Dialogue.of(*turns), chosen, rejected)
    (record,) = write(comparison)
    assert set(record) == {"chosen", "rejected"}
    assert recognise(record)
    assert read(record) == comparison


def test_whole_dialogues_are_cut_at_the_last_assistant_marker() -> None:
    before = "\n\nHuman: What is 2: 3?\nHuman: really\n\nAssistant: Ratio: two to three\n\nHuman: Sure?\n\nAssistant:"
    found = read({"chosen": before + " Yes: it is.", "rejected": before + " No."})
    assert found.prompt == Dialogue.of("What is 2: 3?\nHuman: really", "Ratio: two to three", "Sure?")
    assert found.replies == ("Yes: it is.", "No.")


@pytest.mark.parametrize("repeats", [False, True])
def test_a_prompt_column_is_continued_or_repeated_by_the_sides(repeats: bool) -> None:
    prompt = "\n\nHuman: hi\n\nAssistant:"
    sides = {"chosen": " hello", "rejected": " go away"}
    record = {"id": "hh-1", "prompt": prompt} | {k: prompt * repeats + v for k, v in sides.items()}
    assert recognise(record)
    found = read(record)
    assert (found.prompt, found.replies) == (Dialogue.of("hi"), ("hello", "go away"))
    assert found.provenance.id == "hh-1"


def test_a_copy_whose_leading_line_breaks_were_stripped_is_read() -> None:
    assert parse_turns("Human: hi\n\nAssistant: yo") == (Message("user", "hi"), Message("assistant", "yo"))


def test_a_marker_without_its_blank_and_text_with_blanks_of_its_own() -> None:
    turns = parse_turns("\n\nHuman:hi\n\nAssistant:  yo ")
    assert [turn.text for turn in turns] == ["hi", " yo "]


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason"),
    [
        ("\n\nHuman: a\n\nAssistant: b", "\n\nHuman: c\n\nAssistant: d", "differ before the last reply"),
        (
            "\n\nHuman: a\n\nAssistant: b",
            "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d",
            "numbers of turns",
        ),
        ("\n\nHuman: a\n\nAssistant: b", "\n\nHuman: a\n\nAssistant: ", "a reply is empty"),
        ("\n\nHuman: a\n\nAssistant: b", "\n\nHuman: a\n\nAssistant: b", "chosen == rejected"),
        ("\n\nHuman: a\n\nAssistant: b", "\n\nHuman: a", "does not end with a reply"),
        ("\n\nHuman: a\n\nAssistant: b", "no marker", "does not start with"),
        (
            "\n\nHuman: a\n\nAssistant: b\n\nAssistant: c",
            "\n\nHuman: a\n\nAssistant: b\n\nAssistant: d",
            "already ends",
        ),
    ],
)
def test_a_bad_record_is_refused_with_the_reason(chosen: str, rejected: str, reason: str) -> None:
    with pytest.raises(RecordRefused, match=reason):
        read({"chosen": chosen, "rejected": rejected})


@pytest.mark.parametrize(
    "record",
    [
        {"chosen": "plain text", "rejected": "plain too"},
        {"prompt": "plain", "chosen": "a\n\nHuman: b", "rejected": "c"},
        {"chosen": [{"role": "user", "content": "\n\nHuman: a"}], "rejected": []},
        {"chosen": "\n\nHuman: a"},
    ],
)
def test_other_formats_are_not_recognised(record: dict[str, Any]) -> None:
    assert not recognise(record)


@pytest.mark.parametrize(
    ("prompt", "reply", "reason"),
    [
        (Dialogue.of("hi", system="be brief"), "a", "no system message"),
        (Dialogue.of("hi\n\nHuman: there"), "a", "turn marker"),
        (Dialogue.of("hi"), "a\n\nAssistant: b", "turn marker"),
    ],
)
def test_what_the_notation_cannot_carry_is_not_written(prompt: Dialogue, reply: str, reason: str) -> None:
    with pytest.raises(RecordRefused, match=reason):
        list(write(Comparison.chosen_rejected(prompt, reply, "other")))


def test_a_ranking_becomes_its_decided_pairs_better_first() -> None:
    comparison = Comparison(prompt=Dialogue.of("q"), replies=("a", "b", "c"), ranks=(1, 0, 1))
    replies = [read(record).replies for record in write(comparison)]
    assert replies == [("b", "a"), ("b", "c")]
