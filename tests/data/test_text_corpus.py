"""Documents from text files, files of records and folders."""

import gzip
import json
from pathlib import Path

import pytest

from preflab.data.text_corpus import load_texts
from preflab.errors import DataError


def test_a_text_file_is_one_document_and_records_give_their_text(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("one\n\ntwo\n", encoding="utf-8")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in ("x", " ", "y")))
    with gzip.open(tmp_path / "c.txt.gz", "wt", encoding="utf-8") as file:
        file.write("zipped")
    (tmp_path / "notes.pdf").write_text("not text")
    assert list(load_texts(tmp_path / "b.txt")) == ["one\n\ntwo\n"]
    assert list(load_texts(tmp_path)) == ["x", "y", "one\n\ntwo\n", "zipped"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", " \n", "is empty"),
        ("a.jsonl", '{"txt": "x"}\n', "missing; this record has txt"),
        ("a.jsonl", '{"text": 3}\n', "expected text"),
        ("a.pdf", "x", "expected one ending in"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        list(load_texts(tmp_path / name))
    assert str(tmp_path / name) in str(caught.value)


def test_a_folder_without_text_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no text"):
        list(load_texts(tmp_path))
    with pytest.raises(DataError, match="is no file of text"):
        list(load_texts(tmp_path / "nowhere.txt"))
