"""Settings of ``rafailov2023_dpo``: what cannot be meant is refused by its name, what nothing reads is named."""

import pytest

from preflab.config_overrides import apply_overrides
from preflab.errors import ConfigError
from preflab.recipes.rafailov2023_dpo.config import SCALES, Config, default, large, smoke


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("held_out_pm_share", 1.0),
        ("held_out_pm_share", -0.1),
        ("replies_per_prompt", 0),
        ("evaluation_prompts", 0),
        ("data.held_out_share", 0.0),
        ("dpo.beta", 0.0),
        ("dpo.epochs", 0),
        ("trees", "perhaps"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused_by_its_name(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=setting.rpartition(".")[2]):
        apply_overrides(smoke(), {setting: value})


def test_settings_of_stages_that_are_left_out_are_read_by_nothing() -> None:
    assert default().unread() == {"sft": "sft_first=false"}
    assert Config(sft_first=True).unread() == {}
    assert "preference" in Config(held_out_pm_share=0.0).unread()
    full = apply_overrides(default(), {"model.full_finetune": True})
    assert full.unread()["model.adapters"] == "model.full_finetune=true"


def test_scales_are_sound_and_differ_in_size() -> None:
    assert {name: make() for name, make in SCALES.items()} == {
        "default": Config(),
        "smoke": smoke(),
        "large": large(),
    }
    prompts = [make().evaluation_prompts for make in (smoke, default, large)]
    assert prompts == sorted(set(prompts))
    assert smoke().model.policy == "tiny" and smoke().dpo.beta == default().dpo.beta == large().dpo.beta
