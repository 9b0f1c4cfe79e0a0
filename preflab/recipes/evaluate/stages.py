"""The stages of ``evaluate``: one a suite and variant, done anew where what it depends on has changed."""

from collections.abc import Mapping
from pathlib import Path

from preflab.errors import ConfigError, DataError
from preflab.evals.core.items import Items
from preflab.evals.core.runner import check_responders, run_items, select_items, summary, write_items
from preflab.evals.core.suite import Suite, Variant
from preflab.evals.suites import find_suites
from preflab.recipes.common.eval_data import parse_data_source
from preflab.recipes.common.open_models import (
    PREFERENCE_MODEL,
    ModelLoading,
    has_preference_model,
    is_address,
    model_path,
    open_policy,
    open_rater,
    run_named,
)
from preflab.recipes.evaluate.config import Config
from preflab.recipes.evaluate.results import ITEMS, SuiteInputs, SuiteResult, stage_name
from preflab.rollouts.requests.responders import LocalPolicy, Responder, ServerPolicy
from preflab.rollouts.requests.response_cache import ResponseCache
from preflab.rollouts.requests.types import ResponderRole
from preflab.run import Run

ANSWERS = "answers"
"""Folder of stored responses: beside the runs for all of them, or in the run's folder."""


class Stages:
    """The suites of one run; a model is loaded when it is first asked."""

    def __init__(self, config: Config, run: Run) -> None:
        self.config, self.run = config, run
        self.suites = find_suites(config.suites)
        self.data_source = parse_data_source(config.data, config.splits, [suite for suite, _ in self.suites])
        folder = (run.folder.parent if config.cache else run.folder) / ANSWERS
        self.cache = ResponseCache(folder, served_folder=run.folder / ANSWERS)
        self._responders: dict[ResponderRole, Responder] = {}

    def measure_all(self) -> list[SuiteResult]:
        """The results of every suite that was named.

        Of ``all``, a suite that lacks data, a judge or a preference model is skipped.

        Raises:
            ConfigError, DataError: a suite that was named by itself lacks something.
            SamplerError: a server is gone or refuses everything.
        """
        self._probe_servers()
        skipped: dict[str, str] = {}
        results: list[SuiteResult] = []
        for suite, variant in self.suites:
            try:
                results.append(self.measure(suite, variant))
            except (ConfigError, DataError) as error:
                if "all" in self.config.suites:
                    skipped[stage_name(suite, variant)] = str(error)
                elif isinstance(error, ConfigError):
                    raise ConfigError(f"suite {suite.name}: {error}") from error
                else:
                    raise
        self.run.record("counts", suites_passed_over=skipped)
        return results

    def _probe_servers(self) -> None:
        """Ask every server that a suite needs who it is, before anything is measured.

        Raises:
            SamplerError: one is gone or refuses everything, in its own words.
        """
        roles = {role for _, variant in self.suites for role in variant.roles}
        names = {"policy": self.config.policy, "judge": self.config.judge or ""}
        for role in sorted(roles & names.keys()):
            if is_address(names[role]):
                self.run.record("servers", **{role: self._identified(role)})

    def measure(self, suite: Suite, variant: Variant) -> SuiteResult:
        """The result of a suite; read back where it was measured before with the same inputs.

        Raises:
            ConfigError: a role has no responder.
            DataError: the data are missing or malformed.
        """
        name, items = stage_name(suite, variant), suite.load(self.data_source)
        inputs = SuiteInputs(
            data=items.digest,
            limit=self.config.limit,
            responders={role: self._responder_version(role) for role in sorted(variant.roles)},
            best_of=self.config.best_of,
        )
        if not self.run.is_done(name):
            check_responders(variant, self._responders_of(variant))
        else:
            before = self.run.result(name, SuiteResult)
            if before.inputs != inputs or (before.failed and not before.scored):
                self.run.invalidate(name)
        return self.run.stage(name, lambda: self._run_suite(suite, variant, items, inputs), SuiteResult)

    def _run_suite(self, suite: Suite, variant: Variant, items: Items, inputs: SuiteInputs) -> SuiteResult:
        selected = select_items(items.items, self.config.limit, self.run.seed)
        responders = self._responders_of(variant)
        hits_before, tokens_before = self.cache.hits, _scored_tokens(responders)
        with self.run.progress(f"{suite.name} ({variant.name})", len(selected), "items") as advance:
            seed = self.run.seed_of("draws")
            results = run_items(variant, selected, responders, seed=seed, cache=self.cache, advance=advance)
        write_items(self.run.folder / ITEMS / f"{stage_name(suite, variant)}.jsonl", results)
        return SuiteResult(
            **vars(summary(suite, variant, results, seed=self.run.seed_of("intervals"))),
            inputs=inputs,
            sources=tuple(items.sources),
            available=len(items.items),
            refused=dict(items.refused),
            first_refused=dict(items.first_refused),
            cached_responses=self.cache.hits - hits_before,
            measured_tokens=_scored_tokens(responders) - tokens_before,
        )

    # responders ------------------------------------------------------------------------------------------

    def _responders_of(self, variant: Variant) -> dict[ResponderRole, Responder]:
        return {role: self._responder(role) for role in sorted(variant.roles)}

    def _responder(self, role: ResponderRole) -> Responder:
        """The model in a role; the judge may be the policy itself."""
        if role not in self._responders:
            responder = self._responders[role] = self._open(role)
            if isinstance(responder, ServerPolicy):
                responder.identify()
            if role == "policy":
                kinds = sorted(responder.kinds)
                self.run.record("model", name=self.config.policy, digest=responder.digest, answers=kinds)
        return self._responders[role]

    def _identified(self, role: ResponderRole) -> str:
        """The digest of a server, with what it serves in it."""
        responder = self._responder(role)
        return responder.identify() if isinstance(responder, ServerPolicy) else responder.digest

    def _open(self, role: ResponderRole) -> Responder:
        c = self.config
        loading = ModelLoading(
            runs=c.runs,
            precision=c.precision,
            device=c.device,
            max_context_tokens=c.max_context_tokens,
            moment=self.run.started,
        )
        if role == "pm":
            return open_rater(self._preference_model(), loading)
        if role == "judge":
            if c.judge is None:
                raise ConfigError("this suite's replies are judged by a model; --judge names it")
            return open_policy(c.judge, loading, served_name=c.judge_served_name, endpoint=c.judge_endpoint)
        pm = self._preference_model() if c.best_of > 1 else None
        return open_policy(c.policy, loading, served_name=c.served_name, endpoint=c.endpoint, best_of=c.best_of, pm=pm)

    def _preference_model(self) -> str:
        c = self.config
        name = c.pm or (c.policy if has_preference_model(c.policy, c.runs) else None)
        if name is None:
            raise ConfigError(f"this needs a preference model, and {c.policy} has none of its own; --pm names one")
        return name

    def _responder_version(self, role: ResponderRole) -> str:
        """Name of the model in a role, with the time of its weights where it is a folder, or with what a server serves.

        No weights are loaded for it.
        """
        c = self.config
        name = {"policy": c.policy, "judge": c.judge or "", "pm": c.pm or c.policy}[role]
        if is_address(name):
            return f"{name} {self._identified(role)}"
        if not name:
            return name
        run = run_named(name, c.runs)
        path = run / PREFERENCE_MODEL if run and role == "pm" else Path(model_path(name, c.runs)).expanduser()
        files = list(path.iterdir()) if path.is_dir() else [path] * path.is_file()
        return f"{name} of {max(file.stat().st_mtime_ns for file in files)}" if files else name


def _scored_tokens(responders: Mapping[ResponderRole, Responder]) -> int:
    return sum(responder.scored_tokens for responder in responders.values() if isinstance(responder, LocalPolicy))
