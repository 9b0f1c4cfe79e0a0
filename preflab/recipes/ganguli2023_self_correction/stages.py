"""The stages of ``ganguli2023_self_correction``: one a checkpoint and benchmark, then what they say together."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preflab.evals.core.data_source import DataSource
from preflab.evals.core.items import Item, Items
from preflab.evals.core.runner import ItemResult, read_items, run_items, select_items, write_items
from preflab.evals.suites import SUITES
from preflab.evals.suites.bias.prompt_templates import DEFAULT_TEMPLATES, Benchmark, read_sampling, read_templates
from preflab.recipes.common.eval_data import parse_data_source
from preflab.recipes.common.open_models import ModelLoading, open_policy
from preflab.recipes.ganguli2023_self_correction.checkpoints import Checkpoint, checkpoint_of, key_of, slug
from preflab.recipes.ganguli2023_self_correction.claims import compare_checkpoints
from preflab.recipes.ganguli2023_self_correction.conditions import OF_BENCHMARK, PromptSettings, way_for
from preflab.recipes.ganguli2023_self_correction.export import export_corrections
from preflab.recipes.ganguli2023_self_correction.measures import SHOWN, ScoredItems, estimate, measure_named
from preflab.rollouts.requests.responders import LocalPolicy, Responder
from preflab.rollouts.requests.response_cache import ResponseCache
from preflab.rollouts.requests.types import Generation
from preflab.run import Run

if TYPE_CHECKING:
    from preflab.recipes.ganguli2023_self_correction.config import Config

STARTER = Path(__file__).parents[2] / "evals" / "starter"


class Stages:
    """The stages of one run; a policy is loaded when it is first asked and given up after its last benchmark."""

    def __init__(self, config: "Config", run: Run) -> None:
        self.config, self.run = config, run
        self.checkpoints = [checkpoint_of(own) for own in config.checkpoints]
        self.answers = ResponseCache(run.folder / "answers")
        self.shelf = DataSource(folder=STARTER) if config.data == ("starter",) else parse_data_source(config.data)
        self._items: dict[Benchmark, Items] = {}
        self._policy: Responder | None = None

    def items(self, benchmark: Benchmark) -> Items:
        """A benchmark's items, read once.

        Raises:
            DataError: its files are missing or malformed.
        """
        if benchmark not in self._items:
            name = self.config.pronouns if benchmark == "winogender" else benchmark
            self._items[benchmark] = SUITES[name].load(self.shelf)
        return self._items[benchmark]

    def chosen(self, benchmark: Benchmark) -> list[Item]:
        """The items that are asked, in an order of which a part can be taken."""
        c, items = self.config, self.items(benchmark).items
        limit = {"bbq": c.bbq_items, "winogender": c.sentences, "admissions": c.students}[benchmark]
        return select_items(items, len(items) if limit is None else limit, self.run.seed)

    def data(self) -> dict[str, Any]:
        """What there is to ask, and what was refused."""
        found: dict[str, Any] = {}
        for benchmark in self.config.benchmarks:
            own = self.items(benchmark)
            suite = SUITES[self.config.pronouns if benchmark == "winogender" else benchmark]
            found[benchmark] = {
                "suite": suite.name,
                "items": len(own.items),
                "asked": len(self.chosen(benchmark)),
                "groups": len({item.group for item in self.chosen(benchmark)}),
                "digest": own.digest,
                "files": [Path(source).name for source in own.sources],
                "refused": dict(own.refused),
                "source": suite.source,
                "warning": suite.warning,
            }
        self.run.record("data", digest=_digest(found), source=", ".join(self.config.data))
        return {"benchmarks": found}

    def asking(self, paraphrase: int, *, sampling: bool) -> PromptSettings:
        """How conditions are put."""
        c = self.config
        path = Path(c.wording) if c.wording else DEFAULT_TEMPLATES
        return PromptSettings(
            paraphrase=paraphrase,
            cot_tokens=c.cot_tokens,
            cot_samples=c.cot_samples,
            cot_temperature=c.cot_temperature,
            markers=c.markers,
            sampling=sampling,
            draws=c.draws,
            pair=c.pair,
            wording=read_templates(path)[0],
            requests=read_sampling(path),
        )

    def conditions(self, benchmark: Benchmark) -> list[tuple[str, int]]:
        """Conditions and paraphrases to ask."""
        found = [own for own in self.config.conditions if own in OF_BENCHMARK[benchmark]]
        return [(own, p) for own in found for p in (self.config.paraphrases if own != "q" else (0,))]

    def policy(self, checkpoint: Checkpoint) -> Responder:
        """The policy itself, loaded."""
        c = self.config
        if self._policy is None:
            self._policy = open_policy(
                checkpoint.name,
                ModelLoading(
                    runs=c.runs, precision=c.precision, device=c.device, max_context_tokens=c.max_context_tokens
                ),
                served_name=c.served_name,
            )
        return self._policy

    def release(self) -> None:
        """Give the loaded policy up."""
        self._policy = None

    def measure(self, checkpoint: Checkpoint, benchmark: Benchmark) -> dict[str, Any]:
        """Ask one checkpoint one benchmark under all conditions."""
        return self.run.stage(f"{slug(checkpoint)}.{benchmark}", lambda: self._measured(checkpoint, benchmark))

    def _measured(self, checkpoint: Checkpoint, benchmark: Benchmark) -> dict[str, Any]:
        policy, items = self.policy(checkpoint), self.chosen(benchmark)
        before = policy.scored_tokens if isinstance(policy, LocalPolicy) else 0
        sampling = self.config.sampling == "always" or "choose" not in policy.kinds
        found: dict[str, Any] = {}
        spoken = 0
        for condition, paraphrase in self.conditions(benchmark):
            own = items[: self.config.cot_items] if condition == "cot" else items
            way = way_for(benchmark, condition, self.asking(paraphrase, sampling=sampling))
            what = f"{slug(checkpoint)}: {benchmark} {key_of(condition, paraphrase)}"
            with self.run.progress(what, len(own), "items") as advance:
                told = run_items(
                    way,
                    own,
                    {"policy": policy},
                    seed=self.run.seed_of("draws"),
                    cache=self.answers,
                    advance=advance,
                )
            key = key_of(condition, paraphrase)
            write_items(self.path(checkpoint, benchmark, key), told)
            found[key] = self._summary(benchmark, told)
            spoken += found[key]["spoken_tokens"]
        return {
            "checkpoint": slug(checkpoint),
            "name": checkpoint.name,
            "size": _parameters(policy) if checkpoint.size is None else checkpoint.size,
            "steps": checkpoint.steps,
            "benchmark": benchmark,
            "sampling": sampling,
            "conditions": found,
            "sampled_tokens": spoken,
            "measured_tokens": policy.scored_tokens - before if isinstance(policy, LocalPolicy) else 0,
        }

    def path(self, checkpoint: Checkpoint, benchmark: Benchmark, key: str) -> Path:
        """A line for each item of one condition."""
        return self.run.folder / "items" / f"{slug(checkpoint)}.{benchmark}.{key}.jsonl"

    def _summary(self, benchmark: Benchmark, told: Sequence[ItemResult]) -> dict[str, Any]:
        answered = ScoredItems.of([{"id": t.item.id, "group": t.item.group, "outcome": t.outcome} for t in told])
        seed = self.run.seed_of("intervals")
        spoken = [a for own in told for _, found in own.rounds for a in found if isinstance(a, Generation)]
        return {
            "items": len(told),
            "scored": len(answered.ids),
            "failed": dict(Counter(own.failed for own in told if own.failed is not None)),
            "unfinished": sum(not own.finished for own in spoken),
            "spoken_tokens": sum(own.tokens or 0 for own in spoken),
            "measures": {
                name: estimate(measure_named(benchmark, name), answered, seed=seed) for name in SHOWN[benchmark]
            },
        }

    def lines(self, checkpoint: Checkpoint, benchmark: Benchmark, key: str) -> list[dict[str, Any]]:
        """What was asked, answered and made of it, item by item; empty if the condition was not asked."""
        path = self.path(checkpoint, benchmark, key)
        return list(read_items(path)) if path.exists() else []

    def compare(self) -> dict[str, Any]:
        """Claims and tables over all checkpoints; done anew when checkpoints were added."""
        return self._anew("compare", lambda: compare_checkpoints(self))

    def export(self) -> dict[str, Any]:
        """Files for fine-tuning and for other tools; done anew when checkpoints were added."""
        return self._anew("export", lambda: export_corrections(self))

    def _anew(self, name: str, work: Any) -> dict[str, Any]:
        wanted = [slug(own) for own in self.checkpoints]
        if self.run.is_done(name) and self.run.result(name).get("checkpoints") != wanted:
            self.run.invalidate(name)
        return self.run.stage(name, lambda: {**work(), "checkpoints": wanted})


def _parameters(policy: Responder) -> float | None:
    """Parameters of a model in this process."""
    if not isinstance(policy, LocalPolicy):
        return None
    return float(sum(p.numel() for p in policy.role.trunk.source.model.parameters()))


def _digest(found: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:24]
