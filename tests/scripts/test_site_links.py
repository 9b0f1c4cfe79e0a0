"""Links from the docs to other files of the repository lead somewhere on the site too."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="needs the extra 'docs'")

from scripts import site_links


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A page that links to a file beside ``docs``, and to one that is missing."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "run.json").write_text('{"n": 3}\n')
    page = "# Page\n\n[numbers](../results/run.json), [again](../results/run.json#L1), [none](../results/gone.json)\n"
    (tmp_path / "docs" / "index.md").write_text(page)
    hook = Path(site_links.__file__)
    settings = f"site_name: tiny\nhooks: [{hook}]\nvalidation: {{links: {{not_found: warn}}}}\n"
    (tmp_path / "mkdocs.yml").write_text(settings)
    return tmp_path


def test_files_that_pages_link_to_are_listed_once_and_missing_ones_are_not(repository: Path) -> None:
    assert site_links.linked_files(repository / "docs") == ["results/run.json"]


def test_the_site_holds_a_copy_and_a_missing_file_is_warned_of(repository: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build"]
    built = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    assert (repository / "site" / "results" / "run.json").read_text() == '{"n": 3}\n'
    html = (repository / "site" / "index.html").read_text()
    assert 'href="results/run.json"' in html
    assert 'href="results/run.json#L1"' in html
    warnings = [line for line in built.stderr.splitlines() if "WARNING" in line]
    assert len(warnings) == 1
    assert "../results/gone.json" in warnings[0]
