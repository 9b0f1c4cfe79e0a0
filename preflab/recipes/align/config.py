"""Settings of the recipe ``align``, and the scales at which it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from preflab.checks import check_at_least, check_within
from preflab.config_overrides import check_types
from preflab.errors import ConfigError
from preflab.models.adapters import AdapterConfig
from preflab.recipes.common.configs import ComparisonDataConfig, ModelConfig
from preflab.recipes.common.policy_optimisation import (
    check_sampling_is_shared,
    default_ppo,
    default_reinforce,
    default_rloo,
)
from preflab.rollouts.engine import IN_PROCESS
from preflab.rollouts.generate import SamplingConfig
from preflab.rollouts.servers.remote import check_address
from preflab.rollouts.servers.vllm import VLLMConfig
from preflab.training.optimiser import OptimiserConfig
from preflab.training.policy_gradient.config import PolicyGradientConfig, check_sampling
from preflab.training.policy_gradient.ppo import PPOConfig
from preflab.training.policy_gradient.reinforce import ReinforceConfig
from preflab.training.policy_gradient.rloo import RLOOConfig
from preflab.training.preference import PreferenceConfig

Algorithm = Literal["ppo", "rloo", "reinforce"]
Until = Literal["preference", "best-of-n", "ppo", "measure"]
ORDER: tuple[Until, ...] = ("preference", "best-of-n", "ppo", "measure")
RESUME_MAY_CHANGE = ("until", "model.device", "sampler", "vllm")
"""Settings that may differ when a run is taken up again."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a run depends on; saved beside its results."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: ComparisonDataConfig = field(default_factory=ComparisonDataConfig)
    seed: int = 0
    held_out_pm_share: float = 0.5
    """Share of the others that train the second preference model, which nothing is optimised against."""
    preference: PreferenceConfig = field(
        default_factory=lambda: PreferenceConfig(
            epochs=2, batch_comparisons=16, optimiser=OptimiserConfig(learning_rate=4e-4, warmup_steps=5)
        )
    )
    value_model: Literal["head", "model"] = "head"
    """PPO's value function: a head on the frozen preference model (one forward pass, no backward), or a whole model
    of its own that starts from the preference model (Stiennon et al.)."""
    sampling: SamplingConfig = field(default_factory=lambda: SamplingConfig(max_new_tokens=32))
    """How replies are drawn, for best-of-n, PPO and measuring alike."""
    sampler: str = IN_PROCESS
    """``in-process``, or the address of a vLLM server (``http://host:8000``) that draws all replies; docs/vllm.md."""
    vllm: VLLMConfig = field(default_factory=VLLMConfig)
    """How that server is spoken to. Its ``max_staleness`` is the algorithm's, and is not set here."""
    evaluation_prompts: int = 64
    """Held-out prompts on which policies are compared."""
    best_of_n: int = 8
    """The largest n; every power of two up to it is measured."""
    replies_per_prompt: int = 2
    """Replies of the trained policy to each evaluation prompt."""
    algorithm: Algorithm = "ppo"
    """What trains the policy in stage ``ppo``; its settings are those under its name."""
    pretraining: str | None = None
    """Text whose language-model gradient is mixed in where ``ptx.coefficient`` is above 0 (PPO-ptx): a text file, a
    file of records with a ``text``, or a folder of either."""
    ppo: PPOConfig = field(default_factory=lambda: default_ppo(20))
    """Its ``sampling`` is the one above, and is not set here; nor is that of the next two."""
    rloo: RLOOConfig = field(default_factory=lambda: default_rloo(20))
    reinforce: ReinforceConfig = field(default_factory=lambda: default_reinforce(20))
    suite_items: int | None = None
    """Items of each alignment suite at most; None: all that come with the package."""
    until: Until = "measure"
    """Stop after this stage; start the run again with a later one to go on."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "suite_items")
        check_at_least(self, 1, "evaluation_prompts", "best_of_n", "replies_per_prompt")
        check_sampling_is_shared(self.sampling, {"ppo": self.ppo, "rloo": self.rloo, "reinforce": self.reinforce})
        if ORDER.index(self.until) >= ORDER.index("ppo"):
            check_sampling(self.sampling)
        if not self.training.measure_kl:
            raise ConfigError(f"{self.algorithm}.measure_kl=false: the report of this recipe needs KL; leave it on")
        if (self.training.ptx.coefficient > 0) != (self.pretraining is not None):
            raise ConfigError(f"pretraining and {self.algorithm}.ptx.coefficient go together: set both or neither")
        if self.vllm.max_staleness not in (0, self.training.max_staleness):
            raise ConfigError(f"vllm.max_staleness is not read: set {self.algorithm}.max_staleness")
        if self.sampler != IN_PROCESS:
            check_address(self.sampler)
        check_within(self, "(0, 1)", "held_out_pm_share")

    def unread(self) -> dict[str, str]:
        """Settings that nothing reads under the others, and because of which."""
        method, baseline = self.algorithm, self.reinforce.baseline
        dead = {name: f"algorithm={method}" for name in ("ppo", "rloo", "reinforce") if name != method}
        dead |= self.model.unread()
        if self.sampler == IN_PROCESS:
            dead |= dict.fromkeys(("vllm", f"{method}.max_staleness"), f"sampler={IN_PROCESS}")
        if method == "rloo":
            dead["value_model"] = "algorithm=rloo, which has no value model"
        elif method == "reinforce" and baseline == "mean":
            of_value_model = ("value_model", "reinforce.value", "reinforce.value_head_updates")
            dead |= dict.fromkeys(of_value_model, "reinforce.baseline=mean, which has no value model")
        elif self.value_model == "model":
            dead[f"{method}.value_head_updates"] = "value_model=model"
        return dead

    @property
    def training(self) -> PolicyGradientConfig:
        """The settings of the algorithm that is used."""
        methods: dict[Algorithm, PolicyGradientConfig]
        methods = {"ppo": self.ppo, "rloo": self.rloo, "reinforce": self.reinforce}
        return methods[self.algorithm]


def default() -> Config:
    """Two cores and 8 GB, no network: under a quarter of an hour with the embedded model and comparisons."""
    return Config()


def smoke() -> Config:
    """A random two-layer model and few comparisons: proves the plumbing and nothing else, in under a minute."""
    small = default()
    return replace(
        small,
        model=replace(small.model, policy="tiny", precision="fp32", adapters=AdapterConfig(rank=4, alpha=8.0)),
        data=replace(small.data, max_comparisons=60),
        preference=replace(small.preference, epochs=1, batch_comparisons=8),
        sampling=SamplingConfig(max_new_tokens=8),
        evaluation_prompts=8,
        best_of_n=4,
        suite_items=4,
        ppo=replace(small.ppo, steps=3, prompts_per_step=4, samples_per_prompt=2),
        rloo=replace(small.rloo, steps=3, prompts_per_step=4, samples_per_prompt=2),
        reinforce=replace(small.reinforce, steps=3, prompts_per_step=4, samples_per_prompt=2),
    )


def large() -> Config:
    """Sizes for one to two billion parameters and real comparisons. Not measured by us, and on the CPU so far."""
    small = default()
    return replace(
        small,
        model=replace(
            small.model,
            policy="Qwen/Qwen2.5-1.5B-Instruct",
            max_context_tokens=2048,
            adapters=AdapterConfig(rank=32, alpha=64.0),
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
        best_of_n=64,
        ppo=replace(small.ppo, steps=200, prompts_per_step=64, epochs=2, minibatches=4, max_tokens=16_384),
        rloo=replace(small.rloo, steps=200, prompts_per_step=64, minibatches=4, max_tokens=16_384),
        reinforce=replace(small.reinforce, steps=200, prompts_per_step=64, max_tokens=16_384),
    )


SCALES: dict[str, Callable[[], Config]] = {"default": default, "smoke": smoke, "large": large}
