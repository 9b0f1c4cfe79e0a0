"""The plain report: verdicts, sections, what is not finished; plots are the one thing that is not escaped."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from preflab.atomic_files import write_json
from preflab.conversion import to_json
from preflab.errors import RunError
from preflab.maths.statistics import Estimate
from preflab.reporting.report import (
    LONGEST_TEXT,
    Facts,
    Figure,
    Report,
    Section,
    Table,
    data_section,
    example,
    picture,
    read_facts,
    write_report_page,
)
from preflab.reporting.verdicts import Verdict, claim_above

STAGES = {"fit": "the fit", "measure": "the measurement"}


@dataclass(frozen=True)
class Config:
    seed: int = 0
    steps: int = 10


@dataclass(frozen=True)
class Fit:
    trained_tokens: int
    verdicts: list[Verdict]


SCALES: dict[str, Callable[[], Config]] = {"default": Config}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of which the measurement is still to come."""
    verdict = claim_above("it gains", Estimate(0.3, 0.1, 0.5, 10), 0.0, unit="nats", source="ours")
    write_json(tmp_path / "config.json", {"recipe": "demo", "config": to_json(Config())})
    write_json(tmp_path / "record.json", {"made_by": {"python": "3.11"}})
    write_json(
        tmp_path / "results" / "fit.json", to_json({"verdicts": [verdict], "trained_tokens": 1234, "seconds": 2})
    )
    return tmp_path


def render(folder: Path, report: Report) -> str:
    return write_report_page(read_facts(folder, "demo", STAGES), STAGES, report, SCALES).read_text("utf-8")


def test_verdicts_status_cost_and_command(folder: Path) -> None:
    page = render(folder, Report(title="A demo", summary=["First."], warnings=[("Note", "careful")]))
    assert "it gains" in page and "+0.30 [+0.10, +0.50] nats" in page and "holds" in page
    assert "the measurement is still to come" in page
    assert "1,234" in page
    assert "preflab run demo --scale default --seed 0" in page
    assert "<b>Note.</b> careful" in page


def test_plots_are_markup_and_all_else_is_text(folder: Path) -> None:
    figure = Figure(svg="<svg><title>t</title></svg>", title="<i>", caption="a < b")
    section = Section(
        anchor="a",
        title="Sec",
        text=["<script>alert(1)</script>"],
        figures=[figure, Figure(svg="", title="gone", caption="")],
        tables=[Table(caption="cap", heads=["x", "y"], rows=[["<b>", "1"]])],
        after=["behind"],
        links=[("items", "items/a b.html")],
    )
    page = render(folder, Report(title="t", sections=[section], claims=False))
    assert "<svg><title>t</title></svg>" in page
    assert "<script>" not in page and "&lt;i&gt;" in page and "a &lt; b" in page and "&lt;b&gt;" in page
    assert "gone" not in page
    assert 'href="items/a%20b.html"' in page
    assert "Verdicts" not in page
    assert figure.svg == "<svg><title>t</title></svg>"


def test_examples_beyond_the_first_are_folded(folder: Path) -> None:
    prompt = [{"role": "user", "content": "Why?"}]
    replies = {"base": "x" * (LONGEST_TEXT + 1), "tuned": ""}
    names = {"base": "before", "tuned": "after"}
    examples = [example(n, prompt, replies, names, category="c", scores={"base": 0.5}) for n in (1, 2, 3)]
    page = render(
        folder, Report(title="t", sections=[Section(anchor="e", title="E", examples=examples, unfolded_examples=1)])
    )
    assert "The other 2 prompts" in page
    assert "(1 more characters)" in page and "(empty)" in page and "+0.50" in page


def test_a_run_of_another_recipe_is_refused(folder: Path) -> None:
    with pytest.raises(RunError, match="is a run of 'demo'; this report is of the recipe 'sft'"):
        read_facts(folder, "sft", STAGES)


def test_settings_are_read_as_the_recipes_config(folder: Path) -> None:
    facts = read_facts(folder, "demo", STAGES)
    assert facts.settings(Config) == Config()
    assert [verdict["claim"] for verdict in facts.verdicts()] == ["it gains"]
    assert facts.result("fit", Fit) == Fit(
        1234, [claim_above("it gains", Estimate(0.3, 0.1, 0.5, 10), 0.0, unit="nats", source="ours")]
    )
    assert facts.result("measure", Fit) is None
    write_json(folder / "config.json", {"recipe": "demo", "config": {"seed": 0, "stepz": 1}})
    with pytest.raises(RunError, match=r"config\.json: unknown field 'stepz'; did you mean 'steps'"):
        read_facts(folder, "demo", STAGES).settings(Config)


def test_the_data_by_part_with_what_was_left_out(folder: Path) -> None:
    record: dict[str, Any] = {
        "data": {"source": "starter", "format": "jsonl", "records": 1200, "refused": {"no reply": 3}},
        "counts": {"held_out": {"refused": ["row 1: too long"]}},
    }
    facts = Facts(folder=folder, recipe="demo", config={}, record=record, results={})
    section = data_section(facts, {"Comparisons": {"train": 1000, "held_out": 200}})
    assert section.tables[0].rows == [["train", "1,000"], ["held out", "200"]]
    assert list(section.after) == ["Left out when reading: 3 x no reply.", "Left out of held out: 1; row 1: too long."]
    assert data_section(facts, None).text == ["The data have not been read yet."]


def test_a_gif_stands_in_the_page_itself(tmp_path: Path) -> None:
    assert picture(tmp_path / "gone.gif", "x") == []
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    (embedded,) = picture(tmp_path / "a.gif", "a flip")
    assert (embedded.src, embedded.caption) == ("data:image/gif;base64,R0lGODlh", "a flip")


@pytest.mark.parametrize("data", [{"source": "a.jsonl"}, {"source": "a.jsonl", "records": "12"}])
def test_a_record_that_does_not_say_how_many_records_were_read_is_named(data: dict[str, Any], folder: Path) -> None:
    write_json(folder / "record.json", {"data": data})
    with pytest.raises(RunError, match=r"record\.json: data\.records must be how many records were read, found"):
        data_section(read_facts(folder, "demo", STAGES), {"Comparisons": {"train": 1}})
