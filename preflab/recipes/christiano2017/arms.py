"""The agents that `christiano2017_mujoco` and `christiano2017_atari` compare: one on the true reward, others on labels,
and the ablations."""

from dataclasses import dataclass, replace
from typing import Any

from preflab.control.loop_config import LoopConfig
from preflab.control.rewards.ensemble_config import EnsembleConfig
from preflab.control.rewards.oracle import OracleConfig
from preflab.conversion import did_you_mean
from preflab.errors import ConfigError

TRUE = "true_reward"
ABLATIONS = {
    "random": "pairs drawn by chance, not by disagreement",
    "one": "one reward network in place of several, and so pairs drawn by chance",
    "offline": "all labels from the untrained policy",
    "weights_only": "L2 on weights alone, as in the paper",
    "unregularised": "no L2 on weights or returns",
    "steps": "single steps compared in place of clips",
    "target": "the clip's true return by squared error in place of comparisons",
}
"""Sec. 3.3 of the paper, and its own regularisation; each differs from ``labelsN`` of the same budget in this alone.

``one`` differs in two things, as the paper's "no ensemble" does: a single network has nothing to disagree with. Its
bootstrap, held-out labels and adaptive L2 are those of a member, so that from ``random`` it differs in members alone.
"""
NOISE = {
    "flips": "a tenth of the answers turned round",
    "flips_trusted": "a tenth of the answers turned round, and none taken to be",
}
"""What the lapse rate of sec. 2.2.3 is for; the two differ in it alone."""
VARIANTS = ABLATIONS | NOISE

# What an ablation makes dead is put back to its default beside it: the configs refuse any other value there.
_ALL_AT_FIRST: dict[str, Any] = {
    "pretrain_label_share": 1.0,
    "schedule": "hyperbolic",
    "half_life": None,
    "points": (),
    "query_until": 1.0,
}
_IN_LOOP: dict[str, dict[str, Any]] = {
    "random": {"random_queries": True, "oversample": 10},
    "one": {"random_queries": True, "oversample": 10},
    "offline": _ALL_AT_FIRST,
    "steps": {"clip_steps": 1},
}
_NOT_ADAPTED: dict[str, Any] = {"l2_step": 0.0, "low_ratio": 1.1, "high_ratio": 1.5}
_IN_ENSEMBLE: dict[str, dict[str, Any]] = {
    "one": {"members": 1},
    "weights_only": {"return_l2": 0.0},
    "unregularised": {"return_l2": 0.0, "l2": 0.0, **_NOT_ADAPTED},
    "target": {"target": True, "lapse": 0.1},
    "flips_trusted": {"lapse": 0.0},
}
_IN_ORACLE: dict[str, dict[str, Any]] = {"flips": {"flip": 0.1}, "flips_trusted": {"flip": 0.1}}


@dataclass(frozen=True)
class Arm:
    """One way of training the agent."""

    name: str
    loop: LoopConfig
    ensemble: EnsembleConfig
    oracle: OracleConfig


def is_budget(arm: str) -> bool:
    """Whether it is ``labelsN``."""
    return arm.startswith("labels") and arm[6:].isdigit() and int(arm[6:]) > 1


def describe(arm: str) -> str:
    """What an arm is, for a report."""
    if arm == TRUE:
        return "the true reward"
    return f"{int(arm[6:]):,} labels" if is_budget(arm) else VARIANTS[arm]


def arm_of(name: str, labels: int, loop: LoopConfig, ensemble: EnsembleConfig, oracle: OracleConfig) -> Arm:
    """The arm of that name; ``labels`` is the budget of ablations.

    Raises:
        ConfigError: there is none of that name.
    """
    if name != TRUE and not is_budget(name) and name not in VARIANTS:
        names = [TRUE, f"labels{labels}", *VARIANTS]
        raise ConfigError(f"no arm {name!r}{did_you_mean(name, names) or '; known are ' + ', '.join(names)}")
    queries = int(name[6:]) if is_budget(name) else labels
    return Arm(
        name,
        replace(loop, queries=queries, **_IN_LOOP.get(name, {})),
        replace(ensemble, **_IN_ENSEMBLE.get(name, {})),
        replace(oracle, **_IN_ORACLE.get(name, {})),
    )
