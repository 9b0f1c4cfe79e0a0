"""``preflab collect`` and ``preflab store`` as they are typed, in processes of their own."""

import json
import re
from pathlib import Path

import pytest

from preflab.cli import main
from preflab.data.store import people
from preflab.data.store.judgements import submit
from preflab.data.store.open import open_store
from preflab.data.store.queue import claim

STUDY = """
name: red
protocol: rank
items:
  - {name: first, prompt: "Why?", replies: [rain, sun]}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder with a study's file, and a store with one judgement of it."""
    from preflab.feedback.study import load_study
    from preflab.feedback.sync_study import sync_study

    monkeypatch.chdir(tmp_path)
    (tmp_path / "red.yaml").write_text(STUDY)
    store = open_store("collect/store.db")
    sync_study(store, load_study("red.yaml"))
    who = people.new_person(store)
    task = claim(store, "red", who)
    assert task is not None
    answer = {"ranks": [0, 1], "strength": 1}
    says = {"answer": answer, "content": task.item.content, "revision": 1, "purpose": "main", "protocol": "rank"}
    submit(store, study="red", slot_id=task.slot, lease=task.lease, person=who, key="k" * 20, payload=says)
    store.close()
    return tmp_path


def preflab(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, what it said, what it complained of."""
    capsys.readouterr()
    code = main(list(arguments))
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    return code, told.out, told.err


def test_a_store_is_verified_and_a_changed_byte_is_found(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = preflab("store", "verify", capsys=capsys)
    assert code == 0 and out.endswith("sound\n")
    mark = re.search(r"head (\d+:[0-9a-f]{64})", out)
    assert mark is not None
    assert preflab("store", "verify", "--expect", mark.group(1), capsys=capsys)[0] == 0
    number, _, digest = mark.group(1).partition(":")
    other = f"{number}:{'0' * 64}"
    assert preflab("store", "verify", "--expect", other, capsys=capsys)[0] == 8
    file = home / "collect/store.db"
    content = file.read_bytes()
    assert content.count(b'"strength":1') == 1
    file.write_bytes(content.replace(b'"strength":1', b'"strength":2'))
    code, out, _ = preflab("store", "verify", capsys=capsys)
    assert code == 8 and "its text was changed" in out
    assert digest


def test_info_says_what_there_is(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = preflab("store", "info", capsys=capsys)
    assert (code, out) == (0, "red: rank, open, revision 1; 1 of 1 slots filled; judgements: 1 counted\n")


def test_a_backup_is_restored_where_nothing_is_and_overwrites_nothing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert preflab("store", "backup", "copy.db", capsys=capsys)[0] == 0
    assert "not overwritten" in preflab("store", "backup", "copy.db", capsys=capsys)[2]
    assert preflab("store", "restore", "copy.db", capsys=capsys)[0] == 8
    code, out, _ = preflab("store", "restore", "copy.db", "--store", "other/store.db", capsys=capsys)
    assert code == 0 and "restored" in out
    assert preflab("store", "info", "--store", "other/store.db", capsys=capsys)[1].startswith("red: rank")
    assert preflab("store", "restore", "red.yaml", "--store", "third.db", capsys=capsys)[0] == 8
    assert not (home / "third.db").exists()


def test_an_export_is_the_same_each_time_and_its_manifest_is_a_mark(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("one", "two"):
        code, out, _ = preflab("store", "export", "red", folder, "--format", "judgements", capsys=capsys)
        assert code == 0 and "1 records" in out
    names = sorted(path.name for path in (home / "one").iterdir())
    assert len(names) == 2 and names[0] == "red.judgements.jsonl" and "manifest" in names[1]
    for name in names:
        assert (home / "one" / name).read_bytes() == (home / "two" / name).read_bytes()
    assert json.loads((home / "one" / names[1]).read_text())["records"] == 1
    assert preflab("store", "verify", "--expect", f"one/{names[1]}", capsys=capsys)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["store", "info", "--store", "none.db"], 8, "no store there"),
        (["store", "verify", "--store", "red.yaml"], 8, "not a database"),
        (["store", "verify", "--expect", "x"], 2, "EVENT:HASH"),
        (["store", "export", "blue", "out"], 8, "no study 'blue'"),
        (["store", "export", "red", "out", "--format", "csv"], 2, "csv"),
        (["store", "export", "red", "out", "--up-to", "999"], 8, "no event 999"),
        (["collect", "none.yaml"], 2, "none.yaml: no such file"),
        (["collect", "--port", "99999"], 2, "port must be in [0, 65535]"),
        (["collect", "--reply-threads", "-1"], 2, "must not be negative"),
        (["collect", "--root-path", "lab"], 2, "root_path"),
        (["collect", "--prot", "1"], 2, "unknown option '--prot'"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_left(
    arguments: list[str], code: int, message: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(home.rglob("*"))
    found, _, error = preflab(*arguments, capsys=capsys)
    assert found == code
    assert message in error
    assert [path for path in sorted(home.rglob("*")) if not path.name.endswith(("-wal", "-shm"))] == before


@pytest.mark.parametrize("command", [["collect"], ["store"], ["store", "verify"], ["store", "export"]])
def test_help_says_what_it_takes(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert "--store" in capsys.readouterr().out or command == ["store"]


def test_a_port_that_is_taken_is_said_before_anything_starts(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, _, error = preflab("collect", "--port", str(taken.getsockname()[1]), capsys=capsys)
    assert code == 5 and "try another --port" in error
