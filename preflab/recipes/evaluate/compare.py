"""Two runs of ``evaluate`` side by side: differences item by item, a page, plain values."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from preflab.conversion import to_json
from preflab.errors import DataError, RunError
from preflab.evals.core.paired_difference import PairedComparison, compare_items
from preflab.evals.core.runner import read_items
from preflab.evals.suites import SUITES
from preflab.maths.statistics import Estimate
from preflab.recipes.evaluate.results import ITEMS, SuiteResult
from preflab.reporting.format import difference, in_unit, number
from preflab.reporting.html import render_page
from preflab.reporting.plots import Frame, dot_plot
from preflab.reporting.report import Figure, Table
from preflab.run import read_result
from preflab.runner.launch import find_run

MAX_CHANGED = 20
"""Items on the page that went from wrong to right, and as many that went back."""
PLOTTED_MEASURES = 2
"""Of each suite."""


@dataclass(frozen=True, kw_only=True)
class RunComparison:
    """Differences of two runs on the suites that both have."""

    a: str
    b: str
    """Names of the runs; differences are b minus a."""
    suites: Mapping[str, PairedComparison]
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Suites that could not be compared, and why."""

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        suites = {
            name: {
                "common": paired.common,
                "only_a": paired.only_a,
                "only_b": paired.only_b,
                "differences": [{**vars(d), "outcome": d.outcome} for d in paired.differences],
                "changed": list(paired.changed),
            }
            for name, paired in self.suites.items()
        }
        return dict(to_json({"a": self.a, "b": self.b, "suites": suites, "left_out": dict(self.left_out)}))

    def remarks(self) -> list[str]:
        """What is not in the table."""
        remarks = [
            f"{name}: {paired.only_a} items scored in {self.a} alone, {paired.only_b} in {self.b} alone"
            for name, paired in self.suites.items()
            if paired.only_a or paired.only_b
        ]
        return remarks + [f"{name}: not compared: {reason}" for name, reason in self.left_out.items()]


def compare_runs(a: str, b: str, *, runs: str, suites: Sequence[str] | None = None) -> RunComparison:
    """Compare the suites that both runs have in the same variant.

    Args:
        a, b    a run of ``evaluate``, its folder, or the name of the model it measured.
        runs    the folder in which named runs lie.
        suites  only these, as ``suite`` or ``suite.variant``.

    Raises:
        RunError: one of the two is no such run, or they have nothing in common.
    """
    folders = [_evaluation_folder(name, runs) for name in (a, b)]
    files = [{path.stem: path for path in sorted((folder / ITEMS).glob("*.jsonl"))} for folder in folders]
    names = [name for name in files[0] if name in files[1]]
    if suites:
        names = [name for name in names if name in suites or name.split(".")[0] in suites]
    if not names:
        have = " and ".join(
            f"{folder.name} has {', '.join(stages) or 'none'}" for folder, stages in zip(folders, files, strict=True)
        )
        raise RunError(f"no suite asked the same way in both: {have}")
    compared, left_out = dict[str, PairedComparison](), dict[str, str]()
    for name in names:
        suite = SUITES.get(name.split(".")[0])
        if suite is None:
            left_out[name] = "this preflab has no such suite"
        elif _data_digest(folders[0], name) != _data_digest(folders[1], name):
            left_out[name] = "the two were asked on different data"
        else:
            try:
                compared[name] = compare_items(suite.measures, *(list(read_items(paths[name])) for paths in files))
            except DataError as error:
                left_out[name] = str(error)
    run_a, run_b = (folder.resolve().name for folder in folders)
    return RunComparison(a=run_a, b=run_b, suites=compared, left_out=left_out)


def _evaluation_folder(name: str, runs: str) -> Path:
    """The folder of an evaluation by its own name or that of the model it measured."""
    errors = []
    for candidate in (name, f"evaluate-{Path(name).name.lower()}"):
        try:
            folder = find_run(candidate, runs)
        except RunError as error:
            errors.append(error)
            continue
        if (folder / ITEMS).is_dir():
            return folder
    if len(errors) == 2:
        raise errors[0]
    raise RunError(f"{name} has not been measured; 'preflab eval {name}' does it")


def _data_digest(folder: Path, name: str) -> str | None:
    """Digest of the data that a suite was asked on."""
    result = read_result(folder, name, SuiteResult)
    return None if result is None else result.inputs.data


def write_comparison(comparison: RunComparison, runs: str, page: str | None) -> Path:
    """Write the page of a comparison; by default beside the runs."""
    name = re.sub(r"[^\w.-]+", "-", f"compare-{comparison.a}-{comparison.b}")
    path = Path(runs).expanduser() / f"{name}.html" if page is None else Path(page).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    changed = {name: _changed_items(paired.changed) for name, paired in comparison.suites.items() if paired.changed}
    return render_page(
        path,
        Path(__file__).with_name("compare.html.j2"),
        comparison=comparison,
        tables=_tables(comparison),
        figures=_figures(comparison),
        changed=changed,
        remarks=comparison.remarks(),
    )


def _tables(comparison: RunComparison) -> list[Table]:
    """A table for each suite."""
    heads = ["Measure", comparison.a, comparison.b, "Difference [95 % interval]", f"{comparison.b} is"]
    tables = []
    for name, paired in comparison.suites.items():
        rows = [
            [d.name, in_unit(d.a, d.unit), in_unit(d.b, d.unit), difference(d.gap, d.unit), d.outcome]
            for d in paired.differences
        ]
        tables.append(Table(caption=f"{name}: {number(paired.common)} items", heads=heads, rows=rows))
    return tables


def _figures(comparison: RunComparison) -> list[Figure]:
    """A plot of shares and one of scores: the first measures of each suite."""
    caption = "Bars are 95 % intervals of the paired difference; one that does not touch 0 is a difference."
    figures = []
    for unit, title in (("share", "Differences of shares"), ("score", "Differences of scores")):
        rows: list[tuple[str, Sequence[Estimate | None]]] = [
            (f"{name}: {d.name}", [d.gap])
            for name, paired in comparison.suites.items()
            for d in paired.differences[:PLOTTED_MEASURES]
            if d.unit == unit and d.gap is not None
        ]
        frame = Frame(
            name=f"gap-{unit}",
            title=title,
            x_label=f"{comparison.b} minus {comparison.a}"[:60],
            x_percent=unit == "share",
            vlines=((0.0, "no difference"),),
            width=6.2,
        )
        if rows:
            figures.append(Figure(svg=dot_plot(rows, ["difference"], frame), title=title, caption=caption))
    return figures


@dataclass(frozen=True, kw_only=True)
class ChangedItems:
    """Items that are right in one of the two runs alone."""

    gained: Sequence[str]
    lost: Sequence[str]
    """Ids of the first ones."""
    n_gained: int
    n_lost: int


def _changed_items(signed_ids: Sequence[str]) -> ChangedItems:
    """From ids with ``+`` (right in b) or ``-`` (right in a) before them."""
    gained, lost = ([signed_id[1:] for signed_id in signed_ids if signed_id[0] == sign] for sign in "+-")
    return ChangedItems(gained=gained[:MAX_CHANGED], lost=lost[:MAX_CHANGED], n_gained=len(gained), n_lost=len(lost))
