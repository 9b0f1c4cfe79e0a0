"""Writing: what comes back is what went in, and what cannot go in is counted."""

import json
from pathlib import Path
from typing import Any

import pytest

from preflab.data.comparison import Comparison, Provenance
from preflab.data.dialogue import Dialogue
from preflab.data.load import load_comparisons
from preflab.data.write import write_comparisons
from preflab.errors import ConfigError, DataError

QUESTION = Dialogue.of("Human: no: turn", "Assistant: none", "and now?")
RANKED = Comparison(prompt=QUESTION, replies=("a", "b", "c"), ranks=(1, 0, 1))


def plain(strength: float | None = None, **more: Any) -> Comparison:
    """A pair."""
    return Comparison.chosen_rejected(Dialogue.of("hi \U0001f600"), "yes", "no", strength=strength, **more)


@pytest.mark.parametrize("name", ["deep/er/a.jsonl", "a.jsonl.gz"])
def test_our_own_format_brings_everything_back(tmp_path: Path, name: str) -> None:
    given = [
        Comparison(
            prompt=QUESTION,
            replies=("a", "b", "b"),
            ranks=(0, 1, 1),
            why={(0, 1): "because"},
            category="c",
            provenance=Provenance(dataset="d", id="1", annotator="p", policies=("x", "y", "z")),
        ),
        plain(2.5, prob_first=0.75, provenance=Provenance(dataset="d", id="2")),
    ]
    written = write_comparisons(given, tmp_path / name)
    assert (written.records, written.left_out) == (2, {})
    assert load_comparisons(written.path).comparisons == given


@pytest.mark.parametrize("format", ["hh", "trl"])
def test_pairs_are_expanded_and_ties_counted(tmp_path: Path, format: str) -> None:
    written = write_comparisons(
        [RANKED, plain(prob_first=0.2), plain(prob_first=0.5)], tmp_path / "a.jsonl", format=format
    )
    assert (written.records, written.left_out) == (3, {"a tie": 2})  # a and c tied; 0.5
    loaded = load_comparisons(written.path)
    assert loaded.format == format
    assert [found.replies for found in loaded.comparisons] == [("b", "a"), ("b", "c"), ("no", "yes")]
    assert loaded.comparisons[0].prompt == QUESTION


@pytest.mark.parametrize("format", ["hh", "trl"])
def test_chosen_never_equals_rejected(tmp_path: Path, format: str) -> None:
    same = Comparison(prompt=QUESTION, replies=("a", "a", "b"), ranks=(0, 0, 1))
    written = write_comparisons([same], tmp_path / "a.jsonl", format=format)
    records = [json.loads(line) for line in written.path.read_text().splitlines()]
    assert len(records) == 2
    assert all(record["chosen"] != record["rejected"] for record in records)


def test_what_a_notation_cannot_carry_is_counted_by_pairs(tmp_path: Path) -> None:
    system = Comparison(prompt=Dialogue.of("q", system="s"), replies=("a", "b", "c"), ranks=(0, 1, 1))
    written = write_comparisons([system, plain()], tmp_path / "a.jsonl", format="hh")
    assert (written.records, written.left_out) == (1, {"this format has no system message": 2, "a tie": 1})


def test_a_comparison_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    marked = Comparison(prompt=Dialogue.of("q"), replies=("a", "b", "\n\nHuman: c"), ranks=(0, 1, 2))
    written = write_comparisons([marked, plain()], tmp_path / "a.jsonl", format="hh")
    # a over b could be written, but then a reader would not know that pairs of this prompt are missing.
    assert (written.records, written.left_out) == (1, {"a text holds this format's own turn marker": 3})


@pytest.mark.parametrize(("strengths", "expected"), [((1.0, 2.0), True), ((1.0, None), False)])
def test_a_margin_is_in_every_line_or_in_none(
    tmp_path: Path, strengths: tuple[float | None, ...], expected: bool
) -> None:
    written = write_comparisons([plain(strength) for strength in strengths], tmp_path / "a.jsonl", format="trl")
    lines = written.path.read_text(encoding="utf-8").splitlines()
    assert ["margin" in json.loads(line) for line in lines] == [expected] * 2


def test_equal_content_gives_equal_files(tmp_path: Path) -> None:
    paths = [write_comparisons([plain()], tmp_path / name / "a.jsonl.gz").path for name in ("one", "two")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_what_cannot_be_written_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="format openai_chat can be read but not written"):
        write_comparisons([plain()], tmp_path / "a.jsonl", format="openai_chat")
    with pytest.raises(ConfigError, match=r"ending in \.jsonl"):
        write_comparisons([plain()], tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"nothing to write; left out: \{'a tie': 1\}"):
        write_comparisons([plain(prob_first=0.5)], tmp_path / "a.jsonl", format="hh")
    with pytest.raises(DataError, match="there were no comparisons"):
        write_comparisons([], tmp_path / "a.jsonl")
    assert list(tmp_path.iterdir()) == []
