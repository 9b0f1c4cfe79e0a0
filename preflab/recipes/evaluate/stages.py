"""The stages of ``evaluate``: one a suite and way, done anew where what it depends on has changed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preflab.errors import ConfigError, DataError
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.items import Items
from preflab.evals.core.runner import check_responders, run_items, select_items, summary, write_items
from preflab.evals.core.suite import Suite, Variant
from preflab.evals.suites import suites_named
from preflab.recipes.common.open_models import (
    PREFERENCE_MODEL,
    has_preference_model,
    is_address,
    open_policy,
    open_rater,
    run_named,
)
from preflab.rollouts.requests.responders import LocalPolicy, Responder
from preflab.rollouts.requests.response_cache import ResponseCache
from preflab.rollouts.requests.types import ResponderRole
from preflab.run import Run

if TYPE_CHECKING:
    from preflab.recipes.evaluate.config import Config

ITEMS = "items"
"""Folder of a run with a line for each item of each suite."""
ANSWERS = "answers"
"""Folder in which answers are kept: beside the runs for all of them, or in the run's own folder."""


def stage_name(suite: Suite, way: Variant) -> str:
    """What a suite's results are called."""
    return f"{suite.name}.{way.name}"


class Stages:
    """The suites of one run; models are loaded when they are first asked."""

    def __init__(self, config: "Config", run: Run) -> None:
        self.config, self.run = config, run
        self.wanted = suites_named(config.suites)
        self.shelf = replace(
            shelf_of(config.data), splits=splits_of(config.splits, [suite for suite, _ in self.wanted])
        )
        self.answers = ResponseCache((run.folder.parent if config.cache else run.folder) / ANSWERS)
        self._opened: dict[ResponderRole, Responder] = {}

    def all(self) -> None:
        """Every suite that was named. Of ``all``, those that lack data, a judge or a preference model are passed over.

        Raises:
            ConfigError, DataError: a suite named by itself lacks something.
        """
        skipped: dict[str, str] = {}
        for suite, way in self.wanted:
            try:
                self.measure(suite, way)
            except (ConfigError, DataError) as error:
                if "all" in self.config.suites:
                    skipped[stage_name(suite, way)] = str(error)
                elif isinstance(error, ConfigError):
                    raise ConfigError(f"suite {suite.name}: {error}") from error
                else:
                    raise
        self.run.record("counts", suites_passed_over=skipped)

    def measure(self, suite: Suite, way: Variant) -> dict[str, Any]:
        """Ask a suite and keep the result; what was asked before in the same way is read back.

        Raises:
            ConfigError: somebody who is to answer is missing.
            DataError: the data are missing or malformed.
        """
        name, items = stage_name(suite, way), suite.load(self.shelf)
        asked = {
            "data": items.digest,
            "limit": self.config.limit,
            "who": {whom: self._named(whom) for whom in sorted(way.roles)},
            "best_of": self.config.best_of,
        }
        if not self.run.is_done(name):
            check_responders(way, {whom: self.respondent(whom) for whom in sorted(way.roles)})
        elif self.run.result(name).get("asked") != asked:
            self.run.invalidate(name)
        return self.run.stage(name, lambda: self._measured(suite, way, items, asked))

    def _measured(self, suite: Suite, way: Variant, items: Items, asked: Mapping[str, Any]) -> dict[str, Any]:
        name, chosen = stage_name(suite, way), select_items(items.items, self.config.limit, self.run.seed)
        panel = {whom: self.respondent(whom) for whom in sorted(way.roles)}
        before, tokens = self.answers.hits, self._scored_tokens(panel)
        with self.run.progress(f"{suite.name} ({way.name})", len(chosen), "items") as advance:
            told = run_items(way, chosen, panel, seed=self.run.seed_of("draws"), cache=self.answers, advance=advance)
        write_items(self.run.folder / ITEMS / f"{name}.jsonl", told)
        return {
            **summary(suite, way, told, seed=self.run.seed_of("intervals")),
            "asked": dict(asked),
            "sources": list(items.sources),
            "available": len(items.items),
            "refused": dict(items.refused),
            "first_refused": dict(items.first_refused),
            "answers_found": self.answers.hits - before,
            "measured_tokens": self._scored_tokens(panel) - tokens,
        }

    def _scored_tokens(self, panel: Mapping[ResponderRole, Responder]) -> int:
        return sum(own.scored_tokens for own in panel.values() if isinstance(own, LocalPolicy))

    def respondent(self, whom: ResponderRole) -> Responder:
        """Who answers as the policy, the judge or the preference model; the judge may be the policy itself."""
        if whom not in self._opened:
            self._opened[whom] = self._open(whom)
            if whom == "policy":
                own = self._opened[whom]
                self.run.record("model", name=self.config.policy, digest=own.digest, answers=sorted(own.kinds))
        return self._opened[whom]

    def _open(self, whom: ResponderRole) -> Responder:
        c = self.config
        common = {"runs": c.runs, "device": c.device, "max_context_tokens": c.max_context_tokens}
        if whom == "pm":
            return open_rater(self._pm(), **common)  # type: ignore[arg-type]
        if whom == "judge":
            if c.judge is None:
                raise ConfigError("this suite's replies are judged by a model; --judge names it")
            return open_policy(c.judge, served_name=c.judge_served_name, precision=c.precision, **common)  # type: ignore[arg-type]
        pm = self._pm() if c.best_of > 1 else None
        return open_policy(
            c.policy,
            served_name=c.served_name,
            best_of=c.best_of,
            pm=pm,
            precision=c.precision,
            **common,  # type: ignore[arg-type]
        )

    def _pm(self) -> str:
        c = self.config
        found = c.pm or (c.policy if has_preference_model(c.policy, c.runs) else None)
        if found is None:
            raise ConfigError(f"this needs a preference model, and {c.policy} has none of its own; --pm names one")
        return found

    def _named(self, whom: ResponderRole) -> str:
        """Who it is, without loading anything; changes when the weights of a folder are written anew."""
        c = self.config
        name = {"policy": c.policy, "judge": c.judge or "", "pm": c.pm or c.policy}[whom]
        run = None if is_address(name) or not name else run_named(name, c.runs)
        folder = Path(name) if run is None else run / (PREFERENCE_MODEL if whom == "pm" else "policy")
        if not folder.is_dir():
            return name
        return f"{name} of {max(file.stat().st_mtime_ns for file in folder.iterdir())}"


