"""Settings of the loop: how long it is, how often it asks, how much it waits for."""

from dataclasses import dataclass

from preflab.checks import check_above, check_at_least, check_within, refuse_unread
from preflab.config_overrides import check_types
from preflab.control.environments.env import Spec
from preflab.errors import ConfigError
from preflab.maths.query_selection import Disagreement, Schedule, check_points


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How long the loop is, and how often it asks."""

    steps: int
    """Environment steps, over all copies."""
    pretrain_steps: int
    """Environment steps of the untrained policy, of which the first queries are made; a multiple of the copies."""
    queries: int
    """Pairs that are asked about in all."""
    pretrain_label_share: float = 0.25
    """Of the queries, made before the policy learns (appendix A.1); 1: all, the ablation "no online queries"."""
    rollout_steps: int = 128
    """Steps of each copy in a round, after which clips are cut, labels asked for and reward networks fitted; and
    between two updates of the policy, but for ``update_steps``."""
    update_steps: int | None = None
    """Update the policy after so many steps of each copy already, as A2C wants it, by the reward networks as they
    were at the round's start. Of the first steps it then learns from the last so many alone."""
    window: int | None = None
    """Report the returns of so many steps where episodes have no end."""
    clip_steps: int | None = None
    """Of a clip, where not the environment's own; 1: the ablation "no segments"."""
    candidates: int = 1000
    """Latest clips that may be asked about."""
    random_queries: bool = False
    """Ask about pairs drawn by chance: an ablation, and all that a single network can do."""
    disagreement: Disagreement = "probability"
    oversample: int = 10
    """Pairs among which those of highest disagreement are chosen, for each that is asked (sec. 2.2.4)."""
    schedule: Schedule = "hyperbolic"
    points: tuple[tuple[float, float], ...] = ()
    """Of the schedule ``custom``: share of the steps after the first, share of the labels due by then."""
    half_life: float | None = None
    """Environment steps after which labels come half as often; a tenth of the run by default, as 2e6 is of the paper's
    2e7 (read off its figures)."""
    label_buffer: int | None = None
    """Learn from so many of the latest labels alone: 3,000 on Atari."""
    pretrain_epochs: int = 40
    """Over the first labels, before the policy learns."""
    epochs: int = 1
    """Over all labels, each time the reward networks are fitted."""
    fit_every: int = 1
    """Rounds between two fits."""
    query_until: float = 1.0
    """Share of the steps by which all queries are made."""
    min_answered: float = 0.75
    """Share of the queries so far that must be answered before the policy goes on (rl-teacher's)."""
    hide_true_reward: bool = False
    """Clips hold zeros in place of the true reward: no labeller can have used it."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(
            self, 1, "steps", "pretrain_steps", "queries", "rollout_steps", "oversample", "pretrain_epochs", "epochs"
        )
        check_at_least(self, 1, "fit_every", "clip_steps", "label_buffer", "window", "update_steps")
        check_at_least(self, 2, "candidates")
        check_within(self, "(0, 1]", "pretrain_label_share", "query_until")
        check_within(self, "[0, 1]", "min_answered")
        check_above(self, 0, "half_life")
        if self.pretrain_steps > self.steps:
            raise ConfigError(f"pretrain_steps must be at most steps ({self.steps}), got {self.pretrain_steps}")
        if self.schedule not in ("hyperbolic", "stepwise"):
            refuse_unread(self, f"schedule={self.schedule}", "half_life")
        if self.random_queries:
            refuse_unread(self, "random_queries=true", "oversample")
        if self.pretrain_label_share == 1:
            refuse_unread(self, "pretrain_label_share=1", "schedule", "half_life", "points", "query_until")
        if self.schedule == "custom":
            check_points(self.points)
        elif self.points:
            raise ConfigError(f"points are of the schedule custom, got schedule {self.schedule}")
        if self.clip_steps is not None and self.clip_steps > self.rollout_steps:
            raise ConfigError(
                f"no clip of {self.clip_steps} steps (clip_steps) fits in rollout_steps {self.rollout_steps}"
            )
        if self.update_steps is not None and self.rollout_steps % self.update_steps:
            raise ConfigError(
                f"update_steps ({self.update_steps}) must be a divisor of rollout_steps ({self.rollout_steps})"
            )


def clip_steps_of(config: LoopConfig, spec: Spec, copies: int) -> int:
    """Steps of a clip.

    Raises:
        ConfigError: none is ever whole, or the first steps are no whole number of steps of all copies.
    """
    if config.pretrain_steps % copies:
        raise ConfigError(f"pretrain_steps ({config.pretrain_steps}) must be a multiple of the {copies} copies")
    steps = config.clip_steps or spec.clip_steps
    room = {
        "an episode": spec.horizon,
        "a rollout": config.rollout_steps,
        "the first steps of a copy": config.pretrain_steps // copies,
    }
    for container, limit in room.items():
        if steps > limit:
            raise ConfigError(f"{spec.name}: a clip has {steps} steps, {container} {limit}: none would ever be whole")
    return steps
