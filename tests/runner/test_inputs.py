"""What a run read is kept in its record; whatever changed of it is refused, and named with both digests."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from preflab.data.sources.files import digest_of
from preflab.errors import RunError
from preflab.run import Run
from preflab.runner.inputs import check_inputs, guard_data, guard_input, model_files, record_files, text_digest


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as opened:
        yield opened


def sha256(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def guard_folder(run: Run, folder: Path, split: str | None = None) -> None:
    guard_data(run, "comparisons", source=str(folder), digest=digest_of(record_files(folder, split)), split=split)


def test_the_first_digest_stays_in_the_record(run: Run) -> None:
    guard_input(run, "rules", source="rules.yaml", digest="sha256:aa")
    guard_input(run, "rules", source="elsewhere.yaml", digest="sha256:aa")  # the same content under another name
    with pytest.raises(RunError, match=r"its rules changed since it began: rules.yaml was sha256:aa, and is sha256:bb"):
        guard_input(run, "rules", source="rules.yaml", digest="sha256:bb")
    assert run.recorded("inputs")["rules"] == {"source": "rules.yaml", "digest": "sha256:aa", "files": {}}


def test_a_digest_that_an_earlier_version_recorded_counts(run: Run) -> None:
    with pytest.raises(RunError, match="was sha256:aa"):
        guard_input(run, "weights", source="m", digest="sha256:bb", before="sha256:aa")
    guard_input(run, "weights", source="m", digest="sha256:aa", before="sha256:aa")


def test_a_changed_file_is_named_with_both_digests_and_what_to_do(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "c.jsonl", "{}\n")
    guard_data(run, "comparisons", source=str(path), digest=digest_of([path]))
    check_inputs(run)
    write(path, '{"a": 1}\n')
    with pytest.raises(RunError) as caught:
        check_inputs(run)
    message = str(caught.value)
    for part in (str(path), sha256("{}\n")[:19], sha256('{"a": 1}\n')[:19], "--name", "--fresh"):
        assert part in message


def test_a_file_that_is_gone_changes_nothing_but_one_gone_from_a_folder_does(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "c.jsonl", "{}\n")
    guard_data(run, "dialogues", source=str(path), digest=digest_of([path]))
    path.unlink()
    check_inputs(run)
    first, _ = write(tmp_path / "set" / "a.jsonl", "{}\n"), write(tmp_path / "set" / "b.jsonl", "{}\n")
    guard_folder(run, tmp_path / "set")
    first.unlink()
    with pytest.raises(RunError, match=r"a\.jsonl was sha256:\w{12}\.\.\., and is gone now"):
        check_inputs(run)


def test_a_file_added_to_a_folder_of_data_is_a_change_if_it_would_be_read(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    write(folder / "train-0.jsonl", "{}\n")
    guard_folder(run, folder, "train")
    write(folder / "test-0.jsonl", "{}\n")  # of another split
    write(folder / "notes.md.bak", "not read")
    check_inputs(run)
    write(folder / "train-1.jsonl", "{}\n")
    with pytest.raises(RunError, match=r"train-1\.jsonl was not there, and is sha256:"):
        check_inputs(run)


def test_the_home_folder_stands_in_no_record(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = write(tmp_path / "c.jsonl", "{}\n")
    guard_data(run, "comparisons", source=str(path), digest=digest_of([path]))
    assert str(tmp_path) not in json.dumps(run.recorded("inputs"))
    write(path, "[]\n")
    with pytest.raises(RunError, match=r"~/c\.jsonl"):
        check_inputs(run)


def test_files_of_a_model_are_what_it_is_read_from(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja", "optimizer.pt"):
        write(tmp_path / "m" / name, name)
    names = [path.name for path in model_files(str(tmp_path / "m"))]
    assert names == ["chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"]
    assert model_files("owner/name") == model_files("tiny") == []


def test_a_text_is_digested_as_its_file_would_be(tmp_path: Path) -> None:
    assert text_digest("Ä\n") == digest_of([write(tmp_path / "t.txt", "Ä\n")]) == sha256("Ä\n")
    assert text_digest("\ud800").startswith("sha256:")
