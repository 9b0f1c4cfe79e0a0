"""Settings of ``sft``: what cannot be meant is refused by its name, what nothing reads is named."""

import pytest

from preflab.config_overrides import apply_overrides
from preflab.errors import ConfigError
from preflab.recipes.common.configs import ComparisonDataConfig
from preflab.recipes.sft.config import SCALES, Config, default, large, smoke


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("evaluation_prompts", 0),
        ("data.held_out_share", 1.0),
        ("sft.epochs", 0),
        ("sft.batch_rows", 0),
        ("model.max_context_tokens", 0),
        ("last_turn_only", "sometimes"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused_by_its_name(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=setting.rpartition(".")[2]):
        apply_overrides(smoke(), {setting: value})


def test_comparisons_and_dialogues_each_have_settings_that_the_other_does_not_read() -> None:
    assert default().unread() == {"last_turn_only": "dialogues=null"}
    unread = Config(dialogues="talks.jsonl", data=ComparisonDataConfig(judge="oracle:brief")).unread()
    assert set(unread) == {"data.comparisons", "data.format", "data.split", "data.judge"}
    assert set(unread.values()) == {"dialogues=talks.jsonl"}


def test_scales_are_sound_and_differ_in_size() -> None:
    assert {name: make() for name, make in SCALES.items()} == {"default": Config(), "smoke": smoke(), "large": large()}
    prompts = [make().evaluation_prompts for make in (smoke, default, large)]
    assert prompts == sorted(set(prompts))
    assert smoke().model.policy == "tiny"