def splits_of(splits: tuple[str, ...], suites: Sequence[Suite]) -> dict[str, str]:
    """Which split each suite reads, from ``suite=split``.

    Raises:
        ConfigError: a suite is not among these, or has no such split.
    """
    known = {suite.name: suite.splits for suite in suites if suite.splits}
    found: dict[str, str] = {}
    for assignment in splits:
        suite, _, split = assignment.partition("=")
        if split not in known.get(suite, ()):
            choices = [f"{name}={choice}" for name, names in known.items() for choice in names]
            expected = f"one of {', '.join(choices)}" if choices else "none, as no suite here has several"
            raise ConfigError(f"splits must be {expected}, got {assignment!r}")
        found[suite] = split
    return found


def shelf_of(data: tuple[str, ...]) -> DataSource:
    """Where data sets lie, from ``FOLDER`` and ``suite=path``.

    Raises:
        ConfigError: two folders, or a path that is not there.
    """
    folder, named = None, dict[str, Path]()
    for one in data:
        suite, sign, path = one.partition("=")
        found = Path(path if sign else one).expanduser()
        if not found.exists():
            raise ConfigError(f"--data {one}: no such file or folder")
        if sign:
            named[suite] = found
        elif folder is not None:
            raise ConfigError(f"--data: one folder at most beside suite=path, got {folder} and {found}")
        else:
            folder = found
    return DataSource(folder=folder, paths=named)
