"""A plain ``report.html`` for any recipe: verdicts, then text, plots, tables and replies, cost, how to repeat it.

A recipe says what its stages are called and gives the sections; everything is made from the files of the run folder, so
an interrupted run has a report too. Nothing is markup but what this module's template says.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from preflab.errors import RunError
from preflab.reporting.html import Json, repeat_command, truncate, write_page
from preflab.reporting.run_files import metrics_by_stage, read_results, read_run
from preflab.run import flatten_settings

LONGEST_TEXT = 2_000
"""Characters of a prompt or a reply."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A plot as SVG (an empty one is left out) and how to read it."""

    svg: str
    title: str
    how: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells are text; the first of each row is its heading."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture or a film within the page, and what it shows."""

    src: str
    """``data:image/...``: the page loads nothing."""
    words: str


def picture(path: Path, words: str) -> list[Picture]:
    """A GIF beside the report, within the page; none where it is not there."""
    if not path.is_file():
        return []
    return [Picture(src=f"data:image/gif;base64,{b64encode(path.read_bytes()).decode()}", words=words)]


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page; what is empty is left out."""

    anchor: str
    title: str
    text: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    examples: Sequence[Json] = ()
    open: int = 6
    """Examples that are shown at once; the others are folded away."""
    after: Sequence[str] = ()
    links: Sequence[tuple[str, str]] = ()
    """Words and where they lead: files beside the report."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a recipe tells of a run."""

    title: str
    lead: Sequence[str] = ()
    notices: Sequence[tuple[str, str]] = ()
    sections: Sequence[Section] = ()
    claims: bool = True
    """Whether the recipe claims anything; without claims there is no table of verdicts."""
    intervals: str = "Intervals resample whole prompts; they do not cover the luck of one training run with one seed."
    """What the intervals of the verdicts are over."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the files of a run folder say; estimates as `Estimate`."""

    folder: Path
    recipe: str
    config: Json
    record: Json
    results: Json
    metrics: dict[str, list[Json]] = field(default_factory=dict)

    def verdicts(self) -> list[Json]:
        """Of all stages, in their order."""
        return [v for result in self.results.values() for v in result.get("verdicts", [])]


def read_facts(folder: Path, recipe: str, stages: Mapping[str, str]) -> Facts:
    """Read a run folder; stages that have not finished are not there.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    run = read_run(folder)
    if run.recipe != recipe:
        raise RunError(f"{folder} is a run of {run.recipe!r}; this report is of the recipe {recipe!r}")
    return Facts(
        folder=folder,
        recipe=recipe,
        config=run.config,
        record=run.record,
        results=read_results(folder, stages),
        metrics=metrics_by_stage(folder),
    )


def write_report_page(
    facts: Facts, stages: Mapping[str, str], story: Report, scales: Mapping[str, Callable[[], Any]]
) -> Path:
    """Write ``report.html``; ``stages`` names what a finished run has, in order, with words for it."""
    from markupsafe import Markup

    record, name = facts.record, facts.folder.resolve().name
    for section in story.sections:
        for figure in section.figures:
            object.__setattr__(figure, "svg", Markup(figure.svg))  # made by our own plots, the one thing not escaped
    known = {
        "Python": record["made_by"].get("python"),
        "Cores": record["made_by"].get("cores"),
        "Numbers": record["model"].get("dtype"),
        "Model, sha256": record["model"].get("sha256"),
        "Data": record["data"].get("digest"),
    }
    return write_page(
        facts.folder,
        Path(__file__).with_name("report.html.j2"),
        recipe=facts.recipe,
        name=name,
        config=facts.config,
        record=record,
        results=facts.results,
        tokens=any(key.endswith("_tokens") for result in facts.results.values() for key in result),
        stages=stages,
        status=_status(facts, stages),
        verdicts=facts.verdicts(),
        title=story.title,
        lead=story.lead,
        notices=story.notices,
        sections=story.sections,
        claims=story.claims,
        intervals=story.intervals,
        facts=[(what, value) for what, value in known.items() if value is not None],
        command=repeat_command(f"preflab run {facts.recipe}", scales, {"name": name, **vars(facts)}),
        settings=flatten_settings(facts.config),
    )


def _status(facts: Facts, stages: Mapping[str, str]) -> str:
    """How far the run got."""
    missing = [words for stage, words in stages.items() if stage not in facts.results]
    if not missing:
        return "The run is complete."
    return (
        f"The run is not finished: {', '.join(missing)} is still to come. Start the same command again and it "
        "continues; this page then says more."
    )


def example(number: int, one: Json, words: Mapping[str, str]) -> Json:
    """A prompt and replies side by side, as the template shows them; ``words`` names each policy."""
    turns = one["prompt"]
    prompt = turns[0]["content"] if len(turns) == 1 else "\n\n".join(f"{t['role']}: {t['content']}" for t in turns)
    return {
        "number": number,
        "category": one["category"],
        "prompt": truncate(prompt, LONGEST_TEXT),
        "replies": [(words[who], truncate(text, LONGEST_TEXT)) for who, text in one["replies"].items()],
        "scores": {words[who]: one["judge"].get(who) for who in one["replies"]},
    }


def data_section(facts: Facts, heads: Mapping[str, str]) -> Section:
    """What was learned from and measured on; ``heads`` names the counts of the stage ``data`` that are by part."""
    found, data = facts.results.get("data"), facts.record["data"]
    if found is None:
        return Section(anchor="data", title="The data", text=["The data have not been read yet."])
    parts = list(next(iter(found[key] for key in heads)))
    rows = [[part.replace("_", " "), *(f"{found[key][part]:,}" for key in heads)] for part in parts]
    after = [f"Left out when reading: {n:,} x {why}." for why, n in (data.get("refused") or {}).items()]
    for part, own in facts.record["counts"].items():
        if own.get("refused"):
            after.append(
                f"Left out of {part.replace('_', ' ')}: {len(own['refused'])}; {'; '.join(own['refused'][:3])}."
            )
    return Section(
        anchor="data",
        title="The data",
        text=[f"{data.get('source')} (format {data.get('format')}), {data.get('records'):,} records, split by prompt: "
              "no prompt is in two parts."],
        tables=[Table(caption="What each part holds", heads=["Part", *heads.values()], rows=rows)],
        after=after or ["Nothing was refused."],
    )  # fmt: skip
