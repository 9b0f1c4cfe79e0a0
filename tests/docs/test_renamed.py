"""The page of renamed things: what it calls new is there, and what it calls gone is gone."""

import re
from pathlib import Path

import pytest

from tests.docs.test_names_in_docs import all_settings, is_name

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "preflab"
TEXT = (ROOT / "docs" / "renamed.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[list[str]]]:
    """Per row of the tables under a heading of the second level, the code in each cell."""
    section = re.split(r"^## ", TEXT, flags=re.MULTILINE)
    [body] = [part for part in section if part.startswith(heading + "\n")]
    lines = [line for line in body.splitlines() if line.startswith("| `")]
    return [[re.findall(r"`([^`]+)`", cell) for cell in line.strip("| ").split(" | ")] for line in lines]


def dotted(path: str) -> str:
    return "preflab." + path.replace("/", ".")


def expand(names: list[str]) -> list[str]:
    """``a/b.C.x``, ``y`` -> ``a/b.C.x``, ``a/b.C.y``."""
    owner = names[0].rpartition(".")[0]
    return [name if "." in name else f"{owner}.{name}" for name in names]


def test_every_new_module_exists_and_no_old_one_does() -> None:
    table = rows("Modules")
    assert len(table) > 150
    for [was], now, *_ in table:
        assert not (PACKAGE / was).exists(), was
        assert [path for path in now if not (PACKAGE / path).exists()] == []


@pytest.mark.parametrize(("heading", "least"), [("Classes and functions", 250), ("Methods and fields", 50)])
def test_every_new_name_exists_and_no_old_one_does(heading: str, least: int) -> None:
    table = rows(heading)
    assert len(table) >= least
    new = {dotted(name) for _, now, *_ in table for name in expand(now)}
    assert {name for name in new if not is_name(name)} == set()
    old = {dotted(name) for was, *_ in table for name in expand(was)}
    assert {name for name in old if is_name(name)} == set()


def test_every_new_setting_exists_and_no_old_one_does() -> None:
    table = rows("Settings")
    assert len(table) >= 25
    inside_optional = {"true_preference.criterion"}  # of a config that is None until it is set
    new = {name for _, now, *_ in table for name in now} - inside_optional
    assert new <= all_settings()
    moved_in = {"device", "films", "judge", "known", "policy"}  # other recipes have, or may have, a setting so called
    old = {name for was, *_ in table for name in was} - moved_in
    assert old & all_settings() <= {"precision", "max_context_tokens"}
