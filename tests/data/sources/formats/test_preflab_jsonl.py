"""Our own format loses nothing."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflab.data.comparison import Comparison, Provenance
from preflab.data.dialogue import Dialogue, Message
from preflab.data.sources.formats.preflab_jsonl import SOURCE, read, recognise, write
from preflab.errors import DataError, RecordRefused

RECORD: dict[str, Any] = {
    "id": "7",
    "category": "cooking",
    "kind": "vague",
    "prompt": [{"role": "user", "content": "How hot?"}],
    "replies": ["180 degrees", "hot"],
    "ranks": [0, 1],
    "why": {"0>1": "names the temperature"},
}
TEXT = st.text(min_size=1).filter(str.strip) | st.sampled_from(["Human: no turn", "a: b", "\n\nHuman: x", "\x00\x1b"])


@st.composite
def parts(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments for anything the format claims to carry.

    The comparison itself is made in the test, as beartype draws random numbers and strategies must not.
    """
    replies = draw(st.lists(TEXT, min_size=2, max_size=4, unique=True))
    size = len(replies)
    indices = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(lambda ij: ij[0] != ij[1])
    return {
        "before": draw(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), TEXT), max_size=4)),
        "asked": draw(TEXT),
        "replies": tuple(replies),
        "ranks": tuple(draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))),
        "prob_first": draw(st.none() | st.floats(0, 1)) if size == 2 else None,
        "strength": draw(st.none() | st.floats(allow_nan=False, allow_infinity=False)),
        "category": draw(st.text()),
        "kind": draw(st.text()),
        "why": draw(st.dictionaries(indices, st.text(), max_size=3)),
        "dataset": draw(st.text()),
        "id": draw(st.text()),
        "annotator": draw(st.text()),
        "policies": draw(st.just(()) | st.tuples(*[st.text()] * size)),
    }


@given(parts())
@settings(deadline=None)
def test_what_is_written_is_read_back(made: dict[str, Any]) -> None:
    prompt = Dialogue((*(Message(role, text) for role, text in made.pop("before")), Message("user", made.pop("asked"))))
    provenance = Provenance(**{name: made.pop(name) for name in ("dataset", "id", "annotator", "policies")})
    comparison = Comparison(prompt=prompt, provenance=provenance, **made)
    (record,) = write(comparison)
    assert recognise(record)
    assert read(json.loads(json.dumps(record))) == comparison


def test_a_record_as_a_person_writes_it() -> None:
    found = read(RECORD)
    assert found == Comparison(
        prompt=Dialogue.of("How hot?"),
        replies=("180 degrees", "hot"),
        ranks=(0, 1),
        category="cooking",
        kind="vague",
        why={(0, 1): "names the temperature"},
        provenance=Provenance(id="7"),
    )
    assert list(write(found)) == [RECORD]


def test_only_prompt_replies_and_ranks_are_needed_and_the_prompt_may_be_text() -> None:
    found = read({"prompt": "How hot?", "replies": ["a", "b", "c"], "ranks": [2, 0, 0]})
    assert found.prompt == Dialogue.of("How hot?")
    assert found.ranks == (2, 0, 0)


def test_a_null_reason_as_tables_have_it_is_no_reason() -> None:
    assert read(RECORD | {"why": {"0>1": "x", "1>0": None}}).why == {(0, 1): "x"}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"replies": "ab"}, r"\[replies\]: expected a list of texts"),
        ({"replies": ["a", 1]}, r"\[replies\]: expected a list of texts"),
        ({"ranks": [0, "1"]}, r"\[ranks\]: expected a list of whole numbers"),
        ({"ranks": [False, True]}, r"\[ranks\]: expected a list of whole numbers"),
        ({"ranks": [0]}, "2 replies but 1 ranks"),
        ({"why": ["x"]}, r"\[why\]: expected an object"),
        ({"why": {"0 beats 1": "x"}}, r"\[why\].*0 beats 1"),
        ({"why": {"0>2": "x"}}, "0>2 does not name two"),
        ({"provenance": "me"}, r"\[provenance\]: expected an object"),
        ({"provenance": {"policies": "me"}}, r"\[provenance.policies\]"),
        ({"prob_first": 2}, r"probability in \[0, 1\], got 2"),
    ],
)
def test_a_malformed_field_stops_the_load(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint) as error:
        read(RECORD | change)
    assert not isinstance(error.value, RecordRefused)


def test_the_same_reply_ranked_twice_differently_is_refused() -> None:
    with pytest.raises(RecordRefused, match="chosen == rejected"):
        read(RECORD | {"replies": ["a", "a"]})


def test_ties_are_kept() -> None:
    assert SOURCE.keeps_ties
    (record,) = write(read(RECORD | {"ranks": [0, 0]}))
    assert record["ranks"] == [0, 0]
