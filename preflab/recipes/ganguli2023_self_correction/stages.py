"""The stages of ``ganguli2023_self_correction``: one a checkpoint and benchmark, then the comparison and the export."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from preflab.conversion import to_json
from preflab.data.sources.files import digest_of
from preflab.evals.core.runner import ItemResult, run_items, write_items
from preflab.evals.suites.bias.prompt_templates import Benchmark
from preflab.recipes.common.item_records import ItemRecord
from preflab.recipes.common.open_models import ModelLoading, is_address, model_path, open_policy
from preflab.recipes.ganguli2023_self_correction.checkpoints import Checkpoint, condition_key, slug
from preflab.recipes.ganguli2023_self_correction.claims import MeasuredStudy, compare_checkpoints
from preflab.recipes.ganguli2023_self_correction.conditions import condition_variant
from preflab.recipes.ganguli2023_self_correction.config import Config
from preflab.recipes.ganguli2023_self_correction.export import export_corrections
from preflab.recipes.ganguli2023_self_correction.measures import REPORTED, ScoredItems, estimate_measure, measure_named
from preflab.recipes.ganguli2023_self_correction.results import (
    COMPARE,
    DATA,
    EXPORT,
    BenchmarkData,
    CheckpointResult,
    ComparisonResult,
    ConditionResult,
    DataResult,
    ExportResult,
    checkpoint_stage,
)
from preflab.recipes.ganguli2023_self_correction.study import Study
from preflab.rollouts.requests.responders import LocalPolicy, Responder
from preflab.rollouts.requests.response_cache import ResponseCache
from preflab.rollouts.requests.types import Generation
from preflab.run import Run
from preflab.runner.inputs import guard_input, model_files

OverCheckpoints = TypeVar("OverCheckpoints", ComparisonResult, ExportResult)


class Stages:
    """The stages of one run; a policy is loaded when it is first asked and given up after its last benchmark."""

    def __init__(self, config: Config, run: Run) -> None:
        self.config, self.run = config, run
        self.study = Study(config, run.folder, run.seed)
        self.cache = ResponseCache(run.folder / "answers")
        self._policy: Responder | None = None

    def data(self) -> DataResult:
        """Read the items of every benchmark, and count them."""
        return self.run.stage(DATA, self._data, DataResult)

    def _data(self) -> DataResult:
        self._guard_data()
        result = DataResult(
            benchmarks={benchmark: self._benchmark_data(benchmark) for benchmark in self.config.benchmarks}
        )
        text = json.dumps(to_json(result.benchmarks), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:24]
        self.run.record("data", digest=digest, source=", ".join(self.config.data))
        return result

    def _guard_data(self) -> None:
        """Refuse other items or templates than the run began with.

        Raises:
            RunError: a benchmark's files or the wording changed.
        """
        for benchmark in self.config.benchmarks:
            items = self.study.items(benchmark)
            files = [Path(source) for source in items.sources]
            guard_input(self.run, benchmark, source=", ".join(items.sources), digest=items.digest, files=files)
        if self.config.wording:
            path = Path(self.config.wording)
            guard_input(self.run, "wording", source=self.config.wording, digest=digest_of([path]), files=[path])

    def _benchmark_data(self, benchmark: Benchmark) -> BenchmarkData:
        items, selected = self.study.items(benchmark), self.study.selected_items(benchmark)
        suite = self.study.suite(benchmark)
        return BenchmarkData(
            suite=suite.name,
            items=len(items.items),
            selected=len(selected),
            groups=len({item.group for item in selected}),
            digest=items.digest,
            files=tuple(Path(source).name for source in items.sources),
            refused=dict(items.refused),
            source=suite.source,
            warning=suite.warning,
        )

    # measuring -------------------------------------------------------------------------------------------

    def measure(self, checkpoint: Checkpoint, benchmark: Benchmark) -> CheckpointResult:
        """Ask one checkpoint one benchmark under all conditions."""
        name = checkpoint_stage(slug(checkpoint), benchmark)
        return self.run.stage(name, lambda: self._measure(checkpoint, benchmark), CheckpointResult)

    def release(self) -> None:
        """Give up the loaded policy."""
        self._policy = None

    def _measure(self, checkpoint: Checkpoint, benchmark: Benchmark) -> CheckpointResult:
        self._guard_data()
        policy, items = self._open_policy(checkpoint), self.study.selected_items(benchmark)
        tokens_before = _scored_tokens(policy)
        sampling = self.config.sampling == "always" or "choose" not in policy.kinds
        conditions: dict[str, ConditionResult] = {}
        for condition, paraphrase in self.study.conditions(benchmark):
            asked_items = items[: self.config.cot_items] if condition == "cot" else items
            settings = self.study.prompt_settings(paraphrase, sampling=sampling)
            variant = condition_variant(benchmark, condition, settings)
            key = condition_key(condition, paraphrase)
            with self.run.progress(f"{slug(checkpoint)}: {benchmark} {key}", len(asked_items), "items") as advance:
                results = run_items(
                    variant,
                    asked_items,
                    {"policy": policy},
                    seed=self.run.seed_of("draws"),
                    cache=self.cache,
                    advance=advance,
                )
            write_items(self.study.items_path(checkpoint, benchmark, key), results)
            conditions[key] = self._condition_result(benchmark, results)
        return CheckpointResult(
            checkpoint=slug(checkpoint),
            name=checkpoint.name,
            size=_count_parameters(policy) if checkpoint.size is None else checkpoint.size,
            steps=checkpoint.steps,
            benchmark=benchmark,
            sampling=sampling,
            conditions=conditions,
            sampled_tokens=sum(condition.generated_tokens for condition in conditions.values()),
            measured_tokens=_scored_tokens(policy) - tokens_before,
        )

    def _open_policy(self, checkpoint: Checkpoint) -> Responder:
        c = self.config
        if self._policy is None:
            loading = ModelLoading(
                runs=c.runs,
                precision=c.precision,
                device=c.device,
                max_context_tokens=c.max_context_tokens,
                moment=self.run.started,
            )
            self._policy = open_policy(checkpoint.name, loading, served_name=c.served_name)
            if not is_address(checkpoint.name):
                path = model_path(checkpoint.name, c.runs)
                name = f"policy {slug(checkpoint)}"
                guard_input(self.run, name, source=path, digest=self._policy.digest, files=model_files(path))
        return self._policy

    def _condition_result(self, benchmark: Benchmark, results: Sequence[ItemResult]) -> ConditionResult:
        scored = ScoredItems.from_records([_record(result) for result in results])
        generations = [
            response
            for result in results
            for _, responses in result.rounds
            for response in responses
            if isinstance(response, Generation)
        ]
        seed = self.run.seed_of("intervals")
        return ConditionResult(
            items=len(results),
            scored=len(scored.ids),
            failed=dict(Counter(result.failed for result in results if result.failed is not None)),
            unfinished=sum(not generation.finished for generation in generations),
            generated_tokens=sum(generation.tokens or 0 for generation in generations),
            measures={
                name: estimate_measure(measure_named(benchmark, name), scored, seed=seed)
                for name in REPORTED[benchmark]
            },
        )

    # over all checkpoints --------------------------------------------------------------------------------

    def compare(self) -> ComparisonResult:
        """Claims and tables over all checkpoints; done anew when checkpoints were added."""

        def work() -> ComparisonResult:
            measured = MeasuredStudy(self.study, self._sizes(), self.run.seed_of("intervals"))
            return compare_checkpoints(measured)

        return self._over_checkpoints(COMPARE, work, ComparisonResult)

    def export(self) -> ExportResult:
        """Files for fine-tuning and for other tools; done anew when checkpoints were added."""
        return self._over_checkpoints(EXPORT, lambda: export_corrections(self.study), ExportResult)

    def _sizes(self) -> dict[str, float | None]:
        """Parameters of each checkpoint, as given or as counted."""
        first = self.config.benchmarks[0]
        stages = {name: checkpoint_stage(name, first) for name in self.study.slugs}
        return {name: self.run.result(stage, CheckpointResult).size for name, stage in stages.items()}

    def _over_checkpoints(
        self, name: str, work: Callable[[], OverCheckpoints], kind: type[OverCheckpoints]
    ) -> OverCheckpoints:
        if self.run.is_done(name) and tuple(self.run.result(name, kind).checkpoints) != self.study.slugs:
            self.run.invalidate(name)
        return self.run.stage(name, work, kind)


def _record(result: ItemResult) -> ItemRecord:
    """The part of a result that measures read."""
    return ItemRecord(id=result.item.id, group=result.item.group, outcome=result.outcome)


def _scored_tokens(policy: Responder) -> int:
    return policy.scored_tokens if isinstance(policy, LocalPolicy) else 0


def _count_parameters(policy: Responder) -> float | None:
    """Parameters of a model in this process."""
    if not isinstance(policy, LocalPolicy):
        return None
    return float(sum(p.numel() for p in policy.role.trunk.source.model.parameters()))
