"""Suites are found by their files; names, variants and files of one's own."""

import sys
from pathlib import Path

import pytest

from preflab.errors import ConfigError
from preflab.evals import suites
from preflab.evals.suites import SUITES, discover_suites, find_suite, find_suites

FOLDER = Path(suites.__file__).parent
SUITE_FILE = """
from preflab.evals.core.suite import Suite, Variant
def load(source): ...
def plan(item): ...
VARIANTS = tuple(Variant(name=name, summary="", plan=plan) for name in ("first", "second"))
SUITE = Suite(name={name!r}, title="", summary="", source="", load=load, measures=(), variants=VARIANTS)
"""


def test_every_file_with_a_suite_is_found_and_nothing_else() -> None:
    files = [path for path in FOLDER.rglob("*.py") if "\nSUITE = Suite(" in path.read_text()]
    assert len(SUITES) == len(files) >= 19
    assert all(suite.name == name for name, suite in SUITES.items())


def test_the_order_is_that_of_folders_and_files() -> None:
    assert list(discover_suites()) == list(SUITES)
    assert list(SUITES)[:3] == ["admissions", "bbq", "crows_pairs"] and list(SUITES)[-1] == "starter"


def test_a_new_file_is_a_new_suite_and_a_name_may_not_come_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suites, "__path__", [*suites.__path__, str(tmp_path)])
    (tmp_path / "tea.py").write_text(SUITE_FILE.format(name="tea"))
    try:
        assert discover_suites().keys() - SUITES.keys() == {"tea"}
        (tmp_path / "tea_again.py").write_text(SUITE_FILE.format(name="bbq"))
        with pytest.raises(ConfigError, match="another suite is called 'bbq'"):
            discover_suites()
    finally:
        for module in ("tea", "tea_again"):
            sys.modules.pop(f"preflab.evals.suites.{module}", None)


def test_a_suite_and_its_variant_by_name() -> None:
    suite, variant = find_suite("bbq:letters")
    assert (suite.name, variant.name) == ("bbq", "letters")
    assert find_suite("bbq")[1] is SUITES["bbq"].variants[0]
    with pytest.raises(ConfigError, match=r"unknown suite 'bqb'.*bbq"):
        find_suite("bqb")


def test_groups_of_suites() -> None:
    assert [suite.name for suite, _ in find_suites(["all"])] == list(SUITES)
    assert [suite.name for suite, _ in find_suites(["mmlu", "starter", "mmlu"])] == ["mmlu", "starter"]
    with pytest.raises(ConfigError, match="no suite was named"):
        find_suites([])


def test_a_file_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "SUITES", dict(SUITES))
    monkeypatch.setattr(suites, "_FROM_FILES", set())
    path = tmp_path / "mine.py"
    path.write_text(SUITE_FILE.format(name="mine"))
    assert find_suite(f"{path}:second")[1].name == "second"
    assert find_suite("mine")[0].name == "mine"  # known by its name from then on
    path.write_text(SUITE_FILE.format(name="mmlu"))
    with pytest.raises(ConfigError, match="'mmlu' comes with preflab"):
        find_suite(str(path))
