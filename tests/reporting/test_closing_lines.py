"""What a run ends with."""

from pathlib import Path

from preflab.maths.statistics import Estimate
from preflab.reporting.closing_lines import closing_lines


def test_time_is_summed_and_only_products_that_are_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("")
    (tmp_path / "policy").mkdir()
    lines = closing_lines(tmp_path, {"data": {"seconds": 5}, "sft": {"seconds": 60.4}, "export": {}})
    assert lines == [
        ("time", "1 min 5 s", ""),
        ("report", str(tmp_path / "report.html"), ""),
        ("policy", str(tmp_path / "policy"), ""),
    ]


def test_a_judge_says_how_far_it_agrees_with_the_labels_before(tmp_path: Path) -> None:
    agreement = Estimate(0.75, 0.5, 0.9, 40, 20)
    lines = closing_lines(tmp_path, {"data": {"seconds": 1, "judge": {"judge": "pm:a@1", "agreement": agreement}}})
    assert lines[0] == ("judge agrees with the labels before", "75.0 % [50.0, 90.0]", "40 in 20 prompts; pm:a@1")
    unlabelled = closing_lines(tmp_path, {"data": {"seconds": 1, "judge": {"judge": "pm:a@1", "agreement": None}}})
    assert unlabelled[0][1] == "not measured"
    assert closing_lines(tmp_path, {"data": {"seconds": 1, "judge": None}}) == [("time", "1.0 s", "")]
