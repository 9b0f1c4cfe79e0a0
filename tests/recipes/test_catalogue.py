"""Recipes are found by what is in their files."""

from pathlib import Path

import pytest

from preflab.errors import ConfigError
from preflab.recipes import catalogue
from preflab.recipes.catalogue import recipe_named, recipes

RECIPE = (
    '"""Does a thing.\n\nMore of it.\n"""\nSCALES: dict = {"default": int, "smoke": int}\ndef main(config, run): ...\n'
)


def test_the_main_job_is_found_with_its_scales() -> None:
    found = recipe_named("align")
    assert found.scales == tuple(found.load().SCALES)
    assert found.summary == (found.load().__doc__ or "").splitlines()[0]
    assert recipes()["align"] == found


def test_a_file_with_scales_and_main_is_a_recipe_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path)
    (tmp_path / "one.py").write_text(RECIPE)
    (tmp_path / "two.py").write_text(RECIPE.replace("SCALES: dict", "SCALES"))
    (tmp_path / "no_main.py").write_text(RECIPE.replace("def main", "def other"))
    (tmp_path / "no_scales.py").write_text(RECIPE.replace("SCALES", "SIZES"))
    found = recipes()
    assert list(found) == ["one", "two"]
    assert found["one"].summary == "Does a thing."
    assert found["two"].scales == ("default", "smoke")


@pytest.mark.parametrize("name", ["algin", "align_report", "../cli", "no.such"])
def test_what_is_no_recipe_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown recipe"):
        recipe_named(name)


def test_a_companion_that_is_missing_is_told() -> None:
    assert recipe_named("align").companion("summary").summarise
    with pytest.raises(ConfigError, match="recipe align has no dance"):
        recipe_named("align").companion("dance")
