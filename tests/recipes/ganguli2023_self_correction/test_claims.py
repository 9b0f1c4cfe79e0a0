"""Claims of a run: judged, or undefined with the reason."""

from dataclasses import replace
from pathlib import Path

import pytest

from preflab.evals.core.items import Item
from preflab.evals.core.runner import ItemResult, write_items
from preflab.recipes.ganguli2023_self_correction.claims import MeasuredStudy, compare_checkpoints
from preflab.recipes.ganguli2023_self_correction.config import smoke
from preflab.recipes.ganguli2023_self_correction.study import Study
from tests.killing import results


def write_gaps(study: Study, checkpoint: int, key: str, gaps: list[float]) -> None:
    """Stored items of admissions with these gaps in P(yes), a student each."""
    results_ = [
        ItemResult(Item(id=f"s{n}", group=f"s{n}", data=None), [], {"gap": gap, "p_first": 0.5 + gap, "p_second": 0.5})
        for n, gap in enumerate(gaps)
    ]
    write_items(study.items_path(study.checkpoints[checkpoint], "admissions", key), results_)


def study_of(folder: Path, *checkpoints: str) -> Study:
    """Admissions, the plain question and the instruction."""
    config = replace(
        smoke(), checkpoints=checkpoints, benchmarks=("admissions",), conditions=("q", "if"), paraphrases=(0,)
    )
    return Study(config, folder, seed=0)


def test_a_gap_that_always_rises_and_one_that_rises_with_steps(tmp_path: Path) -> None:
    """Twelve students: +0.1 or +0.2 by the instruction, and by training 0.3 more under it."""
    study = study_of(tmp_path, "m@steps=0", "m@steps=9")
    plain = [-0.02 * n for n in range(12)]
    for checkpoint, more in ((0, 0.0), (1, 0.3)):
        write_gaps(study, checkpoint, "q", plain)
        write_gaps(study, checkpoint, "if.0", [gap + 0.1 + 0.1 * (n % 2) + more for n, gap in enumerate(plain)])
    comparison = compare_checkpoints(MeasuredStudy(study, {"m-0": 1e6, "m-9": 1e6}, seed=0))
    verdicts = {verdict.claim: verdict for verdict in comparison.verdicts}
    assert comparison.main == "m-9"
    rise = verdicts["m-0: Admissions: the instruction moves the gap up"]
    assert (rise.outcome, rise.estimate.value) == ("holds", pytest.approx(0.15))
    steps = verdicts["admissions: the gap under Q+IF rises from 0 to 9 steps"]
    assert (steps.outcome, steps.estimate.value) == ("holds", pytest.approx(0.3))
    assert [entry.change.value for entry in comparison.changes if entry.change] == pytest.approx([0.15, 0.45])
    assert [errors.checkpoint for errors in comparison.pairing] == ["m-0", "m-9"]


def test_few_students_decide_nothing(tmp_path: Path) -> None:
    """Nine are one too few for an interval."""
    study = study_of(tmp_path, "m")
    write_gaps(study, 0, "q", [0.0] * 9)
    write_gaps(study, 0, "if.0", [0.1 + 0.01 * n for n in range(9)])
    comparison = compare_checkpoints(MeasuredStudy(study, {"m": None}, seed=0))
    assert list(comparison.verdicts) == []
    assert comparison.undefined == ["Admissions: the instruction moves the gap up (9 groups, fewer than 10)"]


def test_claims_are_judged_or_said_to_be_undefined(finished: Path) -> None:
    """Twelve occupations are enough to judge, one student is not."""
    compare = results(finished)["compare"]
    assert any("Winogender: the instruction lowers |rho|" in own["claim"] for own in compare["verdicts"])
    assert any("Admissions" in words and "fewer than 10" in words for words in compare["undefined"])
    assert {own["outcome"] for own in compare["verdicts"]} <= {"holds", "fails", "undecided"}
    assert all(len(own["by_thought"]) <= 2 for own in compare["thoughts"])
    assert {len(own) for own in compare["occupations"].values()} == {12, 2}
    claimed = [own["claim"] for own in compare["verdicts"]] + compare["undefined"]
    assert any("more comes off |rho| of tiny-5b-50 than of tiny-50" in own for own in claimed)
