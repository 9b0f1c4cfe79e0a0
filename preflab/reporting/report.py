"""A plain ``report.html`` for any recipe: verdicts, then text, plots, tables and replies, cost, how to repeat it.

A recipe names its stages and gives the sections. Everything is made from the files of the run folder, so an interrupted
run has a report too. Text is escaped; only the plots, which `preflab.reporting.plots` made, are put in as markup.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from preflab.errors import RunError
from preflab.reporting.html import Json, repeat_command, truncate, write_page
from preflab.reporting.judge_text import judge_text
from preflab.reporting.run_files import metrics_by_stage, read_results, read_run
from preflab.reporting.template_text import template_text
from preflab.run import flatten_settings, read_result, typed_result

T = TypeVar("T")
LONGEST_TEXT = 2_000
"""Characters of a prompt or a reply."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A plot and how to read it."""

    svg: str
    """From `preflab.reporting.plots`: it goes into the page as it is. An empty one is left out."""
    title: str
    caption: str
    """How to read it."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells are text; the first of each row is its heading."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture or an animation within the page."""

    src: str
    """``data:image/...``: the page loads nothing."""
    caption: str
    """What it shows."""


def picture(path: Path, caption: str) -> list[Picture]:
    """A GIF of the run folder, put into the page; none where it is not there."""
    if not path.is_file():
        return []
    return [Picture(src=f"data:image/gif;base64,{b64encode(path.read_bytes()).decode()}", caption=caption)]


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
    unfolded_examples: int = 6
    """Examples that are shown at once; the others are folded away."""
    after: Sequence[str] = ()
    """Paragraphs below the tables and examples."""
    links: Sequence[tuple[str, str]] = ()
    """Text and target of each link to a file of the run folder."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """The parts of a report that are a recipe's own."""

    title: str
    summary: Sequence[str] = ()
    """Paragraphs at the top."""
    warnings: Sequence[tuple[str, str]] = ()
    """Kind and text of each, in boxes below the summary."""
    sections: Sequence[Section] = ()
    claims: bool = True
    """Whether there is a table of verdicts."""
    intervals: str = "Intervals resample whole prompts; they do not cover the luck of one training run with one seed."
    """What the intervals of the verdicts cover, below their table."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the files of a run folder say; estimates as `Estimate`."""

    folder: Path
    recipe: str
    config: Json
    record: Json
    results: Json
    metrics: dict[str, list[Json]] = field(default_factory=dict)

    @property
    def model_name(self) -> str | None:
        """Of the model that was loaded; None before it was."""
        name: str | None = self.record["model"].get("name")
        return name

    def settings(self, kind: type[T]) -> T:
        """The settings as the recipe's dataclass.

        Raises:
            RunError: they were written by another version of preflab.
        """
        return typed_result(self.folder / "config.json", self.config, kind)

    def result(self, stage: str, kind: type[T]) -> T | None:
        """The result of a stage as its dataclass; None if it has not finished.

        Raises:
            RunError: it was written by another version of preflab.
        """
        return read_result(self.folder, stage, kind)

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
    facts: Facts, stages: Mapping[str, str], report: Report, scales: Mapping[str, Callable[[], Any]]
) -> Path:
    """Write ``report.html``.

    Args:
        facts   of the run.
        stages  of a finished run, in order: name -> label.
        report  what the recipe adds.
        scales  of the recipe: name -> function that makes its settings.
    """
    record, name = facts.record, facts.folder.resolve().name
    machine_facts = {
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
        title=report.title,
        summary=report.summary,
        warnings=report.warnings,
        sections=report.sections,
        claims=report.claims,
        intervals=report.intervals,
        facts=[(label, value) for label, value in machine_facts.items() if value is not None],
        command=repeat_command(f"preflab run {facts.recipe}", scales, {"name": name, **vars(facts)}),
        settings=flatten_settings(facts.config),
    )


def _status(facts: Facts, stages: Mapping[str, str]) -> str:
    """How far the run got."""
    missing = [label for stage, label in stages.items() if stage not in facts.results]
    if not missing:
        return "The run is complete."
    return (
        f"The run is not finished: {', '.join(missing)} is still to come. Start the same command again and it "
        "continues; this page then says more."
    )


def example(
    number: int,
    prompt: Sequence[Mapping[str, str]],
    replies: Mapping[str, str],
    policy_names: Mapping[str, str],
    *,
    category: str = "",
    scores: Mapping[str, float] | None = None,
) -> Json:
    """A prompt and replies side by side, as the template shows them.

    Args:
        prompt        turns with ``role`` and ``content``.
        replies       policy -> its reply.
        policy_names  policy -> its name on the page.
        scores        policy -> score of its reply, nats; a policy without one has no score on the page.
    """
    turns = [turn["content"] if len(prompt) == 1 else f"{turn['role']}: {turn['content']}" for turn in prompt]
    return {
        "number": number,
        "category": category,
        "prompt": truncate("\n\n".join(turns), LONGEST_TEXT),
        "replies": [(policy_names[policy], truncate(text, LONGEST_TEXT)) for policy, text in replies.items()],
        "scores": {policy_names[policy]: (scores or {}).get(policy) for policy in replies},
    }


def data_section(facts: Facts, columns: Mapping[str, Mapping[str, int]] | None) -> Section:
    """What was trained and measured on.

    Args:
        columns  heading -> part -> count; None where the data have not been read yet.

    Raises:
        RunError: the data have been read, and the record does not say how many records there were.
    """
    data = facts.record["data"]
    if not columns:
        return Section(anchor="data", title="The data", text=["The data have not been read yet."])
    if not isinstance(data.get("records"), int):
        raise RunError(
            f"{facts.folder / 'record.json'}: data.records must be how many records were read, found "
            f"{data.get('records')!r}; the run is damaged or of another version of preflab"
        )
    parts = next(iter(columns.values()))
    rows = [[part.replace("_", " "), *(f"{counts[part]:,}" for counts in columns.values())] for part in parts]
    after = [f"Left out when reading: {n:,} x {reason}." for reason, n in (data.get("refused") or {}).items()]
    if unused := data.get("columns_not_used"):
        after.append(f"Columns not used: {', '.join(unused)}.")
    for part, part_counts in facts.record["counts"].items():
        if refused := part_counts.get("refused"):
            after.append(f"Left out of {part.replace('_', ' ')}: {len(refused)}; {'; '.join(refused[:3])}.")
    return Section(
        anchor="data",
        title="The data",
        text=[f"{data.get('source')} (format {data.get('format')}), {data['records']:,} records, split by prompt: "
              "no prompt is in two parts."],
        tables=[Table(caption="What each part holds", heads=["Part", *columns], rows=rows)],
        after=[
            *judge_text(facts.record.get("judge")),
            *(after or ["Nothing was refused."]),
            *template_text(facts.record.get("model", {})),
        ],
    )  # fmt: skip
