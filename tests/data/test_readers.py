"""Whatever stands in a file, only errors of our own tree come out, and every record is kept or counted."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preflab.data.dialogues import load_dialogues
from preflab.data.load import load_comparisons
from preflab.data.sources import SOURCES
from preflab.data.text_corpus import load_texts
from preflab.errors import DataError, PreflabError

NAMES = sorted({name for source in SOURCES.values() for name in source.reads})
TEXT = st.text(max_size=8) | st.sampled_from(["", " ", "\ud800", "\n\nHuman: a\n\nAssistant: b", '[{"role": "user"}]'])
SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.integers(-2, 6)
    | st.floats(allow_nan=True, allow_infinity=True)
    | TEXT
)
ROLE = st.sampled_from(["user", "assistant", "system", "human", "gpt", "Human", "tool", ""]) | TEXT | st.integers()
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "role": ROLE,
        "content": SCALAR | st.lists(st.dictionaries(st.sampled_from(["type", "text"]), SCALAR), max_size=2),
        "from": ROLE,
        "value": SCALAR,
        "tool_calls": SCALAR | st.lists(SCALAR, max_size=1),
    },
)
MESSAGES = st.lists(MESSAGE, max_size=3)
CELL = SCALAR | MESSAGE | MESSAGES | st.lists(SCALAR, max_size=3) | MESSAGES.map(lambda m: json.dumps(m, default=str))
RECORD = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), CELL, max_size=6)
MANY = settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])


def sound(n: int) -> dict[str, Any]:
    """A record that every format's loader begins well with."""
    return {"prompt": f"question {n}", "chosen": "good", "rejected": "bad"}


def written(folder: Path, records: list[dict[str, Any]]) -> Path:
    """The records as JSON lines, surrogates and NaN and all."""
    path = folder / "fuzzed.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="ascii")
    return path


@MANY
@given(record=RECORD, format_name=st.none() | st.sampled_from(sorted(SOURCES)))
def test_any_record_is_read_refused_or_an_error_of_ours(
    record: dict[str, Any], format_name: str | None, tmp_path: Path
) -> None:
    try:
        loaded = load_comparisons(written(tmp_path, [record]), format=format_name)
    except DataError as error:
        assert str(error)
    else:
        assert (loaded.records, loaded.refused) == (1, {})
        assert loaded.comparisons


@MANY
@given(change=RECORD)
def test_beside_a_sound_record_each_is_kept_or_counted(change: dict[str, Any], tmp_path: Path) -> None:
    path = written(tmp_path, [sound(1), sound(2) | change, sound(3)])
    try:
        loaded = load_comparisons(path)
    except DataError as error:
        assert (error.path, error.line) == (str(path), 2)
    else:
        assert loaded.records == 3
        assert len({c.provenance.id for c in loaded.comparisons if c.prompt.messages[0].text[:8] == "question"}) >= 2
        assert set(loaded.columns) >= {"prompt", "chosen", "rejected"}


@MANY
@given(record=RECORD)
def test_dialogues_and_prompts_are_read_refused_or_an_error_of_ours(record: dict[str, Any], tmp_path: Path) -> None:
    path = written(tmp_path, [record])
    for load in (load_dialogues, lambda name: list(load_texts(name))):
        try:
            load(path)
        except PreflabError as error:
            assert str(error)


@MANY
@given(content=st.binary(max_size=60), name=st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.tsv", "a.parquet"]))
def test_any_bytes_are_read_or_an_error_of_ours(content: bytes, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for load in (load_comparisons, load_dialogues):
        with pytest.raises(PreflabError):
            load(path)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@given(content=st.binary(max_size=60))
@MANY
def test_any_bytes_that_are_called_compressed_are_an_error_of_ours(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError):
        load_comparisons(path)
