"""Settings that every policy-gradient method has: batch, KL, limits, moving average, pretraining mix."""

import dataclasses
from dataclasses import dataclass, field

from preflab.checks import check_above, check_at_least, check_within, refuse_unread
from preflab.config_overrides import check_types
from preflab.errors import ConfigError
from preflab.rollouts.generate import SamplingConfig
from preflab.training.optimiser import OptimiserConfig
from preflab.training.policy_gradient.ptx import PtxConfig

FILTERS = ("top_k", "top_p", "repetition_penalty", "no_repeat_ngram")
"""Sampling settings that change the distribution in a way the trainer's log-probabilities do not follow."""


@dataclass(frozen=True, kw_only=True)
class PolicyGradientConfig:
    """How a policy is trained, whichever the method."""

    steps: int = 24
    prompts_per_step: int = 32
    samples_per_prompt: int = 1
    kl_coefficient: float = 0.05
    """Reward taken per nat of log-ratio to the reference, at every token; 0 takes none."""
    kl_target: float | None = None
    """Nats per reply to steer the coefficient towards (adaptive controller); None keeps it fixed."""
    kl_horizon: int = 10_000
    """Episodes over which the adaptive controller acts."""
    kl_limit: float | None = None
    """Stop the run when the mean KL of a batch exceeds this many nats per reply."""
    measure_kl: bool = True
    """False: no reference pass at all, and no KL in the metrics; only with a coefficient of 0."""
    exact_kl_rows: int = 0
    """Prompts of each step whose replies' KL is also computed over the whole vocabulary, for the log."""
    missing_eos_penalty: float = 1.0
    """Taken from the score of a reply that does not end its turn."""
    missing_eos_score: float | None = None
    """Put in place of the score of a reply that does not end its turn (Ziegler et al. 2019: -1); None keeps it."""
    max_sampler_trainer_gap: float | None = 0.5
    """Stop when sampler and trainer disagree by more than this mean |difference| in nats per token."""
    max_staleness: int = 0
    """Steps by which the weights that drew a reply may be behind; an engine that is further behind ends the run."""
    ema_decay: float | None = None
    """Keep a moving average of the policy's weights, updated once a step (Ouyang et al.: 0.992)."""
    ptx: PtxConfig = field(default_factory=PtxConfig)
    """Pretraining gradients mixed in (PPO-ptx); none by default."""
    max_tokens: int = 4096
    """Tokens per forward pass without gradient; half of it with. Where the graphs of a step's first minibatch, policy
    and value model together, hold no more than that half, its measuring pass serves as its first update's."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    policy: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=2e-4, schedule="constant"))

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "steps", "prompts_per_step", "samples_per_prompt", "kl_horizon", "max_tokens")
        check_at_least(self, 0, "missing_eos_penalty", "max_sampler_trainer_gap", "max_staleness", "exact_kl_rows")
        check_above(self, 0, "kl_target", "kl_limit")
        check_within(self, "[0, 1)", "ema_decay")
        if self.kl_target is None:
            refuse_unread(self, "kl_target=null", "kl_horizon")
        if self.missing_eos_score is not None:
            because = f"missing_eos_score={self.missing_eos_score}"
            refuse_unread(self, because, "missing_eos_penalty", neutral=0)
        if self.kl_coefficient < 0:
            raise ConfigError(
                f"kl_coefficient must be at least 0, got {self.kl_coefficient}; a negative one pays for KL"
            )
        needs_kl = {
            "kl_coefficient": self.kl_coefficient > 0,
            "kl_target": self.kl_target is not None,
            "kl_limit": self.kl_limit is not None,
            "exact_kl_rows": self.exact_kl_rows > 0,
        }
        if not self.measure_kl and any(needs_kl.values()):
            users = ", ".join(name for name, needed in needs_kl.items() if needed)
            raise ConfigError(f"measure_kl=false leaves out the reference, which {users} cannot do without")
        if self.kl_target is not None and self.kl_coefficient == 0:
            raise ConfigError("kl_target multiplies kl_coefficient, which is 0 and would stay so; start above 0")
        check_sampling(self.sampling)


def check_sampling(sampling: SamplingConfig) -> None:
    """Refuse to train on samples of another distribution than the one whose log-probabilities are computed."""
    if sampling.temperature == 0:
        raise ConfigError("a policy gradient needs samples: temperature must be above 0")
    for setting in dataclasses.fields(sampling):
        value = getattr(sampling, setting.name)
        if setting.name in FILTERS and value != setting.default:
            raise ConfigError(
                f"sampling.{setting.name}={value} draws from another distribution than the one whose log-probabilities "
                "are trained on, and the gradient would be wrong: leave it off in training (temperature may be set)"
            )
