"""Pages can be read as text, and their snippets that no other test runs at least import what is there."""

import ast
import re
from pathlib import Path

from preflab.feedback.study import parse_study
from preflab.runner.catalogue import recipe_named
from preflab.runner.launch import resolve
from tests.docs.test_names_in_docs import ALL_PAGES, BLOCK, ROOT, is_name, written

WIDTH = 120


def code_blocks(page: Path, *languages: str) -> list[str]:
    return [text for _, language, text in BLOCK.findall(page.read_text(encoding="utf-8")) if language in languages]


@ALL_PAGES
def test_no_line_of_prose_is_too_long_to_read_as_text(page: Path) -> None:
    prose = BLOCK.sub("", written(page))
    long = [line for line in prose.splitlines() if len(line) > WIDTH and not line.startswith("|")]
    assert [line for line in long if " " in line.strip()] == []  # an address cannot be broken


@ALL_PAGES
def test_lists_are_lists_on_the_site_too(page: Path) -> None:
    """Python-Markdown wants a blank line before a list or table, and four blanks before what stands inside an item."""
    wrong, previous, in_block = [], "", False
    for line in page.read_text(encoding="utf-8").splitlines():
        if re.match(r" {1,3}(```|[-*] |\d+\. )", line) and not in_block:
            wrong.append(line)
        if line.lstrip().startswith("```"):
            in_block = not in_block
        begins = re.match(r"[-*] |\d+\. |\|", line) and not in_block
        if begins and previous.strip() and not re.match(r"[-*] |\d+\. | +|\||<!--", previous):
            wrong.append(line)
        previous = line
    assert wrong == []


@ALL_PAGES
def test_what_snippets_import_exists(page: Path) -> None:
    missing = []
    for code in code_blocks(page, "python", "py"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("preflab"):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                missing += [name for name in names if not is_name(name)]
    assert missing == []


def test_the_settings_file_of_bring_your_own_is_one(tmp_path: Path) -> None:
    [text] = code_blocks(ROOT / "docs" / "bring-your-own.md", "yaml")
    (tmp_path / "settings.yaml").write_text(text, encoding="utf-8")
    config = resolve(
        recipe_named("align"), scale="default", file=str(tmp_path / "settings.yaml"), flags={}, assignments=[]
    )
    assert config.ppo.steps == 48
    assert config.data.comparisons == "my-comparisons.jsonl"


def test_the_studies_of_the_page_on_collection_are_studies() -> None:
    study, policies = code_blocks(ROOT / "docs" / "collect.md", "yaml")
    inline = study.replace("items: pairs.jsonl", "items: [{prompt: Hi, replies: [Hello., Bye.]}]")
    assert parse_study(inline).definition.name == "which-is-better"
    talk = "name: talk\ntitle: Talk\nprotocol: chat\ninstructions: Talk.\nitems: []\n"
    assert len(parse_study(talk + policies).definition.policies) == 4


def test_headings_of_a_page_are_different() -> None:
    for page in sorted((ROOT / "docs").glob("*.md")):
        headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", written(page)), re.MULTILINE)
        assert len(set(headings)) == len(headings), page.name
