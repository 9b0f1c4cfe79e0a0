"""What every format promises of itself: it knows its own records, and writes what it reads back."""

import dataclasses
import json
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflab.data.comparison import Comparison, Provenance
from preflab.data.dialogue import Dialogue, Message
from preflab.data.sources import SOURCES, recognise
from preflab.data.sources.source import Source
from preflab.errors import RecordRefused

WRITERS = [source for source in SOURCES.values() if source.write is not None]
WORDS = st.text("abc xyz", min_size=1, max_size=12).map(str.strip).filter(bool)
Pairs = set[tuple[Dialogue, str, str]]


@st.composite
def parts(draw: st.DrawFn) -> dict[str, Any]:
    """A prompt of one, three or five turns, two to four replies, and ranks of which some may be equal."""
    replies = draw(st.lists(WORDS, min_size=2, max_size=4, unique=True))
    ranks = draw(st.lists(st.integers(0, 2), min_size=len(replies), max_size=len(replies)))
    turns = draw(st.sampled_from([1, 3, 5]))
    return {"turns": [draw(WORDS) for _ in range(turns)], "replies": tuple(replies), "ranks": tuple(ranks)}


def made(turns: list[str], **fields: Any) -> Comparison:
    return Comparison(prompt=Dialogue.of(*turns), provenance=Provenance(id="7"), **fields)


def decided(comparison: Comparison) -> Pairs:
    """(prompt, better, worse) of every pair with a clear label, by the ranks alone."""
    pairs: Pairs = set()
    for a, b in combinations(range(len(comparison.replies)), 2):
        if comparison.ranks[a] != comparison.ranks[b]:
            better, worse = (a, b) if comparison.ranks[a] < comparison.ranks[b] else (b, a)
            pairs.add((comparison.prompt, comparison.replies[better], comparison.replies[worse]))
    return pairs


def records_of(source: Source, comparison: Comparison) -> list[dict[str, object]]:
    assert source.write is not None
    return list(source.write(comparison))


@pytest.mark.parametrize("source", WRITERS, ids=lambda source: source.name)
@given(fields=parts())
@settings(deadline=None, max_examples=60)
def test_every_decided_pair_is_written_read_back_and_known_for_what_it_is(
    source: Source, fields: dict[str, Any]
) -> None:
    if source.name == "ultrafeedback":
        fields["turns"] = fields["turns"][:1]  # its prompt is one turn
    comparison = made(**fields)
    records = [json.loads(json.dumps(record)) for record in records_of(source, comparison)]
    assert all(recognise(record).name == source.name for record in records)
    found: Pairs = set()
    for record in records:
        for back in source.comparisons(record):
            found |= decided(back)
    assert found == decided(comparison)


@pytest.mark.parametrize("source", WRITERS, ids=lambda source: source.name)
def test_a_tie_is_written_where_the_format_keeps_ties_and_nowhere_else(source: Source) -> None:
    tie = made(["q"], replies=("a", "b"), ranks=(0, 0))
    records = records_of(source, tie)
    assert bool(records) == source.keeps_ties
    assert [back.ranks for record in records for back in source.comparisons(record)] == [(0, 0)] * source.keeps_ties


@pytest.mark.parametrize("source", WRITERS, ids=lambda source: source.name)
def test_a_probability_is_written_as_the_better_side(source: Source) -> None:
    for prob_first, better in ((0.9, "a"), (0.1, "b")):
        comparison = made(["q"], replies=("a", "b"), ranks=(0, 1), prob_first=prob_first)
        (record,) = records_of(source, comparison)
        (back,) = source.comparisons(record)
        (pair,) = back.pairs(ties=False)
        assert back.replies[pair.a if pair.prob_a > 0.5 else pair.b] == better


def test_what_a_format_cannot_hold_is_refused_and_not_bent() -> None:
    system = Comparison(
        prompt=Dialogue((Message("system", "s"), Message("user", "q"))), replies=("a", "b"), ranks=(0, 1)
    )
    long = made(["q", "a", "q"], replies=("a", "b"), ranks=(0, 1))
    marked = made(["q"], replies=("a\n\nHuman: b", "b"), ranks=(0, 1))
    for name, comparison, reason in (
        ("hh", system, "no system message"),
        ("hh", marked, "own turn marker"),
        ("ultrafeedback", long, "one user turn"),
        ("ultrafeedback", system, "one user turn"),
    ):
        with pytest.raises(RecordRefused, match=reason):
            records_of(SOURCES[name], comparison)


def test_a_format_is_described_and_cannot_be_changed() -> None:
    for name, source in SOURCES.items():
        assert source.name == name and source.columns
        assert not source.recognise({"nothing": "of this"})
        with pytest.raises(dataclasses.FrozenInstanceError):
            source.name = "other"  # type: ignore[misc]
        assert source.write is not None or not source.keeps_ties
