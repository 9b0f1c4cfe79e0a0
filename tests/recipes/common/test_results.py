"""Shared results as JSON: read back what was written, under the keys that stored runs have."""

import dataclasses
import json
from typing import Any

import pytest

from preflab.conversion import from_mapping, to_json
from preflab.errors import ConfigError
from preflab.maths.statistics import Bin, Estimate
from preflab.recipes.common.results import ComparedReplies, ExportResult, LossChange, PreferenceResult, SFTResult

HALF = Estimate(0.5, 0.25, 0.75, 20, 10)
LOSSES = {"before": HALF, "after": HALF, "gain": HALF}
RESULTS: list[Any] = [
    LossChange(**LOSSES),
    SFTResult(**LOSSES, steps=3, trained_tokens=100, measured_tokens=20),
    ComparedReplies(
        prompt=[{"role": "user", "content": "hi"}], category="greeting", replies={"ppo": "yo"}, scores={"ppo": 1.5}
    ),
    ExportResult({"export/policy": "AutoModelForCausalLM"}),
    PreferenceResult(
        accuracy=HALF,
        by_category={"greeting": HALF},
        calibration=[Bin(0.25, 0.5, 0.375, 0.5, 4)],
        calibration_error=0.25,
        loss=0.6,
        baselines={"length": HALF},
        lead={"length": HALF},
        baseline_notes={"length": "the longer reply"},
        steps=3,
        trained_tokens=100,
        measured_tokens=20,
        without_pairs=1,
    ),
]


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_a_result_is_read_back_as_it_was_written(result: Any) -> None:
    plain = json.loads(json.dumps(to_json(result), allow_nan=False))
    assert from_mapping(type(result), plain) == result


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_a_missing_field_is_named(result: Any) -> None:
    plain = to_json(result)
    key = next(iter(plain))
    del plain[key]
    with pytest.raises(ConfigError, match=key):
        from_mapping(type(result), plain)


def test_scores_of_replies_stand_under_the_key_of_stored_runs() -> None:
    plain = to_json(RESULTS[2])
    assert plain["judge"] == {"ppo": 1.5} and "scores" not in plain


def test_no_result_can_be_changed() -> None:
    for result in RESULTS:
        name = dataclasses.fields(result)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(result, name, None)
