"""A suite: where its items come from, how each is asked, what is measured. One small file a suite, in ``suites/``.

An item's plan is a generator. It yields the requests of one round, is sent their responses, and returns the item's
`Outcome`. A chain of thought is two rounds; a judge asked in both orders is one round of two requests:

    def plan(item):
        (generation,) = yield [Generate(prompt=item.prompt)]
        first, second = yield [OptionLogprobs(...), OptionLogprobs(...)]
        return {"correct": ...}

A request that fails raises `UnreadableResponse` inside the plan; a plan raises it itself where a response cannot be
read. Such an item is counted and shown, and is neither right nor wrong nor a tie.
"""

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from preflab.conversion import did_you_mean
from preflab.errors import ConfigError, ContractError
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.items import Item, Items
from preflab.maths.bootstrap import bootstrap_columns
from preflab.maths.statistics import Estimate
from preflab.rollouts.requests.types import Request, ResponderRole

Outcome: TypeAlias = Mapping[str, Any]
"""What came of an item: numbers, words and short lists by name; one column each for the measures."""
Plan: TypeAlias = Generator[Sequence[Request], Sequence[Any], Outcome]
"""How one item is asked; see the top of this file."""
POLICY_AND_JUDGE: frozenset[ResponderRole] = frozenset({"policy", "judge"})
"""Roles of a variant in which a judge reads the policy's replies."""
Columns: TypeAlias = Mapping[str, np.ndarray]
"""Outcomes column by column, one entry an item; nan (numbers) or "" (words) where an outcome lacks the name."""
Statistic: TypeAlias = Callable[[Columns], float]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One number of a suite: a statistic of all its outcomes, with an interval from resampled groups."""

    name: str
    statistic: str | Statistic
    """A column whose mean it is, or a function of the columns. A function may return nan: undefined."""
    unit: Literal["share", "score", "nats", "words", "points", "correlation"] = "share"
    better: Literal["higher", "lower", "zero", ""] = "higher"
    """Which direction is better; "" where neither is."""
    mask: Callable[[Columns], np.ndarray] | None = None
    """Mask [item] of the items that count; all by default."""
    description: str = ""
    """How to read it, in a sentence for a report."""
    by: tuple[str, ...] = ()
    """Columns by whose values it is broken down."""
    reads: tuple[str, ...] = ()
    """Columns that the function looks at, so that resampling need not carry the others; all by default."""
    interval: Callable[[Columns, Sequence[Hashable], int], Estimate | None] | None = None
    """Makes the estimate from the columns and groups of the items that count, and a seed: for a number whose
    uncertainty is not in the sample of items alone. Its value is that of ``statistic``."""

    def has_columns(self, columns: Columns) -> bool:
        """Whether these outcomes have the columns that it reads: not every variant gives all."""
        return columns.keys() >= set((self.statistic,) if isinstance(self.statistic, str) else self.reads)

    def value(self, columns: Columns) -> float:
        """The number itself; nan where it is undefined."""
        mask = self.item_mask(columns)
        return self.compute({name: values[mask] for name, values in columns.items()})

    def select_columns(self, columns: Columns) -> Columns:
        """The columns that the statistic looks at."""
        reads = (self.statistic,) if isinstance(self.statistic, str) else self.reads or tuple(columns)
        return {name: columns[name] for name in reads if name in columns}

    def estimate(self, columns: Columns, groups: Sequence[Hashable], *, seed: int = 0) -> Estimate | None:
        """The number with its interval; None where it is undefined."""
        if self.interval is not None:
            mask = self.item_mask(columns)
            counted_groups = [group for group, counts in zip(groups, mask, strict=True) if counts]
            return (
                self.interval({name: values[mask] for name, values in columns.items()}, counted_groups, seed)
                if counted_groups
                else None
            )
        share = self.unit == "share"
        return bootstrap_columns(
            self.compute, self.select_columns(columns), groups, seed=seed, mask=self.item_mask(columns), share=share
        )

    def item_mask(self, columns: Columns) -> np.ndarray:
        """Which items count [item].

        Raises:
            ContractError: the mask has another shape.
        """
        n = len(next(iter(columns.values()), ()))
        counted = np.ones(n, dtype=bool) if self.mask is None else np.asarray(self.mask(columns), dtype=bool)
        if counted.shape != (n,):
            raise ContractError(f"measure {self.name!r}: expected a mask of shape [{n}], found {list(counted.shape)}")
        if isinstance(self.statistic, str) and self.statistic in columns:
            counted = counted & ~np.isnan(columns[self.statistic].astype(np.float64))
        return counted

    def compute(self, counted: Columns) -> float:
        """The statistic of items that all count; nan without any.

        Raises:
            ContractError: it is not one number.
        """
        if not len(next(iter(counted.values()), ())):
            return float("nan")
        if isinstance(self.statistic, str):
            return float(np.mean(counted[self.statistic]))
        value = self.statistic(counted)
        if not isinstance(value, int | float | np.number | np.ndarray) or np.size(value) != 1:
            kind = f"{type(value).__name__} of shape {list(np.shape(value))}"
            raise ContractError(f"measure {self.name!r}: expected one number (nan: undefined), found {kind}")
        return float(np.asarray(value).reshape(()))


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One prompt format of a suite: how its items are asked and its responses read."""

    name: str
    summary: str
    plan: Callable[[Item], Plan]
    roles: frozenset[ResponderRole] = frozenset({"policy"})
    """Whose responses it needs."""
    logprobs: bool = False
    """Whether it needs log-probabilities of given words, which a chat server does not give."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A set of items and what the responses to them measure."""

    name: str
    title: str
    summary: str
    """What it tells, in one sentence."""
    source: str
    """Paper and data set, with the licence of the data."""
    load: Callable[[DataSource], Items]
    variants: Sequence[Variant]
    """The first is the default."""
    measures: Sequence[Measure]
    """The first is the one that tables show."""
    files: Sequence[str] = ()
    """Names of its files, as its data source looks for them; for lists and error messages."""
    splits: Sequence[str] = ()
    """Splits of its data that can be read; the first is the default. Empty where there is one alone."""
    warning: str = ""
    """What a reader of its items should know beforehand."""
    tax: bool = False
    """Whether it measures a capability that alignment may cost (Bai et al. 2022, sec. 4.6)."""

    def variant(self, name: str | None) -> Variant:
        """The variant of that name; the default one without a name.

        Raises:
            ConfigError: there is none.
        """
        by_name = {variant.name: variant for variant in self.variants}
        if name is None:
            return self.variants[0]
        if name not in by_name:
            near = did_you_mean(name, list(by_name)) or f"; known are {', '.join(by_name)}"
            raise ConfigError(f"suite {self.name} has no variant {name!r}{near}")
        return by_name[name]


