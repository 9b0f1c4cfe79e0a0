"""The agents that `christiano2017_mujoco` compares: one on the true reward, others on labels, and the ablations."""

from dataclasses import dataclass, replace
from typing import Any

from preflab.control.ensemble import EnsembleConfig
from preflab.control.loop import LoopConfig
from preflab.errors import ConfigError
from preflab.settings import did_you_mean

TRUE = "true_reward"
ABLATIONS = {
    "random": "pairs drawn by chance, not the disputed ones",
    "one": "one predictor, fitted to all labels, and pairs drawn by chance",
    "offline": "all labels from the untrained policy",
    "unregularised": "no L2",
    "steps": "single steps compared in place of clips",
    "target": "the clip's true return by squared error in place of comparisons",
}
"""Sec. 3.3 of the paper; each differs from ``labelsN`` of the same budget in this alone."""


@dataclass(frozen=True)
class Arm:
    """One way of training the agent."""

    name: str
    words: str
    loop: LoopConfig
    ensemble: EnsembleConfig


def arm_of(name: str, labels: int, loop: LoopConfig, ensemble: EnsembleConfig) -> Arm:
    """The arm of that name; ``labels`` is the budget of ablations.

    Raises:
        ConfigError: there is none of that name.
    """
    if name == TRUE:
        return Arm(name, "the true reward", loop, ensemble)
    if name.startswith("labels") and name[6:].isdigit() and int(name[6:]) > 1:
        return Arm(name, f"{int(name[6:]):,} labels", replace(loop, queries=int(name[6:])), ensemble)
    if name not in ABLATIONS:
        known = [TRUE, f"labels{labels}", *ABLATIONS]
        raise ConfigError(f"no arm {name!r}{did_you_mean(name, known) or '; known are ' + ', '.join(known)}")
    in_loop: dict[str, dict[str, Any]] = {
        "random": {"random_queries": True},
        "one": {"random_queries": True},
        "offline": {"first_share": 1.0},
        "steps": {"clip_steps": 1},
    }
    in_ensemble: dict[str, dict[str, Any]] = {
        "one": {"members": 1, "bootstrap": False},
        "unregularised": {"l2": 0.0, "l2_step": 0.0},
        "target": {"target": True},
    }
    return Arm(
        name,
        f"{labels:,} labels; {ABLATIONS[name]}",
        replace(loop, queries=labels, **in_loop.get(name, {})),
        replace(ensemble, **in_ensemble.get(name, {})),
    )
