"""Checkpoints, items and conditions of a run of the self-correction study, and the items that it stored."""

from pathlib import Path

from preflab.evals.core.data_source import DataSource
from preflab.evals.core.items import Item, Items
from preflab.evals.core.runner import select_items
from preflab.evals.core.suite import Suite
from preflab.evals.suites import SUITES
from preflab.evals.suites.bias.prompt_templates import DEFAULT_TEMPLATES, Benchmark, read_sampling, read_templates
from preflab.recipes.common.eval_data import parse_data_source
from preflab.recipes.common.item_records import ItemRecord, read_item_records
from preflab.recipes.ganguli2023_self_correction.checkpoints import Checkpoint, condition_key, parse_checkpoint, slug
from preflab.recipes.ganguli2023_self_correction.conditions import CONDITIONS_OF_BENCHMARK, PromptSettings
from preflab.recipes.ganguli2023_self_correction.config import Config
from preflab.recipes.ganguli2023_self_correction.measures import ScoredItems

STARTER = Path(__file__).parents[2] / "evals" / "starter"


class Study:
    """The design of a run, and the items in its folder; loads no model."""

    def __init__(self, config: Config, folder: Path, seed: int) -> None:
        self.config, self.folder, self.seed = config, folder, seed
        self.checkpoints = [parse_checkpoint(checkpoint) for checkpoint in config.checkpoints]
        self._data_source = (
            DataSource(folder=STARTER) if config.data == ("starter",) else parse_data_source(config.data)
        )
        self._items: dict[Benchmark, Items] = {}
        self._scored: dict[Path, ScoredItems] = {}

    @property
    def slugs(self) -> tuple[str, ...]:
        """Names of the checkpoints in files."""
        return tuple(slug(checkpoint) for checkpoint in self.checkpoints)

    # design ----------------------------------------------------------------------------------------------

    def suite(self, benchmark: Benchmark) -> Suite:
        """The suite whose items a benchmark asks."""
        return SUITES[self.config.pronouns if benchmark == "winogender" else benchmark]

    def items(self, benchmark: Benchmark) -> Items:
        """A benchmark's items, read once.

        Raises:
            DataError: its files are missing or malformed.
        """
        if benchmark not in self._items:
            self._items[benchmark] = self.suite(benchmark).load(self._data_source)
        return self._items[benchmark]

    def selected_items(self, benchmark: Benchmark) -> list[Item]:
        """The items that are asked, in an order of which a part can be taken."""
        c, items = self.config, self.items(benchmark).items
        limit = {"bbq": c.bbq_items, "winogender": c.sentences, "admissions": c.students}[benchmark]
        return select_items(items, len(items) if limit is None else limit, self.seed)

    def conditions(self, benchmark: Benchmark) -> list[tuple[str, int]]:
        """Conditions and paraphrases to ask."""
        conditions = [name for name in self.config.conditions if name in CONDITIONS_OF_BENCHMARK[benchmark]]
        return [(name, p) for name in conditions for p in (self.config.paraphrases if name != "q" else (0,))]

    def main_key(self, condition: str) -> str:
        """A condition in the paraphrase of which claims are made."""
        return condition_key(condition, self.config.paraphrases[0])

    def prompt_settings(self, paraphrase: int, *, sampling: bool) -> PromptSettings:
        """How conditions are put to a model."""
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
            templates=read_templates(path)[0],
            reply_instructions=read_sampling(path),
        )

    # stored items ----------------------------------------------------------------------------------------

    def items_path(self, checkpoint: Checkpoint, benchmark: Benchmark, key: str) -> Path:
        """The file with a line for each item of one condition."""
        return self.folder / "items" / f"{slug(checkpoint)}.{benchmark}.{key}.jsonl"

    def records(self, checkpoint: Checkpoint, benchmark: Benchmark, key: str) -> list[ItemRecord]:
        """Stored items of one condition; empty if it was not asked."""
        path = self.items_path(checkpoint, benchmark, key)
        return read_item_records(path) if path.exists() else []

    def scored_items(self, checkpoint: Checkpoint, benchmark: Benchmark, key: str) -> ScoredItems:
        """Those of the stored items that could be scored, read once; empty if the condition was not asked."""
        path = self.items_path(checkpoint, benchmark, key)
        if path not in self._scored:
            self._scored[path] = ScoredItems.from_records(self.records(checkpoint, benchmark, key))
        return self._scored[path]
