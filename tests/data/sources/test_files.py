"""Records from files: every container gives the same records, and damage is located."""

import gzip
import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from preflab.data.sources.files import LocatedRecord, digest_of, read_records, read_text
from preflab.errors import DataError

RECORDS: list[dict[str, object]] = [{"prompt": f"q{n}", "n": n} for n in range(3)]
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS)


def write(path: Path, content: str | bytes) -> Path:
    """A file with that content, gzipped where the name says so."""
    raw = content.encode() if isinstance(content, str) else content
    if path.name.endswith(".zst"):
        raw = pa.compress(raw, codec="zstd", asbytes=True)
    path.write_bytes(gzip.compress(raw) if path.name.endswith(".gz") else raw)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", LINES),
        ("a.jsonl.gz", LINES),
        ("a.json", json.dumps(RECORDS, indent=1)),
        ("a.json.gz", json.dumps(RECORDS)),
        ("lines.json", LINES),
        ("windows.jsonl", "\ufeff" + LINES.replace("\n", "\r\n")),
        ("A.JSONL", LINES),
        ("a.NDJSON", LINES),
        ("a.jsonl.zst", LINES),
    ],
)
def test_text_containers_give_the_same_records(tmp_path: Path, name: str, content: str) -> None:
    path = write(tmp_path / name, content)
    assert list(read_records(path)) == [
        LocatedRecord(record, str(path), n) for n, record in enumerate(RECORDS, start=1)
    ]


def test_parquet_gives_the_same_records(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(RECORDS), path)
    assert list(read_records(path)) == [
        LocatedRecord(record, str(path), n) for n, record in enumerate(RECORDS, start=1)
    ]


@pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("a.TSV", "\t"), ("a.csv.gz", ",")])
def test_tables_of_text_give_their_rows_under_the_names_of_the_first_line(tmp_path: Path, name: str, mark: str) -> None:
    lines = [f"prompt{mark}chosen", f'q1{mark}"two\r\nlines, ""quoted"" {mark}"', "", f"q2{mark}b"]
    path = write(tmp_path / name, "\ufeff" + "\r\n".join(lines) + "\r\n")
    assert [(located.number, located.record) for located in read_records(path)] == [
        (3, {"prompt": "q1", "chosen": f'two\r\nlines, "quoted" {mark}'}),
        (5, {"prompt": "q2", "chosen": "b"}),
    ]


def test_the_column_of_an_index_may_have_no_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ",prompt\n0,q\n")
    assert [located.record for located in read_records(path)] == [{"": "0", "prompt": "q"}]


def test_the_text_of_a_file_has_its_lines_ended_as_on_unix(tmp_path: Path) -> None:
    assert read_text(write(tmp_path / "a.txt.gz", "\ufeffone\r\ntwo\u2028still two\n")) == "one\ntwo\u2028still two\n"


def test_blank_lines_hold_no_record_but_count_as_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"n": 1}\n\n \n{"n": 2}')
    assert [found.number for found in read_records(path)] == [1, 4]


def test_line_separators_inside_a_text_are_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps({"text": "a\u2028b\x85c\x0bd"}, ensure_ascii=False))
    assert [found.record["text"] for found in read_records(path)] == ["a\u2028b\x85c\x0bd"]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.jsonl", LINES * 2 + '{"prompt": \n', r"a.jsonl:7: not valid JSON: Expecting value at column 11"),
        ("a.jsonl", LINES + "[1]\n", r"a.jsonl:4: expected an object, found list"),
        ("a.jsonl", "", r"a.jsonl: is empty"),
        ("a.jsonl", "\n\n", r"a.jsonl: is empty"),
        ("a.jsonl.gz", "", r"a.jsonl.gz: is empty"),
        ("a.json", "[]", r"a.json: is empty"),
        ("a.json", "[1]", r"a.json:1: expected an object, found int"),
        ("a.json", '[{"n": 1},\n{"n":', r"a.json:2: not valid JSON"),
        ("a.jsonl", b'{"n": "\xff"}\n', r"a.jsonl:1: byte 0xff at column 8 is not UTF-8; save the file as UTF-8"),
        ("a.jsonl", LINES.encode() * 3_000 + b'{"n": "\xe9"}\n', r"a.jsonl:9001: byte 0xe9 at column 8 is not UTF-8"),
        ("a.jsonl", LINES.encode("utf-16"), r"a.jsonl: is UTF-16 \(PowerShell's > writes it\); save it as UTF-8"),
        ("a.csv", LINES.encode("utf-16-le"), r"a.csv: is UTF-16"),
        ("a.jsonl", '{"n": ' + "9" * 5_000 + "}", r"a.jsonl:1: cannot be read: Exceeds the limit"),
        ("a.jsonl", "[" * 100_000, r"a.jsonl: (cannot be read|not valid JSON)"),
        ("a.csv", "prompt,n\nq0,0\nq1\n", r"a.csv:3: expected 2 cells \(prompt, n\), found 1"),
        ("a.csv", "n,n\n1,2\n", r"a.csv:1: two columns are called 'n'"),
        ("a.tsv", 'a\tb\n"open\tx\n', r"a.tsv:2: not a readable table: unexpected end of data"),
        ("a.csv", "prompt,n\n", r"a.csv: is empty"),
        ("a.parquet", b"PAR1 no", r"a.parquet: not a readable Parquet file"),
        ("a.xlsx", "prompt,chosen\n", r"a.xlsx: expected a file ending in .jsonl, .jsonl.gz, .json"),
    ],
)
def test_damage_is_located(tmp_path: Path, name: str, content: str | bytes, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        list(read_records(write(tmp_path / name, content)))


def test_a_gz_that_is_none_or_breaks_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    for content in (LINES.encode(), gzip.compress((LINES * 100).encode())[:-20]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.jsonl\.gz.*cannot be read"):
            list(read_records(path))


def test_the_digest_of_one_file_is_its_sha256_and_of_several_depends_on_each(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", "one"), write(tmp_path / "b", "two")
    assert digest_of([a]) == "sha256:" + hashlib.sha256(b"one").hexdigest()
    assert len({digest_of([a]), digest_of([b]), digest_of([a, b]), digest_of([b, a])}) == 4
