"""Two runs of ``evaluate`` side by side: differences item by item, a page, plain values."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from preflab.atomic_files import read_json
from preflab.conversion import to_json
from preflab.errors import DataError, RunError
from preflab.evals.core.paired_difference import PairedComparison, compare_items
from preflab.evals.core.runner import read_items
from preflab.evals.suites import SUITES
from preflab.maths.statistics import Estimate
from preflab.recipes.evaluate.stages import ITEMS
from preflab.reporting.format import difference, in_unit, number
from preflab.reporting.html import render_page
from preflab.reporting.plots import Frame, dot_plot
from preflab.reporting.report import Figure, Table
from preflab.runner.launch import find_run

MOST_CHANGED = 20


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What two runs say on the suites that both have."""

    a: str
    b: str
    suites: Mapping[str, PairedComparison]
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Suites that could not be compared, and why."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        suites = {
            name: {
                **{key: getattr(own, key) for key in ("common", "only_a", "only_b")},
                "differences": [{**vars(d), "outcome": d.outcome} for d in own.differences],
                "changed": list(own.changed),
            }
            for name, own in self.suites.items()
        }
        found: dict[str, Any] = to_json({"a": self.a, "b": self.b, "suites": suites, "left_out": dict(self.left_out)})
        return found

    def remarks(self) -> list[str]:
        """What does not stand in the table."""
        told = []
        for name, own in self.suites.items():
            if own.only_a or own.only_b:
                told.append(f"{name}: {own.only_a} items scored in {self.a} alone, {own.only_b} in {self.b} alone")
        return told + [f"{name}: not compared: {why}" for name, why in self.left_out.items()]


def compare_runs(a: str, b: str, *, runs: str, suites: Sequence[str] | None = None) -> Comparison:
    """Compare the suites that both runs have, asked the same way.

    Args:
        a, b    a run of ``evaluate``, its folder, or the name of the model it measured.
        suites  only these, as ``suite`` or ``suite.way``.

    Raises:
        RunError: one of the two is no such run, or they have nothing in common.
    """
    folders = [_evaluation(name, runs) for name in (a, b)]
    files = [{path.stem: path for path in sorted((folder / ITEMS).glob("*.jsonl"))} for folder in folders]
    names = [name for name in files[0] if name in files[1]]
    if suites:
        names = [name for name in names if name in suites or name.split(".")[0] in suites]
    if not names:
        have = " and ".join(
            f"{folder.name} has {', '.join(own) or 'none'}" for folder, own in zip(folders, files, strict=True)
        )
        raise RunError(f"no suite asked the same way in both: {have}")
    found, left_out = dict[str, PairedComparison](), dict[str, str]()
    for name in names:
        suite = SUITES.get(name.split(".")[0])
        if suite is None:
            left_out[name] = "this preflab has no such suite"
            continue
        digests = [_asked(folder, name) for folder in folders]
        if digests[0] != digests[1]:
            left_out[name] = "the two were asked on different data"
            continue
        try:
            found[name] = compare_items(suite.measures, *(list(read_items(own[name])) for own in files))
        except DataError as error:
            left_out[name] = str(error)
    return Comparison(a=folders[0].resolve().name, b=folders[1].resolve().name, suites=found, left_out=left_out)


def _evaluation(name: str, runs: str) -> Path:
    """The folder of an evaluation by its own name or that of the model it measured."""
    tried = []
    for candidate in (name, f"evaluate-{Path(name).name.lower()}"):
        try:
            folder = find_run(candidate, runs)
        except RunError as error:
            tried.append(error)
            continue
        if (folder / ITEMS).is_dir():
            return folder
    if tried and len(tried) == 2:
        raise tried[0]
    raise RunError(f"{name} has not been measured; 'preflab eval {name}' does it")


def _asked(folder: Path, name: str) -> Any:
    """The digest of the data that a suite was asked on."""
    path = folder / "results" / f"{name}.json"
    return read_json(path).get("asked", {}).get("data") if path.exists() else None


def write_comparison(found: Comparison, runs: str, page: str | None) -> Path:
    """Write the page of a comparison; by default beside the runs."""
    name = re.sub(r"[^\w.-]+", "-", f"compare-{found.a}-{found.b}")
    path = Path(runs).expanduser() / f"{name}.html" if page is None else Path(page).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    tables, figures = [], []
    for suite, own in found.suites.items():
        rows = [
            [d.name, in_unit(d.a, d.unit), in_unit(d.b, d.unit), difference(d.gap, d.unit), d.outcome]
            for d in own.differences
        ]
        heads = ["Measure", found.a, found.b, "Difference [95 % interval]", f"{found.b} is"]
        tables.append(Table(caption=f"{suite}: {number(own.common)} items", heads=heads, rows=rows))
    for unit, title in (("share", "Differences of shares"), ("score", "Differences of scores")):
        dots: list[tuple[str, Sequence[Estimate | None]]] = [
            (f"{suite}: {d.name}", [d.gap])
            for suite, own in found.suites.items()
            for d in own.differences[:2]
            if d.unit == unit and d.gap is not None
        ]
        frame = Frame(
            name=f"gap-{unit}", title=title, x_label=f"{found.b} minus {found.a}"[:60], x_percent=unit == "share",
            vlines=((0.0, "no difference"),), width=6.2,
        )  # fmt: skip
        svg = dot_plot(dots, ["difference"], frame) if dots else ""
        how = "Bars are 95 % intervals of the paired difference; one that does not touch 0 is a difference."
        figures += [Figure(svg=svg, title=title, caption=how)] if svg else []
    changed = {suite: _changed(own.changed) for suite, own in found.suites.items() if own.changed}
    return render_page(
        path, Path(__file__).with_name("compare.html.j2"), found=found, tables=tables, figures=figures, changed=changed,
        remarks=found.remarks(),
    )  # fmt: skip


def _changed(names: Sequence[str]) -> dict[str, Any]:
    """Items that went from wrong to right and back: how many, and the first of each."""
    gained, lost = ([name[1:] for name in names if name[0] == sign] for sign in "+-")
    return {"gained": gained[:MOST_CHANGED], "lost": lost[:MOST_CHANGED], "n_gained": len(gained), "n_lost": len(lost)}
