"""The lines at the end of an evaluation."""

from pathlib import Path

from preflab.atomic_files import write_json
from preflab.conversion import to_json
from preflab.recipes.evaluate.summary import summarise
from tests.recipes.evaluate.results_of import measured, suite_result


def test_a_line_for_every_suite_and_for_what_was_passed_over(tmp_path: Path) -> None:
    results = {"mmlu.chat": suite_result([measured("accuracy", 0.7)], failed=2), "mmlu.plain": suite_result([])}
    for name, result in results.items():
        write_json(tmp_path / "results" / f"{name}.json", to_json(result) | {"seconds": 2.0})
    write_json(tmp_path / "config.json", {"recipe": "evaluate", "config": {}})
    write_json(tmp_path / "record.json", {"counts": {"suites_passed_over": {"bbq.letters": "no data"}}})
    lines = {name: (number, remark) for name, number, remark in summarise(tmp_path)}
    number, remark = lines["mmlu.chat"]
    assert number.startswith("70.0 %")
    assert remark == "accuracy, higher is better, 2 of 10 not scored"
    assert lines["mmlu.plain"] == ("no item could be scored", "")
    assert lines["bbq.letters"] == ("passed over", "no data")
    assert lines["time"][0].startswith("4")
