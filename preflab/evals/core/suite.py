"""A suite: where its items come from, how each is asked, what is measured. One small file a suite, in ``suites/``."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from preflab.conversion import did_you_mean
from preflab.errors import ConfigError
from preflab.evals.core.data_source import DataSource
from preflab.maths.columns import bootstrap_columns
from preflab.maths.statistics import Estimate
from preflab.rollouts.requests.types import Outcome, Plan, ResponderRole

Columns: TypeAlias = Mapping[str, np.ndarray]
"""Outcomes column by column, one entry an item; nan (numbers) or "" (words) where an outcome lacks the name."""
Statistic: TypeAlias = Callable[[Columns], float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One question of a suite."""

    id: str
    """Unique in the suite, and the same in every run: two runs are compared item by item."""
    group: str
    """What items share that makes them alike (template, prompt, passage); intervals resample whole groups."""
    data: Any
    """What the plan needs: a small frozen dataclass of the suite."""
    block: str = ""
    """Items of a group that belong side by side (the variants of one text): a sample takes a block whole. "" where the
    whole group does."""


@dataclass(frozen=True, kw_only=True)
class Items:
    """What was read for a suite, from where, and what was left out and why."""

    items: Sequence[Item]
    digest: str
    sources: Sequence[str]
    refused: Mapping[str, int] = field(default_factory=dict)
    first_refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One number of a suite: a statistic of all its outcomes, with an interval from resampled groups."""

    name: str
    of: str | Statistic
    """A column whose mean it is, or a function of the columns. A function may return nan: undefined."""
    unit: Literal["share", "score", "nats", "words", "points", "correlation"] = "share"
    better: Literal["higher", "lower", "zero", ""] = "higher"
    """Which way is better; "" where neither is."""
    where: Callable[[Columns], np.ndarray] | None = None
    """Mask [item] of the items that count; all by default."""
    how: str = ""
    """How to read it, in a sentence for a report."""
    by: tuple[str, ...] = ()
    """Columns by whose values it is broken down."""
    reads: tuple[str, ...] = ()
    """Columns that the function looks at, so that resampling need not carry the others; all by default."""
    interval: Callable[[Columns, Sequence[Hashable], int], Estimate | None] | None = None
    """Makes the estimate from the columns and groups of the items that count, and a seed: for a number whose
    uncertainty is not in the sample of items alone. Its value is that of ``of``."""

    def given(self, columns: Columns) -> bool:
        """Whether these outcomes have the columns that it reads: not every way of asking gives all."""
        return columns.keys() >= set((self.of,) if isinstance(self.of, str) else self.reads)

    def value(self, columns: Columns) -> float:
        """The number itself; nan where it is undefined."""
        mask = self.mask(columns)
        return self.statistic({name: own[mask] for name, own in columns.items()})

    def read(self, columns: Columns) -> Columns:
        """The columns that the statistic looks at."""
        reads = (self.of,) if isinstance(self.of, str) else self.reads or tuple(columns)
        return {name: columns[name] for name in reads if name in columns}

    def estimate(self, columns: Columns, groups: Sequence[Hashable], *, seed: int = 0) -> Estimate | None:
        """The number with its interval; None where it is undefined."""
        if self.interval is not None:
            mask = self.mask(columns)
            kept = [group for group, counts in zip(groups, mask, strict=True) if counts]
            return self.interval({name: own[mask] for name, own in columns.items()}, kept, seed) if kept else None
        share = self.unit == "share"
        return bootstrap_columns(
            self.statistic, self.read(columns), groups, seed=seed, mask=self.mask(columns), share=share
        )

    def mask(self, columns: Columns) -> np.ndarray:
        """Which items count [item]."""
        n = len(next(iter(columns.values()), ()))
        kept = np.ones(n, dtype=bool) if self.where is None else np.asarray(self.where(columns), dtype=bool)
        if isinstance(self.of, str) and self.of in columns:
            kept = kept & ~np.isnan(columns[self.of].astype(np.float64))
        return kept

    def statistic(self, kept: Columns) -> float:
        """Of the items that count alone; nan without any."""
        if not len(next(iter(kept.values()), ())):
            return float("nan")
        return float(np.mean(kept[self.of])) if isinstance(self.of, str) else float(self.of(kept))


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to ask a suite's items."""

    name: str
    summary: str
    plan: Callable[[Item], Plan]
    asks: frozenset[ResponderRole] = frozenset({"policy"})
    """Whose answers it needs."""
    logprobs: bool = False
    """Whether it needs log-probabilities of given words, which a chat server does not give."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A set of questions and what their answers measure."""

    name: str
    title: str
    summary: str
    """What it tells, in one sentence."""
    source: str
    """Paper and data set, with the licence of the data."""
    load: Callable[[DataSource], Items]
    ways: Sequence[Variant]
    """The first is the default."""
    measures: Sequence[Measure]
    """The first is the one that tables show."""
    files: Sequence[str] = ()
    """Names of its files, as the shelf looks for them; for lists and error messages."""
    warning: str = ""
    """What a reader of its items should know beforehand."""
    tax: bool = False
    """Whether it measures a capability that alignment may cost (Bai et al. 2022, sec. 4.6)."""

    def way(self, name: str | None) -> Variant:
        """The way of that name; the default one without a name.

        Raises:
            ConfigError: there is none.
        """
        known = {way.name: way for way in self.ways}
        if name is None:
            return self.ways[0]
        if name not in known:
            near = did_you_mean(name, list(known)) or f"; known are {', '.join(known)}"
            raise ConfigError(f"suite {self.name} cannot be asked {name!r}{near}")
        return known[name]


def columns_of(outcomes: Sequence[Outcome]) -> dict[str, np.ndarray]:
    """Outcomes as columns; lists and mappings in them are left out."""
    names = dict.fromkeys(
        name for own in outcomes for name, v in own.items() if isinstance(v, bool | int | float | str)
    )
    found = {}
    for name in names:
        values = [own.get(name) for own in outcomes]
        if any(isinstance(v, str) for v in values):
            found[name] = np.array([v if isinstance(v, str) else "" for v in values])
        else:
            found[name] = np.array([np.nan if v is None else float(v) for v in values], dtype=np.float64)
    return found
