"""What the files of the lesson on horizons hold."""

from pathlib import Path

from preflab.conversion import to_json
from preflab.recipes.christiano2017.horizon.results import AgentResult, Comparison
from preflab.run import typed_result

ESTIMATE = {"value": 20.0, "low": 18.0, "high": 22.0, "n": 5, "clusters": None, "level": 0.95}


def test_an_agent_is_read_from_its_file_and_written_as_it_was() -> None:
    plain = {"arm": "fixed", "curve": [[0, 20.5], [128, 17.0]], "untrained": 20.5, "trained": 17.0, "falls": 70}
    result = typed_result(Path("fixed0.json"), {**plain, "seconds": 2.0}, AgentResult)
    assert result.curve == ((0, 20.5), (128, 17.0))
    assert to_json(result) == plain


def test_a_comparison_is_read_with_its_estimates() -> None:
    plain = {
        "verdicts": [], "untrained": ESTIMATE, "trained": {"fixed": ESTIMATE}, "steps": [0, 128],
        "curves": {"fixed": [ESTIMATE, ESTIMATE]}, "falls": {"fixed": 70},
    }  # fmt: skip
    result = typed_result(Path("compare.json"), plain, Comparison)
    assert [mean.high for mean in result.curves["fixed"]] == [22.0, 22.0]
    assert to_json(result) == plain
