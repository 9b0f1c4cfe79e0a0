"""Published runs: the JSON files below ``results/``, one a run, from which every table of the docs is made."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preflab.atomic_files import json_text, read_json
from preflab.errors import RunError
from preflab.maths.statistics import Estimate
from preflab.runner.sources import Claim, Source, select_claims, source_of_recipe, sources

FORMAT = 1
LARGEST = 40_000
"""Bytes of a file."""
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class PublishedVerdict:
    """What a run says of one claim."""

    id: str | None
    """Of a claim of ``sources.yaml``; None where no source makes it."""
    of: str
    """Which checkpoint or method of the run it is about; empty where there is one."""
    stage: str
    claim: str
    """In the recipe's words."""
    outcome: str
    value: float
    low: float | None
    """None: unbounded."""
    high: float | None
    threshold: float
    unit: str
    n: int
    clusters: int | None
    """Independent groups among the n, where they are fewer."""
    seeds: int
    """Training runs that differ in their seed alone."""

    @property
    def estimate(self) -> Estimate:
        """The number with its interval."""
        ends = {"low": self.low, "high": self.high}
        return Estimate.from_json({"value": self.value, "n": self.n, "clusters": self.clusters, **ends})


@dataclass(frozen=True, kw_only=True)
class PublishedRun:
    """One file; what the tables read of it."""

    recipe: str
    run: str
    json: Mapping[str, Any]
    """The whole file."""
    verdicts: Sequence[PublishedVerdict]

    @property
    def settings(self) -> Mapping[str, Any]:
        """By dotted name."""
        settings: Mapping[str, Any] = self.json["settings"]
        return settings

    @property
    def results(self) -> Mapping[str, Any]:
        """What was kept of the result of each stage."""
        results: Mapping[str, Any] = self.json["results"]
        return results

    def verdict(self, claim_id: str, of: str = "") -> PublishedVerdict | None:
        """What it says of a claim, if it does."""
        return next((v for v in self.verdicts if v.id == claim_id and v.of == of), None)


@dataclass(frozen=True, kw_only=True)
class ClaimRow:
    """A claim beside what one run says of it."""

    source: Source
    claim: str
    recipe: str | None
    run: str | None
    verdict: PublishedVerdict | None
    """None: no run."""

    def to_json(self) -> dict[str, Any]:
        """As ``preflab claims --json`` prints it."""
        v = self.verdict
        return {
            "source": self.source.key,
            "recipe": self.recipe,
            "claim": self.claim,
            "verdict": "not run" if v is None else v.outcome,
            "estimate": None if v is None else v.value,
            "low": None if v is None else v.low,
            "high": None if v is None else v.high,
            "n": None if v is None else v.n,
            "seeds": None if v is None else v.seeds,
            "run": self.run,
        }


def results_folder(folder: str | None) -> Path:
    """Where published runs lie: as given, else ``results`` here, else that of the source tree."""
    if folder is not None:
        return Path(folder).expanduser()
    return Path("results") if Path("results").is_dir() else ROOT / "results"


def published_runs(folder: Path) -> list[PublishedRun]:
    """Every published run below a folder, by recipe and name.

    Raises:
        RunError: a file is damaged, or no published run.
    """
    return [read_published(path) for path in sorted(folder.glob("*/*.json"))]


def read_published(path: Path) -> PublishedRun:
    """One published run.

    Raises:
        RunError: the file is damaged, or no published run.
    """
    fields = read_json(path)
    if fields.get("format") != FORMAT:
        raise RunError(f"{path}: expected a run that 'preflab publish' wrote (format {FORMAT})")
    try:
        verdicts = tuple(PublishedVerdict(**verdict) for verdict in fields["verdicts"])
        return PublishedRun(recipe=fields["recipe"], run=fields["run"], json=fields, verdicts=verdicts)
    except (KeyError, TypeError) as error:
        raise RunError(f"{path}: no published run ({error})") from error


def claim_rows(runs: Sequence[PublishedRun], name: str | None = None) -> list[ClaimRow]:
    """Every claim of a source, of a recipe or of all, beside every run that says something of it.

    Raises:
        ConfigError: there is no such source.
    """
    rows: list[ClaimRow] = []
    for source, claim in select_claims(name):
        rows_of_claim = _rows_of_claim(source, claim, runs)
        rows += rows_of_claim or [
            ClaimRow(source=source, claim=claim.claim, recipe=claim.recipe or None, run=None, verdict=None)
        ]
    order = {source.key: position for position, source in enumerate(sources())}
    recipes = {row.recipe for row in rows}
    extra = [row for row in _rows_without_a_claim(runs) if row.recipe in recipes]
    return sorted(rows + extra, key=lambda row: order[row.source.key])


def _rows_of_claim(source: Source, claim: Claim, runs: Sequence[PublishedRun]) -> list[ClaimRow]:
    return [
        ClaimRow(
            source=source,
            claim=f"{claim.claim} ({verdict.of})" if verdict.of else claim.claim,
            recipe=run.recipe,
            run=run.run,
            verdict=verdict,
        )
        for run in runs
        if run.recipe == claim.recipe
        for verdict in run.verdicts
        if verdict.id == claim.id
    ]


def _rows_without_a_claim(runs: Sequence[PublishedRun]) -> list[ClaimRow]:
    """Verdicts that no claim of the registry stands for, under the source of their recipe."""
    return [
        ClaimRow(source=source, claim=verdict.claim, recipe=run.recipe, run=run.run, verdict=verdict)
        for run in runs
        if (source := source_of_recipe(run.recipe)) is not None
        for verdict in run.verdicts
        if verdict.id is None
    ]


def dump_lines(fields: Mapping[str, Any]) -> bytes:
    """JSON in deterministic bytes, a line for each entry of the outer two levels, so that changes can be read."""
    lines = []
    for key, value in fields.items():
        head = json.dumps(key)
        if isinstance(value, Mapping) and value:
            inner = ",\n".join(f"  {json.dumps(k)}: {_compact(v)}" for k, v in value.items())
            lines.append(f" {head}: {{\n{inner}\n }}")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            inner = ",\n".join(f"  {_compact(item)}" for item in value)
            lines.append(f" {head}: [\n{inner}\n ]")
        else:
            lines.append(f" {head}: {_compact(value)}")
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _compact(value: Any) -> str:
    return json_text(value, ensure_ascii=False, separators=(", ", ": "))
