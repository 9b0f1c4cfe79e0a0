"""Settings of the recipe ``sft``, and the scales at which it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from preflab.checks import check_at_least
from preflab.config_overrides import check_types
from preflab.errors import ConfigError
from preflab.models.adapters import AdapterConfig
from preflab.models.load import Precision
from preflab.rollouts.generate import SamplingConfig
from preflab.training.optimiser import OptimiserConfig
from preflab.training.sft import SFTConfig

RESUME_MAY_CHANGE = ("device",)
"""Settings that may differ when a run is taken up again."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a run depends on; saved beside its results."""

    policy: str = "smollm2"
    """``smollm2``, ``tiny``, a folder, a .gguf file, or a hub id."""
    comparisons: str = "starter"
    """Comparisons whose best replies are learned: ``starter``, a file or folder, or a hub data set."""
    dialogues: str | None = None
    """A file of dialogues to learn from in place of comparisons; every turn of the assistant counts."""
    format: str | None = None
    """Of the comparisons; recognised by their columns when not given."""
    split: str | None = None
    """Which part of a data set that has parts."""
    max_comparisons: int | None = None
    """Use only so many comparisons or dialogues, drawn by the seed."""
    seed: int = 0
    precision: Precision = "auto"
    """bf16 where the machine multiplies it in hardware, otherwise fp32."""
    device: str = "auto"
    """``cpu``, ``cuda`` or ``cuda:1``; ``auto`` takes a GPU if there is one. It may differ when the run goes on."""
    max_context_tokens: int = 1024
    """Longest prompt and reply together; the model's own limit if that is shorter."""
    held_out_share: float = 0.2
    """Share kept for measuring; no prompt is on both sides."""
    full_weights: bool = False
    """Train a whole copy of the model in place of an adapter."""
    adapters: AdapterConfig = field(default_factory=lambda: AdapterConfig(rank=16, alpha=32.0, top_layers=12))
    sft: SFTConfig = field(
        default_factory=lambda: SFTConfig(epochs=2, batch_rows=16, optimiser=OptimiserConfig(learning_rate=4e-4))
    )
    sampling: SamplingConfig = field(default_factory=lambda: SamplingConfig(max_new_tokens=32))
    """How replies are drawn to be looked at."""
    evaluation_prompts: int = 16
    """Held-out prompts that are replied to before and after."""
    last_turn_only: bool = False
    """Of dialogues, learn the last turn of the assistant alone."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "max_comparisons", "max_context_tokens", "evaluation_prompts")
        if not 0 < self.held_out_share < 1:
            raise ConfigError(f"held_out_share must lie between 0 and 1, got {self.held_out_share}")

    def unread(self) -> dict[str, str]:
        """Settings that nothing reads under the others, and because of which."""
        dead = {"adapters": "full_weights=true"} if self.full_weights else {}
        if self.dialogues is None:
            dead["last_turn_only"] = "dialogues=null"
        else:
            dead |= dict.fromkeys(("comparisons", "format", "split"), f"dialogues={self.dialogues}")
        return dead


def default() -> Config:
    """Meant for two cores and 8 GB, no network, the embedded model and comparisons. Not timed by us yet."""
    return Config()


def smoke() -> Config:
    """A random two-layer model and few comparisons: proves the plumbing and nothing else, in seconds."""
    small = default()
    return replace(
        small,
        policy="tiny",
        precision="fp32",
        max_comparisons=60,
        adapters=AdapterConfig(rank=4, alpha=8.0),
        sft=replace(small.sft, batch_rows=8),
        sampling=SamplingConfig(max_new_tokens=8),
        evaluation_prompts=8,
    )


def large() -> Config:
    """Sizes for one to two billion parameters and real data; batch and schedule of Ouyang et al. Not measured by us."""
    small = default()
    return replace(
        small,
        policy="Qwen/Qwen2.5-1.5B",
        max_context_tokens=2048,
        adapters=AdapterConfig(rank=32, alpha=64.0),
        sft=SFTConfig(epochs=2, batch_rows=32, max_tokens=16_384, optimiser=OptimiserConfig(learning_rate=1e-4)),
        sampling=SamplingConfig(max_new_tokens=256, max_batch=256),
        evaluation_prompts=64,
    )


SCALES: dict[str, Callable[[], Config]] = {"default": default, "smoke": smoke, "large": large}
