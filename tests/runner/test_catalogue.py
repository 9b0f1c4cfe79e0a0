"""Recipes are found by what is in their folders."""

from pathlib import Path

import pytest

from preflab.errors import ConfigError
from preflab.runner import catalogue
from preflab.runner.catalogue import recipe_named, recipes

RECIPE = (
    '"""Does a thing.\n\nMore of it.\n"""\nSCALES: dict = {"default": int, "smoke": int}\ndef main(config, run): ...\n'
)


def test_the_main_job_is_found_with_its_scales() -> None:
    found = recipe_named("align")
    assert found.scales == tuple(found.load().SCALES)
    assert found.summary == (found.load().__doc__ or "").splitlines()[0]
    assert recipes()["align"] == found


def test_a_folder_with_scales_and_main_is_a_recipe_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path)
    scales_beside = RECIPE.replace("SCALES: dict", "SIZES: dict")
    packages = {
        "one": RECIPE,
        "source/two": RECIPE.replace("SCALES: dict", "SCALES"),
        "source": "",
        "beside": scales_beside,
        "no_main": RECIPE.replace("def main", "def other"),
        "no_scales": scales_beside,
    }
    for name, code in packages.items():
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / "__init__.py").write_text(code)
    (tmp_path / "beside" / "config.py").write_text('SCALES = {"tiny": int}\n')
    (tmp_path / "not_a_package.py").write_text(RECIPE)
    by_name = recipes()
    assert list(by_name) == ["beside", "one", "source_two"]
    assert by_name["one"].summary == "Does a thing."
    assert by_name["source_two"].scales == ("default", "smoke")
    assert by_name["source_two"].module == "preflab.recipes.source.two"
    assert by_name["beside"].scales == ("tiny",)


@pytest.mark.parametrize("recipe", recipes().values(), ids=lambda recipe: recipe.name)
def test_every_recipe_says_what_a_run_of_it_needs_in_one_place(recipe: catalogue.Recipe) -> None:
    package = recipe.load()
    for name in ("main", "Config", "SCALES", "summarise", "write_report"):
        assert hasattr(package, name), name
    assert recipe.scales == tuple(package.SCALES)
    assert all(isinstance(scale(), package.Config) for scale in package.SCALES.values())


def test_earlier_names_still_start_a_recipe() -> None:
    assert recipe_named("dpo") == recipe_named("rafailov2023_dpo")
    assert recipe_named("online") == recipe_named("bai2022_online")


@pytest.mark.parametrize("name", ["algin", "align_report", "../cli", "no.such"])
def test_what_is_no_recipe_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown recipe"):
        recipe_named(name)
