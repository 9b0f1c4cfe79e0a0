"""The shelf: which file is taken, and what is said where one is missing or malformed."""

import gzip
import json
from pathlib import Path

import pytest

from preflab.data.sources.source import Record
from preflab.errors import DataError, RecordRefused
from preflab.evals.core import record_fields
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.items import Item


def read(record: Record) -> Item | None:
    text = record_fields.text(record, "text")
    if text == "skip":
        return None
    if not text:
        raise RecordRefused("text is empty", field="text")
    return Item(id=str(record.get("id", text)), group="g", data=text)


def write(path: Path, *records: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(record) + "\n" for record in records)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(lines.encode()))
    else:
        path.write_text(lines)
    return path


def test_files_are_found_in_subfolders_by_pattern(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "er" / "things_1.jsonl.gz", {"id": "a", "text": "x"})
    write(tmp_path / "things_2.jsonl", {"id": "b", "text": "y"})
    (tmp_path / "things_3.txt").write_text("no records")
    found = DataSource(folder=tmp_path).records("s", ("things_*",)).items(read)
    assert sorted(item.id for item in found.items) == ["a", "b"]
    assert found.digest.startswith("sha256:")


def test_the_first_pattern_that_is_there_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "old.jsonl", {"text": "x"})
    write(tmp_path / "new.jsonl", {"text": "y"})
    assert [p.name for p in DataSource(folder=tmp_path).find("s", ("newest*", "new*", "old*"))] == ["new.jsonl"]


def test_a_suite_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path / "whatever.jsonl", {"text": "x"})
    assert DataSource(paths={"s": path}).find("s", ("things*",)) == [path]


@pytest.mark.parametrize(("suffix", "sign"), [(".csv", ","), (".tsv", "\t")])
def test_tables_are_read(tmp_path: Path, suffix: str, sign: str) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_text(f'id{sign}text\n1{sign}"two\nlines"\n2{sign}skip\n')
    found = DataSource(paths={"s": path}).records("s", ()).items(read)
    assert [(item.id, item.data) for item in found.items] == [("1", "two\nlines")]


def test_a_row_with_other_cells_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,text\n1,a\n2\n")
    with pytest.raises(DataError, match=r"t.csv:3: expected 2 cells"):
        DataSource(paths={"s": path}).records("s", ()).items(read)


def test_what_is_refused_is_counted_with_its_first_place(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", {"text": "a"}, {"text": ""}, {"text": ""}, {"text": "a"}, {"text": "skip"})
    found = DataSource(paths={"s": path}).records("s", ()).items(read)
    assert len(found.items) == 1
    assert found.refused == {"text is empty": 2, "its id stands in the data twice": 1}
    assert found.first_refused["text is empty"] == f"{path}:2"


def test_half_a_surrogate_is_refused_wherever_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "fine"}\n{"text": "bad \\ud83d"}\n{"text": "x", "deep": [{"y": "\\udc00"}]}\n')
    found = DataSource(paths={"s": path}).records("s", ()).items(read)
    assert [item.data for item in found.items] == ["fine"]
    assert found.refused == {"a text holds half of a surrogate pair, which is no character": 2}


def test_a_record_of_another_format_ends_the_reading(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", {"text": "a"}, {"txt": "b"})
    with pytest.raises(DataError, match=r"t.jsonl:2 \[text\]: missing; this record has txt"):
        DataSource(paths={"s": path}).records("s", ()).items(read)


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", {"text": ""})
    with pytest.raises(DataError, match="no question could be used: 1 refused: text is empty"):
        DataSource(paths={"s": path}).records("s", ()).items(read)


def test_a_set_that_the_hub_does_not_give_says_how_to_read_files() -> None:
    with pytest.raises(DataError, match=r"could not be had.*--data FOLDER reads files instead \(suite s: things\*\)"):
        DataSource().records("s", ("things*",), hub="nobody/nothing:test")


def test_a_missing_file_says_what_was_looked_for_and_where(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"suite s needs a file called things\* or other\*; .* hold none"):
        DataSource(folder=tmp_path).find("s", ("things*", "other*"))
    with pytest.raises(DataError, match="no folder of data was given"):
        DataSource().find("s", ("things*",))
    with pytest.raises(DataError, match="no such file or folder"):
        DataSource(folder=tmp_path / "gone").find("s", ("things*",))
