"""What the stages of ``rafailov2023_dpo`` leave, read back, and read of runs that are committed."""

import json
from pathlib import Path
from typing import Any

import pytest

from preflab.conversion import from_mapping, to_json
from preflab.errors import RunError
from preflab.recipes.rafailov2023_dpo.results import DPOResult, MeasureResult
from preflab.run import typed_result
from tests.killing import results
from tests.recipes.rafailov2023_dpo.results_of import dpo, measure, without_preference_model


@pytest.mark.parametrize("result", [dpo(), measure(), without_preference_model(measure())])
def test_a_result_is_read_back_as_it_was_written(result: Any) -> None:
    plain = json.loads(json.dumps(to_json(result), allow_nan=False))
    assert from_mapping(type(result), plain) == result


def test_a_run_is_read_into_its_types(finished: Path) -> None:
    stored = results(finished)
    fit = typed_result(finished / "results" / "dpo.json", stored["dpo"], DPOResult)
    assert fit.accuracy.value == stored["dpo"]["accuracy"]["value"]
    assert [bin_.n for bin_ in fit.calibration] == [bin_["n"] for bin_ in stored["dpo"]["calibration"]]
    compared = typed_result(finished / "results" / "measure.json", stored["measure"], MeasureResult)
    assert compared.examples[0].scores == stored["measure"]["examples"][0]["judge"]
    assert compared.win_rate is not None and compared.win_rate.n == 6


def test_a_result_of_another_version_is_refused_with_its_field(tmp_path: Path) -> None:
    plain = to_json(dpo())
    del plain["baseline_notes"]
    with pytest.raises(RunError, match=r"baseline_notes is missing.*another version"):
        typed_result(tmp_path / "dpo.json", plain, DPOResult)
