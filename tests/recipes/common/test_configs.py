"""Settings that recipes share: refused where they cannot work, named where nothing reads them."""

from typing import Any

import pytest

from preflab.errors import ConfigError
from preflab.recipes.common.configs import ComparisonDataConfig, ModelConfig


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_something_is_held_out_and_something_is_left(share: float) -> None:
    with pytest.raises(ConfigError, match="held_out_share"):
        ComparisonDataConfig(held_out_share=share)


@pytest.mark.parametrize(
    ("kind", "settings", "complaint"),
    [
        (ModelConfig, {"max_context_tokens": 0}, "max_context_tokens must be at least 1, got 0"),
        (ComparisonDataConfig, {"max_comparisons": 0}, "max_comparisons must be at least 1, got 0"),
        (ComparisonDataConfig, {"judge": "orcale:brief"}, "unknown judge 'orcale:brief'; did you mean 'oracle'"),
        (ComparisonDataConfig, {"judge": "pm"}, "expected pm:FOLDER_OR_RUN"),
        (ComparisonDataConfig, {"judge": "oracle:brief,noise"}, "expected setting=value, found 'noise'"),
    ],
)
def test_values_out_of_range_are_refused(kind: type, settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        kind(**settings)


def test_adapters_are_read_unless_whole_models_are_trained() -> None:
    assert ModelConfig().unread() == {}
    assert ModelConfig(full_finetune=True).unread() == {"model.adapters": "model.full_finetune=true"}
