"""The documentation is true: snippets run, records are of the format they stand under, links lead somewhere."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from preflab.data.sources import SOURCES, get_source, recognise
from preflab.feedback.labellers.human import HumanSettings
from preflab.feedback.labellers.language_model import LanguageModelSettings
from preflab.feedback.labellers.preference_model import PreferenceModelSettings
from preflab.feedback.labellers.rules import RuleSettings
from preflab.feedback.labellers.specs import KINDS
from preflab.feedback.labellers.synthetic_annotator import SyntheticPreference
from preflab.recipes.common.comparison_parts import JudgeResult

ROOT = Path(__file__).parents[1]
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if page.exists()]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """Line number and text of every fenced block of that language."""
    text = page.read_text(encoding="utf-8")
    found = (m for m in BLOCK.finditer(text) if m[1] == language)
    return [(text.count("\n", 0, m.start(2)) + 1, m[2]) for m in found]


def anchors(page: Path) -> set[str]:
    """What headings can be linked to by, as code hosts make it."""
    prose = BLOCK.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_snippets_of_the_tour_run_in_order_in_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tour = ROOT / "docs" / "tour.md"
    snippets = blocks(tour, "python")
    assert len(snippets) >= 8
    names: dict[str, Any] = {"__name__": "tour"}
    for line, snippet in snippets:
        exec(compile("\n" * (line - 1) + snippet, str(tour), "exec"), names)  # errors name the page's own line
    assert len(names["row"]) == 6
    assert names["row"].path_tokens == 9
    assert names["ppo"].step_count == 3
    assert "40 of 40 records kept" in capsys.readouterr().out


def test_the_snippets_of_the_page_on_rl_run_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    page = ROOT / "docs" / "rl.md"
    names: dict[str, Any] = {"__name__": "rl"}
    for line, snippet in blocks(page, "python"):
        exec(compile("\n" * (line - 1) + snippet, str(page), "exec"), names)
    assert names["state"]["step_count"] == 3
    said = capsys.readouterr().out
    assert said.count("KL") == 3
    assert "ptx_gradient_norm" in said


def test_the_loop_of_the_page_on_control_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gymnasium", reason="needs the extra 'control'")
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "control.md"
    names: dict[str, Any] = {"__name__": "control"}
    for line, snippet in blocks(page, "python"):
        exec(compile("\n" * (line - 1) + snippet, str(page), "exec"), names)
    assert len(names["loop"].learner.labels.all) == 20
    assert capsys.readouterr().out.splitlines()[-1].startswith("6400 20 -")


def test_the_suite_of_the_page_on_evaluation_measures_what_it_says(tmp_path: Path) -> None:
    from preflab.evals.core.data_source import DataSource
    from preflab.evals.core.runner import measure_results, run_items
    from tests.evals.synthetic import Scripted, choosing

    page = ROOT / "docs" / "evals.md"
    names: dict[str, Any] = {"__name__": "evals"}
    for line, snippet in blocks(page, "python"):
        exec(compile("\n" * (line - 1) + snippet, str(page), "exec"), names)
    rows = [{"question": f"Is {n} even?", "answer": n % 2 == 0} for n in range(4)]
    (tmp_path / "yes_no.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    suite = names["SUITE"]
    items = suite.load(DataSource(folder=tmp_path)).items
    told = run_items(suite.variants[0], items, {"policy": Scripted(choosing(lambda ask: 0))})
    found = {own.name: own.estimate for own in measure_results(suite.measures, told)}
    assert found["accuracy"] is not None
    assert found["accuracy"].value == 0.5
    assert found["leans to yes"] is not None
    assert found["leans to yes"].value == pytest.approx(0.4)


def test_the_snippets_of_the_page_on_sft_and_dpo_run_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    page = ROOT / "docs" / "train.md"
    names: dict[str, Any] = {"__name__": "train"}
    for line, snippet in blocks(page, "python"):
        exec(compile("\n" * (line - 1) + snippet, str(page), "exec"), names)
    assert "reference" in names["state"]
    said = capsys.readouterr().out
    assert "1 row, 2 replies to learn" in said
    assert "1 row of" in said
    assert "2 comparisons," in said


@pytest.mark.parametrize("recipe", ["dpo", "sft"])
def test_every_setting_that_the_page_on_sft_and_dpo_names_exists(recipe: str) -> None:
    from preflab.config_overrides import setting_names
    from preflab.runner.catalogue import recipe_named

    known = set(setting_names(recipe_named(recipe).load().SCALES["default"]()))
    text = (ROOT / "docs" / "train.md").read_text(encoding="utf-8")
    table = text[text.index(f"| setting of `{recipe}`") :].split("\n\n")[0]
    named = {name.split("=")[0] for name in re.findall(r"^\| `([\w.=]+)` \|", table, re.MULTILINE)}
    assert len(named) >= 4
    assert named <= known


def test_every_setting_that_the_page_on_rl_names_exists() -> None:
    from preflab.config_overrides import setting_names
    from preflab.recipes.align import default

    config = default()
    known = set(setting_names(config))
    text = (ROOT / "docs" / "rl.md").read_text(encoding="utf-8")
    commands = "".join(block for _, block in blocks(ROOT / "docs" / "rl.md", "bash"))
    assert set(re.findall(r"--set ([\w.]+)=", commands)) <= known
    own = [name.removeprefix("ppo.") for name in known if name.startswith("ppo.")]
    named = set(re.findall(r"`([a-z_.]+)`", text))
    left_out = {
        n for n in own if n.count(".") == 0 and n not in named and not n.startswith(("steps", "ptx", "sampling"))
    }
    assert (
        left_out - {"policy", "value", "exact_kl_rows", "max_sampler_trainer_gap", "max_staleness", "measure_kl"}
        == set()
    )


def test_every_record_of_bring_your_own_is_of_the_format_it_stands_under() -> None:
    page = ROOT / "docs" / "bring-your-own.md"
    lines = page.read_text(encoding="utf-8").splitlines()
    seen: dict[str, int] = {}
    for start, block in blocks(page, "json"):
        heading = next(line for line in reversed(lines[:start]) if line.startswith("### "))
        name = heading.removeprefix("### ").strip("`")
        for record in map(json.loads, block.splitlines()):
            assert recognise(record).name == name
            assert all(len(comparison.replies) >= 2 for comparison in get_source(name).comparisons(record))
            seen[name] = seen.get(name, 0) + 1
    assert set(seen) == SOURCES.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(BLOCK.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


def test_the_page_on_judges_names_every_kind_with_every_setting() -> None:
    settings = {
        "human": HumanSettings,
        "pm": PreferenceModelSettings,
        "model": LanguageModelSettings,
        "rules": RuleSettings,
        "oracle": SyntheticPreference,
    }
    assert settings.keys() == KINDS.keys()
    text = (ROOT / "docs" / "judges.md").read_text(encoding="utf-8")
    table = text[text.index("## The five kinds") :].split("\n\n")[1]
    rows = {match[1]: match[0] for match in re.finditer(r"^\| `(\w+)[:\[].*$", table, re.MULTILINE)}
    kinds = {kind: row.split("|")[3] for kind, row in rows.items()}
    assert kinds.keys() == KINDS.keys()
    for kind, config in settings.items():
        names = {field.name for field in fields(config)} - {"criterion" if kind == "oracle" else ""}
        assert set(re.findall(r"`([a-z_]+)`", kinds[kind])) == names, kind


def test_the_page_on_judges_names_the_fields_of_the_result() -> None:
    text = (ROOT / "docs" / "judges.md").read_text(encoding="utf-8")
    table = text[text.index("| field of `judge` |") :].split("\n\n")[0]
    named = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert named <= {field.name for field in fields(JudgeResult)}
    assert named == {"agreement", "changed", "pairs", "abstained", "left_out"}
