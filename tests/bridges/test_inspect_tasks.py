"""Our suites in Inspect; needs PREFLAB_INSPECT_PYTHON."""

from pathlib import Path

import pytest

from tests.bridges.interpreters import interpreter, told_by

PROGRAM = Path(__file__).with_name("inspect_tasks_program.py")


def test_inspect_finds_our_suites_and_measures_what_we_measure(tmp_path: Path) -> None:
    found = told_by(interpreter("INSPECT"), PROGRAM, tmp_path)
    assert found["status"] == "success", found["error"]
    assert found["ids"] == found["expected_ids"]
    for name, value in found["expected"].items():
        assert found["metrics"][name] == pytest.approx(value, abs=1e-6)
    other = found["other"]
    assert other["status"] == "success", other["error"]
    # said A, C and D where A, B and D are right; the third names nothing and is neither right nor wrong
    assert other["variant"] == "sampled" and other["metrics"]["accuracy"] == pytest.approx(2 / 3)
    assert other["unscored"] == ["q2"]
    assert found["kinds"] == ["choose", "speak"] and found["greedy"] and found["stopped"] in ("stop", "max_tokens")
