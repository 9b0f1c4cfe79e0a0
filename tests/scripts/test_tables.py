"""The tables of the docs are what results/ says, and nothing in them is typed by hand."""

import re
import shutil
from pathlib import Path

import pytest

from scripts import tables
from scripts.tables import BLOCK, PAGES, ROOT, TABLES, Evidence, interval, markdown, rendered

NUMBERED = re.compile(r"\[[+\u2212-]?[\d.,∞]+, [+\u2212-]?[\d.,∞]+\]|\b(holds|fails|undecided)\b")
"""An interval or a verdict."""


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return Evidence(ROOT / "results")


@pytest.mark.parametrize("name", PAGES)
def test_every_table_of_a_page_is_what_it_would_be_made_anew(name: str, evidence: Evidence) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text.count("<!-- generated: ") == len(BLOCK.findall(text)) > 0
    assert rendered(text, evidence) == text


@pytest.mark.parametrize("name", PAGES)
def test_no_table_outside_has_a_verdict_or_an_interval(name: str) -> None:
    text = BLOCK.sub("", (ROOT / name).read_text(encoding="utf-8"))
    assert [line for line in text.splitlines() if line.startswith("|") and NUMBERED.search(line)] == []


def test_every_kind_of_table_is_used() -> None:
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in PAGES)
    assert {block[2].split()[0] for block in BLOCK.finditer(text)} == TABLES.keys()


def test_a_number_typed_by_hand_and_a_changed_result_are_found(
    tmp_path: Path, evidence: Evidence, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    assert "71.0 %" in page
    assert rendered(page.replace("71.0 %", "81.0 %"), evidence) == page
    shutil.copytree(ROOT / "results", tmp_path / "results")
    for name in PAGES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["tables", "--check"])
    assert tables.main() == 0
    changed = tmp_path / "results" / "sft" / "default.json"
    changed.write_text(changed.read_text().replace('"outcome": "holds"', '"outcome": "fails"'))
    assert tables.main() == 1
    assert "docs/papers.md: out of date" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["tables"])
    assert tables.main() == 0
    assert "**fails**" in (tmp_path / "docs" / "papers.md").read_text()


def test_cells_keep_their_bars_and_numbers_stand_to_the_right() -> None:
    assert markdown(("a", "b"), [("x|y", "1")], right=(1,)) == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |"
    assert interval((115, 0.14, 230)) == "+115 [+0.14, +230]"
