"""What a run ends with."""

from pathlib import Path

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
