"""What the stages of ``sft`` leave, read back."""

import json
from pathlib import Path
from typing import Any

import pytest

from preflab.conversion import from_mapping, to_json
from preflab.errors import RunError
from preflab.recipes.sft.results import DataResult, SFTResult
from preflab.run import typed_result
from tests.killing import results
from tests.recipes.sft.results_of import data, measure, sft


@pytest.mark.parametrize("result", [data(), sft(), measure()], ids=lambda result: type(result).__name__)
def test_a_result_is_read_back_as_it_was_written(result: Any) -> None:
    plain = json.loads(json.dumps(to_json(result), allow_nan=False))
    assert from_mapping(type(result), plain) == result


def test_a_run_is_read_into_its_types_and_accounts_for_every_part(finished: Path) -> None:
    stored = results(finished)
    counts = typed_result(finished / "results" / "data.json", stored["data"], DataResult)
    assert set(counts.rows) == {"train", "held_out"} and sum(counts.rows.values()) == 24
    assert counts.tokens_reply_by_reply["train"] >= counts.tokens["train"] > counts.reply_tokens["train"] > 0
    fit = typed_result(finished / "results" / "sft.json", stored["sft"], SFTResult)
    assert fit.epochs == stored["sft"]["epochs"] and fit.gain.clusters == counts.prompts


def test_a_result_of_another_version_is_refused_with_its_field(tmp_path: Path) -> None:
    plain = to_json(sft())
    del plain["epochs"]
    with pytest.raises(RunError, match=r"epochs is missing.*another version"):
        typed_result(tmp_path / "sft.json", plain, SFTResult)
