"""``preflab eval`` as a user runs it: suites are added, data change, parts are missing, it is killed."""

import json
import random
from pathlib import Path

import pytest

from preflab.atomic_files import read_json
from preflab.cli import main
from preflab.evals.core.runner import read_items
from preflab.evals.suites import SUITES
from tests.killing import Nursery
from tests.recipes.evaluate.command import evaluate


def test_suites_are_added_and_what_was_asked_is_not_asked_again(tmp_path: Path, data: Path) -> None:
    evaluate(tmp_path, "--suite", "mmlu:zero-shot", "--data", str(data))
    evaluate(tmp_path, "--suite", "mmlu:chat", "--data", str(data))
    folder = tmp_path / "runs" / "e"
    assert sorted(path.stem for path in (folder / "results").iterdir()) == ["mmlu.chat", "mmlu.zero-shot"]
    evaluate(tmp_path, "--suite", "mmlu:chat", "--data", str(data), name="again")
    again = read_json(tmp_path / "runs" / "again" / "results" / "mmlu.chat.json")
    assert again["answers_found"] == 4
    assert again["measures"] == read_json(folder / "results" / "mmlu.chat.json")["measures"]


def test_other_data_or_another_limit_measures_anew(tmp_path: Path, data: Path) -> None:
    path = tmp_path / "runs" / "e" / "results" / "mmlu.zero-shot.json"
    evaluate(tmp_path, "--suite", "mmlu:zero-shot", "--data", str(data))
    evaluate(tmp_path, "--suite", "mmlu:zero-shot", "--data", str(data), "--limit", "2")
    assert read_json(path)["items"] == 2
    file = data / "mmlu_test.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:3]))
    evaluate(tmp_path, "--suite", "mmlu:zero-shot", "--data", str(data))
    assert read_json(path)["items"] == 3


def test_all_passes_over_what_lacks_data_and_says_so(tmp_path: Path, data: Path) -> None:
    assert evaluate(tmp_path, "--suite", "all", "--data", str(data), "--limit", "2") == 0
    folder = tmp_path / "runs" / "e"
    passed = read_json(folder / "record.json")["counts"]["suites_passed_over"]
    assert "needs a file called" in passed["bbq.answers"]
    assert "mmlu_dev" in str(read_json(folder / "results" / "mmlu.five-shot.json")["failed"])
    assert "Not measured" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--suite", "mmlux"], "unknown suite 'mmlux'; did you mean 'mmlu'?"),
        (["--suite", "mmlu:sung"], "suite mmlu has no variant 'sung'"),
        (["--suite", "bbq", "--data", "{data}"], "suite bbq needs a file called"),
        (["--suite", "mmlu", "--data", "{data}/gone"], "no such file or folder"),
        (["--suite", "mmlu:zero-shot", "--data", "{data}", "--limit", "0"], "error: limit must be at least 1, got 0"),
        (["--suite", "gone.py"], "gone.py: no such file; expected a Python file with a SUITE"),
        (["--suite", "{data}/broken.py"], "broken.py: does not run: ZeroDivisionError"),
        (["--suite", "{data}/empty.py"], "expected a preflab.evals.core.suite.Suite called SUITE, found NoneType"),
        (
            ["--suite", "false_premises", "--data", "{data}/premises"],
            "suite false_premises: this suite's replies are judged",
        ),
        (["--suite", "mmlu:zero-shot", "--data", "{data}", "--best-of", "4"], "needs a preference model"),
    ],
)
def test_what_cannot_be_is_said(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], more: list[str], told: str
) -> None:
    (data / "broken.py").write_text("1 / 0")
    (data / "empty.py").write_text("")
    (data / "premises").mkdir()
    row = {
        "id": "1",
        "knowledge": "It is blue.",
        "modified_knowledge": "It is red.",
        "query": "Why red?",
        "prompt": "Why red?",
    }
    (data / "premises" / "false_premises.jsonl").write_text(json.dumps(row))
    assert evaluate(tmp_path, *[one.format(data=data) for one in more]) != 0
    assert told in capsys.readouterr().err


def test_a_malformed_row_names_file_line_and_field(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = data / "mmlu_test.jsonl"
    file.write_text(
        file.read_text() + json.dumps({"subject": "x", "question": "y", "choices": "z", "answer": 0}) + "\n"
    )
    assert evaluate(tmp_path, "--suite", "mmlu:zero-shot", "--data", str(data)) == 3
    assert f"{file}:5 [choices]: expected a list of texts" in capsys.readouterr().err


def test_a_suite_of_ones_own_is_asked_from_its_file(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "evals.md").read_text()
    suite = tmp_path / "yes_no.py"
    suite.write_text(page.split("```python\n")[1].split("```")[0])
    (tmp_path / "yes_no.jsonl").write_text(
        "".join(json.dumps({"question": f"{n}?", "answer": True}) + "\n" for n in "ab")
    )
    assert evaluate(tmp_path, "--suite", f"{suite}:logprob", "--data", str(tmp_path)) == 0
    assert read_json(tmp_path / "runs" / "e" / "results" / "yes_no.logprob.json")["scored"] == 2
    assert "Yes or no" in (tmp_path / "runs" / "e" / "report.html").read_text()
    del SUITES["yes_no"]  # of this process: other tests know nothing of it


def test_answers_of_a_run_may_stay_in_it(tmp_path: Path, data: Path) -> None:
    evaluate(tmp_path, "--suite", "mmlu:zero-shot", "--data", str(data), "--no-cache")
    assert (tmp_path / "runs" / "e" / "answers").is_dir()
    assert not (tmp_path / "runs" / "answers").exists()


def test_the_list_names_every_suite(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--list"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n{name} " in f"\n{shown}" for name in SUITES)


def test_killed_at_random_moments_it_ends_where_the_unbroken_one_ends(
    tmp_path: Path, data: Path, nursery: Nursery
) -> None:
    rows = [
        {
            "id": f"n{i}",
            "subject": "sums",
            "question": f"What is {i} and {i}?",
            "choices": ["1", "2", "3", "4"],
            "answer": 0,
        }
        for i in range(120)
    ]
    (data / "mmlu_test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ["eval", "tiny", "--suite", "mmlu:zero-shot", "--suite", "mmlu:sampled", "--data", str(data), "--quiet"]
    seconds = nursery.run([*asked, "--name", "r", "--runs", str(tmp_path / "whole")], tmp_path / "whole.txt")
    broken = [*asked, "--name", "r", "--runs", str(tmp_path / "broken")]
    kills = nursery.run_with_kills(broken, tmp_path / "broken.txt", random.Random(0), seconds)
    assert kills >= 2
    for name in ("mmlu.zero-shot", "mmlu.sampled"):
        whole, again = (tmp_path / side / "r" / "items" / f"{name}.jsonl" for side in ("whole", "broken"))
        for one, other in zip(read_items(whole), read_items(again), strict=True):
            assert one["id"] == other["id"]
            assert one.keys() == other.keys()
            for key, value in one.get("outcome", {}).items():  # what is answered after a kill is batched otherwise
                assert other["outcome"][key] == (pytest.approx(value, abs=1e-4) if isinstance(value, float) else value)
        found = [read_json(tmp_path / side / "r" / "results" / f"{name}.json") for side in ("whole", "broken")]
        assert [found[i]["failed"] for i in (0, 1)] == [found[0]["failed"]] * 2
