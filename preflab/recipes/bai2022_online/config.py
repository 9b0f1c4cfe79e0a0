"""Settings of the recipe ``bai2022_online``, and the scales at which it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import urlsplit

from preflab.checks import check_at_least
from preflab.config_overrides import check_types
from preflab.errors import ConfigError
from preflab.feedback.labellers.synthetic_annotator import SyntheticPreference
from preflab.feedback.protocols.chat import Chat
from preflab.models.adapters import AdapterConfig
from preflab.recipes.common.configs import ComparisonDataConfig, ModelConfig
from preflab.recipes.common.policy_optimisation import check_sampling_is_shared, default_ppo, default_rloo
from preflab.rollouts.generate import SamplingConfig
from preflab.training.optimiser import OptimiserConfig
from preflab.training.policy_gradient.config import PolicyGradientConfig, check_sampling
from preflab.training.policy_gradient.ppo import PPOConfig
from preflab.training.policy_gradient.rloo import RLOOConfig
from preflab.training.preference import PreferenceConfig

RESUME_MAY_CHANGE = ("model.device", "wait", "poll_seconds", "store")
"""Settings that may differ when a run is taken up again."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a run depends on; saved beside its results."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: ComparisonDataConfig = field(default_factory=ComparisonDataConfig)
    seed: int = 0
    topics_share: float = 0.0
    """Share of the static comparisons whose prompts annotators are given to begin with; 0: they choose themselves."""
    store: str = "collect/store.db"
    """Where the judgements are kept, as for ``preflab collect``; empty: ``store.db`` in the run's folder."""
    study: str = "online"
    """Name of the study; made when it is not there."""
    protocol: Chat = field(default_factory=Chat)
    """How annotators talk and choose."""
    instructions: str = (
        "Talk to the assistant about anything you like. At each turn choose the reply that is more helpful and honest."
    )
    """What annotators are told."""
    rounds: int = 2
    """Deploy, collect, retrain: so often."""
    judgements: int = 100
    """Choices of a round: it is trained on when so many count."""
    final_judgements: int = 50
    """Choices after the last round, for ratings alone, so that the last policy is judged too; 0: none."""
    snapshots: int = 3
    """Policies that answer at once: the newest ones, for diversity and so that ratings are connected. At least 2."""
    best_of: int = 1
    """Where above 1, the newest policy answers a second time as the best of so many by its preference model."""
    weakest: float = 0.0
    """Choices of at most this strength are not trained on; the source drops the weakest step."""
    online_copies: int = 1
    """How often each online comparison stands in the data, where the static ones stand once. In the source: 1."""
    annotators: Literal["people", "scripted"] = "people"
    """Who judges: people at the page, or this run itself by ``true_preference``, through the same desk as the page."""
    true_preference: SyntheticPreference | None = None
    """What the annotators like, where that is known (scripted ones): the report then says how much was learned. The
    static comparisons are judged anew by it."""
    wait: Literal["stay", "stop"] = "stay"
    """Without enough judgements: ``stay`` and look again, or ``stop``, to be started again later."""
    poll_seconds: float = 2.0
    """How often to look."""
    preference: PreferenceConfig = field(
        default_factory=lambda: PreferenceConfig(
            epochs=2, batch_comparisons=16, optimiser=OptimiserConfig(learning_rate=4e-4, warmup_steps=5)
        )
    )
    sampling: SamplingConfig = field(default_factory=lambda: SamplingConfig(max_new_tokens=48))
    """How replies are drawn: for annotators, in training, and for measuring."""
    evaluation_prompts: int = 32
    """Held-out prompts on which policies are compared."""
    replies_per_prompt: int = 2
    """Replies of each policy to each of them."""
    algorithm: Literal["ppo", "rloo"] = "ppo"
    """What trains the policy; its settings are those under its name."""
    ppo: PPOConfig = field(default_factory=lambda: default_ppo(15))
    """Its ``sampling`` is the one above, and is not set here; nor is that of ``rloo``."""
    rloo: RLOOConfig = field(default_factory=lambda: default_rloo(15))

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "evaluation_prompts", "replies_per_prompt")
        check_at_least(self, 0, "final_judgements", "weakest", "poll_seconds")
        checks = [
            (
                0 <= self.topics_share < 1 - self.data.held_out_share,
                "topics_share and held_out_share leave nothing to learn",
            ),
            (self.rounds >= 1 and self.judgements >= 1, "rounds and judgements must be at least 1"),
            (self.snapshots >= 2, f"snapshots must be at least 2, got {self.snapshots}: one alone cannot be rated"),
            (min(self.online_copies, self.best_of) >= 1, "online_copies and best_of must be at least 1"),
            (
                self.annotators == "people" or self.true_preference is not None,
                "annotators=scripted needs true_preference: what they like",
            ),
            (
                self.data.judge is None or self.true_preference is None,
                "data.judge and true_preference both label the static comparisons anew: set one of them",
            ),
            (self.annotators == "people" or self.topics_share > 0, "annotators=scripted needs topics_share above 0"),
            (
                "://" not in self.store or urlsplit(self.store).password is None,
                "store: settings are recorded, so leave the password out of the address and put it into PGPASSWORD",
            ),
            (self.training.measure_kl, f"{self.algorithm}.measure_kl=false: the report of this recipe needs KL"),
        ]
        for good, complaint in checks:
            if not good:
                raise ConfigError(complaint)
        check_sampling_is_shared(self.sampling, {"ppo": self.ppo, "rloo": self.rloo})
        check_sampling(self.sampling)

    def unread(self) -> dict[str, str]:
        """Settings that nothing reads under the others, and because of which."""
        dead = {"rloo" if self.algorithm == "ppo" else "ppo": f"algorithm={self.algorithm}"}
        dead |= self.model.unread()
        if self.annotators == "scripted":
            dead |= dict.fromkeys(("wait", "poll_seconds"), "annotators=scripted, who are not waited for")
        elif self.wait == "stop":
            dead["poll_seconds"] = "wait=stop"
        return dead

    @property
    def training(self) -> PolicyGradientConfig:
        """The settings of the algorithm that is used."""
        return self.ppo if self.algorithm == "ppo" else self.rloo


