"""Settings of the recipe ``ganguli2023_self_correction``, and the scales at which it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from preflab.checks import check_at_least
from preflab.config_overrides import check_types
from preflab.errors import ConfigError
from preflab.evals.suites.bias.admissions import RACES, AttributePair
from preflab.evals.suites.bias.prompt_templates import Benchmark, Markers
from preflab.models.load import Precision
from preflab.recipes.common.open_models import is_address
from preflab.recipes.ganguli2023_self_correction.checkpoints import parse_checkpoint, slug
from preflab.recipes.ganguli2023_self_correction.conditions import CONDITIONS

RESUME_MAY_CHANGE = ("device", "checkpoints", "runs")
"""Settings that may differ when a run is taken up again: checkpoints may be added."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a run depends on; saved beside its results."""

    checkpoints: tuple[str, ...] = ("smollm2",)
    """Policies, each a run, a model or a server's address, with ``@size=135M`` and ``@steps=200`` where known. The size
    of a model in this process is counted when it is not given."""
    served_name: str | None = None
    """What servers call the model."""
    data: tuple[str, ...] = ("starter",)
    """``starter``, or a folder in which BBQ, Winogender and the law-school survey lie, and ``suite=path`` for one of
    them."""
    benchmarks: tuple[Benchmark, ...] = ("bbq", "winogender", "admissions")
    pronouns: Literal["winogender", "winogenerated"] = "winogender"
    """Which sentences: sixty occupations with one each, or three hundred with ten each."""
    conditions: tuple[str, ...] = ("q", "if", "cot", "match", "neutral", "inverted")
    """Of: q, if, cot, match (pronouns alone), and the controls neutral and inverted. ``q`` must be among them."""
    paraphrases: tuple[int, ...] = (0,)
    """Wordings of each instruction, from 0; claims are made of the first."""
    bbq_items: int | None = None
    """Items of BBQ at most; variants of one text stay together, and as many templates as can be are drawn from."""
    sentences: int | None = None
    """Sentences at most, by whole occupations."""
    students: int | None = None
    cot_items: int | None = None
    """Items of each benchmark that are also asked with a chain of thought, which costs most; all by default."""
    cot_tokens: int = 256
    """Longest chain of thought."""
    cot_samples: int = 1
    """Chains of thought an item, averaged; the spread between them needs at least 2."""
    cot_temperature: float = 1.0
    pair: AttributePair = field(default_factory=lambda: RACES)
    """What is changed about students."""
    sampling: Literal["auto", "always"] = "auto"
    """Count replies in place of reading probabilities: where a policy gives none, or always."""
    draws: int = 8
    """Replies to one prompt when counting."""
    markers: Markers | None = None
    """What stands before each turn, for models without a chat template: ``{human: "Q: ", assistant: "A: "}``."""
    wording: str = ""
    """A file of texts in place of ours, of the form of ``preflab/evals/suites/bias/self_correction.yaml``."""
    export: str = "cot"
    """Condition whose answers are exported for fine-tuning."""
    seed: int = 0
    precision: Precision = "auto"
    device: str = "auto"
    max_context_tokens: int = 2048
    """Longest prompt and answer together; the model's own limit if that is shorter."""
    runs: str = "runs"
    """The folder in which runs lie that ``checkpoints`` may name."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "bbq_items", "sentences", "students", "cot_items", "cot_tokens", "cot_samples", "draws")
        check_at_least(self, 0, "cot_temperature")
        check_at_least(self, 32, "max_context_tokens")
        if not self.checkpoints or not self.benchmarks or not self.paraphrases:
            raise ConfigError("name at least one checkpoint, one benchmark and one paraphrase")
        slugs = [slug(parse_checkpoint(checkpoint)) for checkpoint in self.checkpoints]
        if len(set(slugs)) < len(slugs):
            raise ConfigError(
                f"two checkpoints would be called the same: {', '.join(slugs)}; give them @steps or @size"
            )
        unknown = [name for name in (*self.conditions, self.export) if name not in CONDITIONS]
        if unknown or "q" not in self.conditions:
            raise ConfigError(f"conditions are q (always) and any of {', '.join(CONDITIONS)}, got {self.conditions}")
        if min(self.paraphrases) < 0:
            raise ConfigError(f"paraphrases must be at least 0, got {self.paraphrases}")

    def unread(self) -> dict[str, str]:
        """Settings that nothing reads under the others, and because of which."""
        settings_of = {
            "bbq": ("bbq_items",),
            "winogender": ("pronouns", "sentences"),
            "admissions": ("students", "pair"),
        }
        dead: dict[str, str] = {}
        for benchmark, names in settings_of.items():
            if benchmark not in self.benchmarks:
                dead |= dict.fromkeys(names, f"benchmarks without {benchmark}")
        if not any(is_address(parse_checkpoint(checkpoint).name) for checkpoint in self.checkpoints):
            dead["served_name"] = "checkpoints of which none is a server"
        if "cot" not in self.conditions:
            of_cot = ("cot_items", "cot_tokens", "cot_samples", "cot_temperature")
            dead |= dict.fromkeys(of_cot, "conditions without cot")
        return dead


def default() -> Config:
    """The embedded model on the starter items: about 50,000 tokens, some three minutes on two quiet cores."""
    return Config(cot_tokens=48, cot_samples=2, cot_items=12, precision="fp32")


def smoke() -> Config:
    """A random two-layer model on the starter items, two paraphrases: proves the plumbing and nothing else."""
    few = {"bbq_items": 4, "sentences": 6, "students": 2, "cot_items": 2, "cot_tokens": 4}
    return replace(default(), checkpoints=("tiny@steps=0",), paraphrases=(0, 1), **few)  # type: ignore[arg-type]


def small() -> Config:
    """The embedded model on real data (name it with ``data``): 150,000 tokens, under ten minutes on two quiet cores."""
    return replace(default(), bbq_items=160, students=40, cot_items=16)


def paper() -> Config:
    """All items and chains of 256 tokens; an open model family stands in for the paper's. Not run by us.

    The paper's axes are eight sizes times eleven steps of one RLHF recipe; give ``checkpoints`` your own.
    """
    family = (("0.5B", "500M"), ("1.5B", "1.5B"), ("7B", "7B"), ("14B", "14B"), ("32B", "32B"), ("72B", "72B"))
    return Config(checkpoints=tuple(f"Qwen/Qwen2.5-{name}-Instruct@size={size}" for name, size in family))


SCALES: dict[str, Callable[[], Config]] = {"default": default, "smoke": smoke, "small": small, "paper": paper}
