"""Settings of the recipe ``rafailov2023_dpo``, and the scales at which it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from preflab.checks import check_at_least
from preflab.config_overrides import check_types
from preflab.errors import ConfigError
from preflab.models.adapters import AdapterConfig
from preflab.models.load import Precision
from preflab.rollouts.generate import SamplingConfig
from preflab.training.dpo import DPOConfig
from preflab.training.optimiser import OptimiserConfig
from preflab.training.preference import PreferenceConfig
from preflab.training.sft import SFTConfig

RESUME_MAY_CHANGE = ("device",)
"""Settings that may differ when a run is taken up again."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a run depends on; saved beside its results."""

    policy: str = "smollm2"
    """``smollm2``, ``tiny``, a folder, a .gguf file, or a hub id."""
    comparisons: str = "starter"
    """``starter``, a file or folder of comparisons, or a hub data set."""
    format: str | None = None
    """Of the comparisons; recognised by their columns when not given."""
    split: str | None = None
    """Which part of a data set that has parts."""
    max_comparisons: int | None = None
    """Use only so many, drawn by the seed."""
    seed: int = 0
    precision: Precision = "auto"
    """bf16 where the machine multiplies it in hardware, otherwise fp32."""
    device: str = "auto"
    """``cpu``, ``cuda`` or ``cuda:1``; ``auto`` takes a GPU if there is one. It may differ when the run goes on."""
    max_context_tokens: int = 1024
    """Longest prompt and reply together; the model's own limit if that is shorter."""
    held_out_share: float = 0.2
    """Share of the comparisons kept for measuring; no prompt is on both sides."""
    judge_share: float = 0.5
    """Share of the others that trains a preference model to judge the outcome; 0: no judge, no win rate."""
    full_weights: bool = False
    """Train whole copies of the model in place of adapters on one shared trunk."""
    adapters: AdapterConfig = field(default_factory=lambda: AdapterConfig(rank=16, alpha=32.0, top_layers=12))
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
    """The judge's."""
    sampling: SamplingConfig = field(default_factory=lambda: SamplingConfig(max_new_tokens=32))
    """How replies are drawn for measuring."""
    evaluation_prompts: int = 64
    """Held-out prompts on which policies are compared."""
    replies_per_prompt: int = 2
    """Replies of each policy to each of them."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "max_comparisons", "max_context_tokens", "evaluation_prompts", "replies_per_prompt")
        if not 0 < self.held_out_share < 1 or not 0 <= self.judge_share < 1:
            raise ConfigError(
                "held_out_share must lie between 0 and 1, judge_share too or be 0, "
                f"got {self.held_out_share} and {self.judge_share}"
            )

    def unread(self) -> dict[str, str]:
        """Settings that nothing reads under the others, and because of which."""
        dead = {"adapters": "full_weights=true"} if self.full_weights else {}
        if self.judge_share == 0:
            dead["preference"] = "judge_share=0, which fits no judge"
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
        policy="tiny",
        precision="fp32",
        max_comparisons=60,
        adapters=AdapterConfig(rank=4, alpha=8.0),
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
        policy="Qwen/Qwen2.5-1.5B-Instruct",
        max_context_tokens=2048,
        judge_share=0.2,
        adapters=AdapterConfig(rank=32, alpha=64.0),
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
