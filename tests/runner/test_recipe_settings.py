"""What the source of a recipe's config says is what the config is."""

from typing import Any

import pytest

from preflab.errors import ConfigError
from preflab.runner.catalogue import Recipe, recipe_named, recipes
from preflab.runner.recipe_settings import recipe_settings, setting_named


def value_of(config: Any, name: str) -> Any:
    for part in name.split("."):
        config = getattr(config, part)
    return config


@pytest.mark.parametrize("recipe", recipes().values(), ids=lambda recipe: recipe.name)
def test_defaults_and_scales_read_from_source_are_those_of_the_configs(recipe: Recipe) -> None:
    package = recipe.load()
    settings = recipe_settings(recipe)
    outer = list(dict.fromkeys(setting.name.split(".")[0] for setting in settings))
    assert outer == [*package.Config.__dataclass_fields__]
    checked = 0
    for setting in settings:
        by_scale = dict(setting.by_scale)
        for scale, make in package.SCALES.items():
            text = by_scale.get(scale)
            if text is not None:
                assert text == repr(value_of(make(), setting.name)), (setting.name, scale)
                checked += 1
    assert checked > 0


def test_a_setting_has_its_docstring_type_and_choices() -> None:
    align = recipe_named("align")
    until = next(s for s in recipe_settings(align) if s.name.endswith("until"))
    assert until.choices == ("preference", "best-of-n", "ppo", "measure")
    assert until.default == "'measure'"
    assert until.help == "Stop after this stage; start the run again with a later one to go on."


def test_a_nested_setting_takes_its_default_from_the_field_that_holds_it() -> None:
    align = recipe_named("align")
    rank = setting_named(align, "model.adapters.rank")
    assert (rank.type, rank.default) == ("int", "16")  # AdapterConfig's own default is another
    assert dict(rank.by_scale) == {"smoke": "4", "large": "32"}
    assert setting_named(align, "ppo.policy.schedule").default == "'constant'"


def test_an_unknown_setting_is_refused_with_what_is_near() -> None:
    with pytest.raises(ConfigError, match=r"no setting 'model.adapters.rnak'; did you mean 'rank'\?"):
        setting_named(recipe_named("align"), "model.adapters.rnak")
