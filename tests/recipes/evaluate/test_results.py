"""Results as files: what is written is read back, under the keys that earlier versions wrote."""

from pathlib import Path

import pytest

from preflab.atomic_files import write_json
from preflab.conversion import to_json
from preflab.errors import RunError
from preflab.recipes.evaluate.results import (
    HARNESS,
    HarnessResult,
    SuiteResult,
    count_failed,
    headline,
    read_suite_results,
    skipped_suites,
)
from tests.recipes.evaluate.results_of import measured, suite_result

RESULT = suite_result([measured("accuracy", 0.5, column="subject", of="law"), measured("accuracy", 0.7)], failed=2)


def test_a_result_keeps_the_keys_of_earlier_versions(tmp_path: Path) -> None:
    plain = to_json(RESULT)
    assert (plain["way"], plain["answers_found"], plain["measures"][0]["how"]) == ("chat", 0, "How.")
    assert plain["asked"] == {"data": "d1", "limit": 10, "who": {"policy": "tiny"}, "best_of": 1}
    write_json(tmp_path / "results" / "mmlu.chat.json", plain | {"seconds": 1.5})
    assert read_suite_results(tmp_path) == {"mmlu.chat": RESULT}


def test_results_of_the_harness_are_read_beside_them(tmp_path: Path) -> None:
    plain = {key: value for key, value in to_json(RESULT).items() if key not in {"sources", "available", "refused",
             "first_refused", "answers_found", "measured_tokens"}}  # fmt: skip
    plain |= {"asked": {"tasks": ["boolq"], "limit": None, "shots": [0]}, "versions": {"lm_eval": "0.4"}}
    write_json(tmp_path / "results" / f"{HARNESS}.json", plain)
    (result,) = read_suite_results(tmp_path).values()
    assert isinstance(result, HarnessResult)
    assert (result.inputs.tasks, result.variant) == (("boolq",), "chat")


def test_a_damaged_result_names_file_and_field(tmp_path: Path) -> None:
    write_json(tmp_path / "results" / "mmlu.chat.json", to_json(RESULT) | {"items": "ten"})
    with pytest.raises(RunError, match=r"mmlu\.chat\.json: items must be a whole number, got 'ten'"):
        read_suite_results(tmp_path)


def test_the_headline_is_the_first_measure_over_all_items() -> None:
    main = headline(RESULT)
    assert main is not None and main.estimate is not None
    assert main.estimate.value == 0.7
    assert headline(suite_result([measured("accuracy", 0.5, column="subject", of="law")])) is None


def test_counts() -> None:
    assert count_failed(RESULT) == 2
    assert skipped_suites({"counts": {"suites_passed_over": {"bbq.letters": "no data"}}}) == {"bbq.letters": "no data"}
    assert skipped_suites({}) == {}
    assert isinstance(RESULT, SuiteResult)
