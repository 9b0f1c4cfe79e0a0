"""Settings of the recipe ``rafailov2023_dpo``, and the scales at which it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from preflab.checks import check_at_least, check_within
from preflab.config_overrides import check_types
from preflab.models.adapters import AdapterConfig
from preflab.recipes.common.configs import ComparisonDataConfig, ModelConfig
from preflab.rollouts.generate import SamplingConfig
from preflab.training.dpo import DPOConfig
from preflab.training.optimiser import OptimiserConfig
from preflab.training.preference import PreferenceConfig
from preflab.training.sft import SFTConfig

RESUME_MAY_CHANGE = ("model.device",)
"""Settings that may differ when a run is taken up again."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a run depends on; saved beside its results."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: ComparisonDataConfig = field(default_factory=ComparisonDataConfig)
    seed: int = 0
    held_out_pm_share: float = 0.5
    """Share of the others that trains a preference model to measure the outcome by; 0: none, and no win rate."""
    trees: bool = True
    """Hold comparisons that go on from one another's replies in one row; changes speed, not results."""
    sft_first: bool = False
    """Fine-tune on the best replies first, and take that policy as the reference."""
    sft: SFTConfig = field(
        default_factory=lambda: SFTConfig(batch_rows=16, optimiser=OptimiserConfig(learning_rate=4e-4))
    )
    dpo: DPOConfig = field(
        default_factory=lambda: DPOConfig(
            epochs=2,
            batch_comparisons=16,
            optimiser=OptimiserConfig(learning_rate=4e-4, schedule="linear-to-tenth", warmup_steps=3),
        )
    )
    preference: PreferenceConfig = field(
        default_factory=lambda: PreferenceConfig(
            epochs=2, batch_comparisons=16, optimiser=OptimiserConfig(learning_rate=4e-4, warmup_steps=5)
        )
    )
    """The held-out preference model's."""
    sampling: SamplingConfig = field(default_factory=lambda: SamplingConfig(max_new_tokens=32))
    """How replies are drawn for measuring."""
    evaluation_prompts: int = 64
    """Held-out prompts on which policies are compared."""
    replies_per_prompt: int = 2
    """Replies of each policy to each of them."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "evaluation_prompts", "replies_per_prompt")
        check_within(self, "[0, 1)", "held_out_pm_share")

    def unread(self) -> dict[str, str]:
        """Settings that nothing reads under the others, and because of which."""
        dead = self.model.unread()
        if self.held_out_pm_share == 0:
            dead["preference"] = "held_out_pm_share=0, which fits no preference model"
        if not self.sft_first:
            dead["sft"] = "sft_first=false"
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
        dpo=replace(small.dpo, batch_comparisons=8),
        preference=replace(small.preference, epochs=1, batch_comparisons=8),
        sampling=SamplingConfig(max_new_tokens=8),
        evaluation_prompts=8,
    )


def large() -> Config:
    """Sizes for one to two billion parameters and real comparisons, the paper's rate and beta. Not measured by us."""
    small = default()
    return replace(
        small,
        model=replace(
            small.model,
            policy="Qwen/Qwen2.5-1.5B-Instruct",
            max_context_tokens=2048,
            adapters=AdapterConfig(rank=32, alpha=64.0),
        ),
        held_out_pm_share=0.2,
        sft=replace(small.sft, batch_rows=64, max_tokens=16_384),
        dpo=DPOConfig(
            epochs=1,
            batch_comparisons=64,
            max_tokens=16_384,
            optimiser=OptimiserConfig(learning_rate=5e-5, schedule="linear-to-tenth", warmup_steps=20),
        ),
        preference=replace(
            small.preference,
            epochs=1,
            batch_comparisons=64,
            max_tokens=16_384,
            optimiser=OptimiserConfig(learning_rate=1e-4, warmup_steps=20),
        ),
        sampling=SamplingConfig(max_new_tokens=256, max_batch=256),
        evaluation_prompts=256,
    )


SCALES: dict[str, Callable[[], Config]] = {"default": default, "smoke": smoke, "large": large}