def columns_of(outcomes: Sequence[Outcome]) -> dict[str, np.ndarray]:
    """Outcomes as columns; lists and mappings in them are left out."""
    names = dict.fromkeys(
        name for outcome in outcomes for name, v in outcome.items() if isinstance(v, bool | int | float | str)
    )
    columns = {}
    for name in names:
        values = [outcome.get(name) for outcome in outcomes]
        if any(isinstance(v, str) for v in values):
            columns[name] = np.array([v if isinstance(v, str) else "" for v in values])
        else:
            columns[name] = np.array([np.nan if v is None else float(v) for v in values], dtype=np.float64)
    return columns


def checked_outcome(outcome: object, item: str) -> Outcome:
    """What a plan returned, with numbers of numpy and torch as plain ones: what is none would be left out of columns.

    Args:
        item  id, for the message.

    Raises:
        ContractError: it is no mapping from names, or a value is neither number, text, None, list nor mapping.
    """
    if not isinstance(outcome, Mapping) or not all(isinstance(name, str) for name in outcome):
        raise ContractError(f"the plan of item {item!r}: expected a mapping from names, found {type(outcome).__name__}")
    plain = {name: _plain_number(value) for name, value in outcome.items()}
    for name, value in plain.items():
        if not isinstance(value, bool | int | float | str | list | tuple | Mapping | None):
            raise ContractError(
                f"the plan of item {item!r}: expected {name!r} to be a number, a text, a list or a mapping, found "
                f"{type(value).__name__} of shape {list(np.shape(value))}"
            )
    return plain


def _plain_number(value: Any) -> Any:
    """A number of one entry, of numpy or torch, as Python's; anything else as it is."""
    if isinstance(value, np.generic) or (hasattr(value, "item") and np.shape(value) == ()):
        return value.item()
    return value