def default() -> Config:
    """People judge; two cores and 8 GB train the embedded model between the rounds. Not timed with people."""
    return Config()


def smoke() -> Config:
    """A random two-layer model that judges for itself: proves the plumbing and nothing else, in about a minute."""
    small = scripted()
    return replace(
        small,
        model=replace(small.model, policy="tiny", precision="fp32", adapters=AdapterConfig(rank=4, alpha=8.0)),
        data=replace(small.data, max_comparisons=60),
        protocol=replace(small.protocol, most_turns=2),
        rounds=2,
        judgements=10,
        final_judgements=6,
        preference=replace(small.preference, epochs=1, batch_comparisons=8),
        sampling=SamplingConfig(max_new_tokens=12),
        evaluation_prompts=6,
        ppo=replace(small.ppo, steps=2, prompts_per_step=4, samples_per_prompt=2),
        rloo=replace(small.rloo, steps=2, prompts_per_step=4, samples_per_prompt=2),
    )


def scripted() -> Config:
    """The embedded model, judged by scripted annotators who like brevity and err in one of ten choices."""
    return replace(
        default(),
        store="",
        annotators="scripted",
        true_preference=SyntheticPreference(criterion="brief", noise=0.1),
        topics_share=0.2,
        protocol=Chat(steps=9, most_turns=2),
        judgements=60,
        final_judgements=60,
    )


def toy() -> Config:
    """A random two-layer model, all its weights trained, judged by itself: small, and yet something is learned."""
    small = smoke()
    return replace(
        small,
        model=replace(small.model, full_finetune=True),
        data=replace(small.data, max_comparisons=200),
        judgements=100,
        final_judgements=100,
        evaluation_prompts=24,
        sampling=SamplingConfig(max_new_tokens=16),
        preference=replace(small.preference, epochs=3, optimiser=OptimiserConfig(learning_rate=3e-3, warmup_steps=5)),
        ppo=replace(
            small.ppo,
            steps=15,
            prompts_per_step=16,
            samples_per_prompt=4,
            policy=OptimiserConfig(learning_rate=3e-3, schedule="constant", warmup_steps=2),
        ),
    )


SCALES: dict[str, Callable[[], Config]] = {"default": default, "smoke": smoke, "toy": toy, "scripted": scripted}
