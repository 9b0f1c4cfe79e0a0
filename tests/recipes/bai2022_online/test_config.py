"""Settings of the online recipe: what cannot work is refused, every scale is sound."""

from dataclasses import replace
from typing import Any

import pytest

from preflab.errors import ConfigError
from preflab.recipes.bai2022_online import SCALES, Config, smoke
from preflab.recipes.common.configs import ComparisonDataConfig


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"snapshots": 1}, "snapshots must be at least 2, got 1"),
        ({"true_preference": None}, "annotators=scripted needs true_preference"),
        ({"topics_share": 0.0}, "annotators=scripted needs topics_share above 0"),
        ({"topics_share": 0.9}, "leave nothing to learn"),
        ({"rounds": 0}, "rounds and judgements must be at least 1"),
        ({"data": ComparisonDataConfig(judge="oracle:brief")}, "data.judge and true_preference both label the static"),
        ({"store": "postgresql://me:secret@here/lab"}, "leave the password out of the address"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        replace(smoke(), **wrong)


def test_a_judge_labels_the_static_comparisons_where_people_choose() -> None:
    config = replace(SCALES["default"](), data=ComparisonDataConfig(judge="oracle:brief"))
    assert (config.data.judge, config.true_preference) == ("oracle:brief", None)


def test_every_scale_is_sound() -> None:
    assert all(isinstance(make(), Config) for make in SCALES.values())
