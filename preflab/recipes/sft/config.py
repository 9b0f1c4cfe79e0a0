"""Settings of the recipe ``sft``, and the scales at which it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from preflab.checks import check_at_least
from preflab.config_overrides import check_types
from preflab.models.adapters import AdapterConfig
from preflab.recipes.common.configs import ComparisonDataConfig, ModelConfig
from preflab.rollouts.generate import SamplingConfig
from preflab.training.optimiser import OptimiserConfig
from preflab.training.sft import SFTConfig

RESUME_MAY_CHANGE = ("model.device",)
"""Settings that may differ when a run is taken up again."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a run depends on; saved beside its results."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: ComparisonDataConfig = field(default_factory=ComparisonDataConfig)
    dialogues: str | None = None
    """A file of dialogues to learn from in place of comparisons; every turn of the assistant counts."""
    seed: int = 0
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
        check_at_least(self, 1, "evaluation_prompts")

    def unread(self) -> dict[str, str]:
        """Settings that nothing reads under the others, and because of which."""
        dead = self.model.unread()
        if self.dialogues is None:
            dead["last_turn_only"] = "dialogues=null"
        else:
            dead |= dict.fromkeys(
                ("data.comparisons", "data.format", "data.split", "data.judge"), f"dialogues={self.dialogues}"
            )
        return dead


def default() -> Config:
    """Meant for two cores and 8 GB, no network, the embedded model and comparisons. Not timed by us yet."""
    return Config()


def smoke() -> Config:
    """A random two-layer model and few comparisons: proves the plumbing and nothing else, in seconds."""
    small = default()
    return replace(
        small,
        model=replace(small.model, policy="tiny", precision="fp32", adapters=AdapterConfig(rank=4, alpha=8.0)),
        data=replace(small.data, max_comparisons=60),
        sft=replace(small.sft, batch_rows=8),
        sampling=SamplingConfig(max_new_tokens=8),
        evaluation_prompts=8,
    )


def large() -> Config:
    """Sizes for one to two billion parameters and real data; batch and schedule of Ouyang et al. Not measured by us."""
    small = default()
    return replace(
        small,
        model=replace(
            small.model,
            policy="Qwen/Qwen2.5-1.5B",
            max_context_tokens=2048,
            adapters=AdapterConfig(rank=32, alpha=64.0),
        ),
        sft=SFTConfig(epochs=2, batch_rows=32, max_tokens=16_384, optimiser=OptimiserConfig(learning_rate=1e-4)),
        sampling=SamplingConfig(max_new_tokens=256, max_batch=256),
        evaluation_prompts=64,
    )


SCALES: dict[str, Callable[[], Config]] = {"default": default, "smoke": smoke, "large": large}
