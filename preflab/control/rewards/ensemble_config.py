"""Settings of an ensemble of reward networks (Christiano et al. 2017, 2.2.3)."""

from dataclasses import dataclass

from preflab.checks import check_above, check_at_least, check_within, refuse_unread
from preflab.config_overrides import check_types
from preflab.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class EnsembleConfig:
    """How members are fitted."""

    members: int = 3
    lapse: float = 0.1
    """Share of answers that are taken to be random (sec. 2.2.3)."""
    bootstrap: bool = True
    """Whether each member has its own sample of the labels; without, all have all and none is held out."""
    learning_rate: float = 1e-3
    """Of Adam. The paper gives none; rl-teacher's."""
    batch_labels: int = 64
    return_l2: float = 0.0
    """Weight of squared returns in the loss, of a clip all of whose steps earn what one step does, mean over steps;
    1e-3 is a normal prior of 22 nats. Ours; the paper has none. Certain answers drive gaps ever further apart, and an
    answer to the contrary then has no gradient left (with lapses 4e-8 of it at 20 nats): the first labels are locked
    in. What it does on which task: docs/control.md."""
    l2: float = 1e-4
    """Weight decay to begin with. Adapted where labels are held out."""
    l2_step: float = 0.1
    """Factor 1 + step up or 1 - step down after each epoch; 0 keeps it as it is."""
    low_ratio: float = 1.1
    high_ratio: float = 1.5
    """Validation loss over training loss is kept between these (sec. 2.2.3)."""
    target_std: float = 1.0
    """Standard deviation of the rewards that the agent learns from: 1 on MuJoCo, 0.05 on Atari (appendix A)."""
    discount: float = 1.0
    """Of later steps of a clip in the loss; the paper discounts none and notes that one could."""
    target: bool = False
    """Fit the clip's true return by squared error in place of comparisons: the ablation "target" (sec. 3.3)."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "members", "batch_labels")
        check_at_least(self, 0, "l2", "return_l2")
        check_above(self, 0, "learning_rate", "target_std", "low_ratio")
        check_within(self, "[0, 1)", "lapse", "l2_step")
        check_within(self, "(0, 1]", "discount")
        if self.low_ratio > self.high_ratio:
            raise ConfigError(f"low_ratio must be at most high_ratio ({self.high_ratio}), got {self.low_ratio}")
        if self.target:
            refuse_unread(self, "target=true", "lapse", neutral=0)
        if not self.bootstrap:
            refuse_unread(self, "bootstrap=false, which holds no label out", "l2_step", neutral=0)
        if self.l2 == 0:
            refuse_unread(self, "l2=0", "l2_step", neutral=0)
        if not self.bootstrap or self.l2 == 0 or self.l2_step == 0:
            refuse_unread(self, "an l2 that is not adapted", "low_ratio", "high_ratio")
