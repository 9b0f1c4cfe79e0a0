"""What `christiano2017_mujoco` and `christiano2017_atari` share: arms trained from the same seeds, compared, filmed."""

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from torch import nn

from preflab.atomic_files import write_atomically
from preflab.checks import check_at_least
from preflab.config_overrides import check_types
from preflab.control.agents.agent import Agent
from preflab.control.archive import ClipArchive
from preflab.control.environments.env import Renderer, VectorEnv
from preflab.control.preference_loop import LoopConfig, PreferenceLoop, clip_steps_of
from preflab.control.rendering.clip_video import encode_video, side_by_side
from preflab.control.rewards.ensemble import EnsembleConfig, RewardEnsemble
from preflab.control.rewards.label_log import LabelLog, SynchronousLabeller
from preflab.control.rewards.oracle import Oracle, OracleConfig
from preflab.control.trajectory import Trajectory, rollout
from preflab.control.true_reward_loop import TrueRewardLoop
from preflab.errors import ConfigError
from preflab.maths.query_selection import disagreement
from preflab.maths.statistics import Estimate, mean_with_interval
from preflab.recipes.christiano2017.arms import TRUE, Arm, arm_of
from preflab.recipes.christiano2017.claims import verdicts
from preflab.recipes.christiano2017.run_loop import run_as_stage
from preflab.run import Run

FILM = "before-after.gif"
_FILM_SECONDS = 4.0
_MOST_FPS = 20.0


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Settings that both recipes have; saved beside a run's results."""

    labels: int
    """Of the ablations; the arm ``labels`` with this number is what they are held against."""
    arms: tuple[str, ...]
    """``true_reward``, ``labelsN``, the ablations (random, one, offline, weights_only, unregularised, steps, target),
    flips and flips_trusted (an oracle that errs). Each has queries of its own: ``labels``, or its N."""
    seeds: int
    copies: int = 16
    points: int = 10
    """Parts into which curves are cut; the last is the result."""
    loop: LoopConfig
    """Its ``queries`` are those of each arm."""
    ensemble: EnsembleConfig = field(default_factory=EnsembleConfig)
    oracle: OracleConfig = field(default_factory=OracleConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "labels", "seeds", "copies", "points")
        if not self.arms:
            raise ConfigError("arms must name at least one, got none")
        if len(set(self.arms)) < len(self.arms):
            raise ConfigError(f"an arm is named twice: {', '.join(self.arms)}")
        middle = self.arm(self.middle)
        for name in self.arms:
            same = replace(self.arm(name), name=self.middle) == middle
            if same and name not in (TRUE, self.middle):
                raise ConfigError(f"arm {name!r} differs from {self.middle!r} in nothing under these settings")
        if self.loop.blind:
            raise ConfigError("loop.blind=true: the oracle would see no reward")

    def unread(self) -> dict[str, str]:
        """Settings that nothing reads under the others, and because of which."""
        return {"loop.queries": "arms, which have queries of their own (labels, or the number in the arm's name)"}

    def arm(self, name: str) -> Arm:
        """The arm of that name under these settings."""
        return arm_of(name, self.labels, self.loop, self.ensemble, self.oracle)

    @property
    def middle(self) -> str:
        """The arm that ablations are held against."""
        return f"labels{self.labels}"


@dataclass(frozen=True)
class Parts:
    """What a recipe trains, made anew for every arm and seed."""

    env: Callable[[int, int], VectorEnv]
    """Of copies and a seed."""
    agent: Callable[[VectorEnv, int], Agent]
    predictor: Callable[[VectorEnv], nn.Module]
    painter: Callable[[], Renderer]
    episode: int
    """Steps over which an untrained policy is measured."""
    normalise: bool = True
    """Whether the true reward is brought to mean 0 and deviation 1."""
    facts: Callable[[VectorEnv], Callable[[Trajectory], dict[str, float]]] | None = None
    """What else is logged of each stretch."""


def run_experiment(config: Experiment, parts: Parts, run: Run) -> None:
    """Train every arm from every seed, compare, film; each is a stage, and none is done twice.

    Raises:
        ConfigError: before anything is trained, where no clip or no episode would ever be whole.
    """
    _check(config, parts)
    run.stage("untrained", lambda: untrained(config, parts, run))
    for seed in range(config.seeds):
        for name in config.arms:
            arm = config.arm(name)
            run.stage(f"{name}-{seed}", lambda arm=arm, seed=seed: train(config, parts, run, arm, seed))  # type: ignore[misc]
            # An oracle's answers, which are kept, can be had again; not before the stage is done: it may be killed.
            shutil.rmtree(run.folder / "arms" / f"{name}-{seed}" / "clips", ignore_errors=True)
    run.stage("compare", lambda: compare(config, run))
    run.stage("film", lambda: record_video(config, parts, run))


def _check(config: Experiment, parts: Parts) -> None:
    spec = parts.env(1, config.seed).spec  # the same for any number of copies
    for name in config.arms:
        clip_steps_of(config.arm(name).loop, spec, config.copies)
    if config.loop.steps // config.copies < parts.episode:
        raise ConfigError(
            f"loop.steps ({config.loop.steps}) are {config.loop.steps // config.copies} for each of {config.copies} "
            f"copies: no episode of {parts.episode} would end"
        )


def train(config: Experiment, parts: Parts, run: Run, arm: Arm, seed: int) -> dict[str, Any]:
    """One arm from one seed, from its last checkpoint to its end."""
    name, start = f"{arm.name}-{seed}", run.seed_of(f"agent {seed}")  # the same in every arm
    env = parts.env(config.copies, start)
    agent = parts.agent(env, start)
    facts = parts.facts(env) if parts.facts else None
    folder = run.folder / "arms" / name
    loop: TrueRewardLoop | PreferenceLoop
    if arm.name == TRUE:
        loop = TrueRewardLoop(config.loop, env, agent, normalise=parts.normalise, facts=facts)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        ensemble = RewardEnsemble(lambda: parts.predictor(env), arm.ensemble, seed=start)
        judge, archive = SynchronousLabeller(Oracle(arm.oracle), seed=start), ClipArchive(folder / "clips")
        journal = LabelLog(folder / "answers.jsonl")
        loop = PreferenceLoop(arm.loop, env, agent, ensemble, judge, archive, journal, facts=facts, seed=start)
    run_as_stage(loop, run, name, steps=config.loop.steps, label=name)
    run.save_weights(name, agent.state())
    told = _told(config, run.metrics(name))
    if isinstance(loop, PreferenceLoop):
        told |= {"disputed_now": _disputed_now(loop), "target_std": arm.ensemble.target_std}
    return {**told, "episodes": loop.episodes.over}


def _disputed_now(loop: PreferenceLoop) -> float | None:
    """Mean variance, by the predictors as they ended, of the pairs that were asked once they were fitted."""
    labels = [label for label in loop.labels.all if label.step > loop.config.first_steps]
    pairs = [(loop.labels.clips[label.left], loop.labels.clips[label.right]) for label in labels]
    if not pairs or len(loop.ensemble.members) < 2:
        return None
    return float(disagreement(loop.ensemble.pair_gaps(pairs), loop.config.disagreement).mean())


def _told(config: Experiment, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The curve of one run over equal parts of its steps, and how it ended."""
    last, half = lines[-1], [line for line in lines if line["step"] > config.loop.steps / 2]
    asked = [line for line in lines if line.get("disputed_asked") is not None]
    return {
        "curve": _over_parts(config, lines, "true_return", "episodes"),
        "handed": _over_parts(config, lines, "handed_return", "episodes"),
        "scores": _over_parts(config, lines, "score", "games"),
        "steps": last["step"],
        "labels": {name: last[name] for name in ("left", "right", "tie", "cannot tell") if name in last},
        "rank_correlation": _latest(lines, "rank_correlation"),
        "disputed_asked": _weighted(asked, "disputed_asked", "asked_now"),
        "disputed_candidates": _weighted(asked, "disputed_candidates", "asked_now"),
        "held_out_accuracy": _latest(lines, "held_out_accuracy"),
        "mean_reward": float(np.mean([line["mean_reward"] for line in half])) if half else None,
        "std_reward": float(np.mean([line["std_reward"] for line in half])) if half else None,
    }


def _over_parts(config: Experiment, lines: Sequence[dict[str, Any]], what: str, count: str) -> list[float | None]:
    """Means of a number over equal parts of the steps, each line counted as often as it says; None where none is."""
    parts = np.linspace(0, config.loop.steps, config.points + 1)
    told = [line for line in lines if line.get(count)]
    found: list[float | None] = []
    for low, high in pairwise(parts):
        own = [line for line in told if low < line["step"] <= high or high == parts[-1] < line["step"]]
        found.append(_weighted(own, what, count))
    return found


def _weighted(lines: Sequence[dict[str, Any]], what: str, count: str) -> float | None:
    n = sum(line[count] for line in lines)
    return sum(line[count] * line[what] for line in lines) / n if n else None


def _latest(lines: Sequence[dict[str, Any]], what: str) -> float | None:
    return next((line[what] for line in reversed(lines) if line.get(what) is not None), None)


def untrained(config: Experiment, parts: Parts, run: Run) -> dict[str, Any]:
    """True return of each seed's policy before it learned, over one episode of every copy."""
    found = []
    for seed in range(config.seeds):
        start = run.seed_of(f"agent {seed}")
        env = parts.env(config.copies, start + 1)
        agent = parts.agent(env, start)
        found.append(float(rollout(env, agent.act, parts.episode).true_reward.sum(axis=0).mean()))
    return {"returns": found, "mean": mean_with_interval(np.array(found))}


def record_video(config: Experiment, parts: Parts, run: Run) -> dict[str, Any]:
    """Seconds of the first seed's policy, before on the left and after on the right, from the same start."""
    start, arm = run.seed_of("agent 0"), config.middle if config.middle in config.arms else config.arms[-1]
    sides, painter = [], parts.painter()
    for when in ("before", "after"):
        env = parts.env(1, start + 2)
        agent = parts.agent(env, start)
        if when == "after":
            agent.load_state(run.load_weights(f"{arm}-0"))
        steps = min(env.spec.horizon, round(_FILM_SECONDS * env.spec.fps))
        stretch = rollout(env, agent.act, steps, keep_states=True)
        shown = stretch.observations if stretch.states is None else stretch.states
        every = max(1, math.ceil(env.spec.fps / _MOST_FPS))
        sides.append([painter(own) for own in shown[::every, 0]])
        fps = env.spec.fps / every
    write_atomically(run.folder / FILM, encode_video(side_by_side(*sides), fps))
    return {"film": FILM, "arm": arm}


def compare(config: Experiment, run: Run) -> dict[str, Any]:
    """Arms over seeds, and what they say of the claims."""
    start = np.array(run.result("untrained")["returns"])
    found = {arm: [run.result(f"{arm}-{seed}") for seed in range(config.seeds)] for arm in config.arms}
    returns = {arm: np.array([_end(one["curve"]) for one in own]) for arm, own in found.items()}
    return {
        "verdicts": verdicts(returns, start, found, config.middle),
        "returns": {arm: mean_with_interval(own) for arm, own in returns.items()},
        "by_seed": {arm: own.tolist() for arm, own in returns.items()},
        "curves": {arm: _curve([one["curve"] for one in own]) for arm, own in found.items()},
        "at": np.linspace(0, config.loop.steps, config.points + 1)[1:].tolist(),
    }


def _end(curve: list[float | None]) -> float:
    """The last part of the run in which an episode ended."""
    return next(own for own in reversed(curve) if own is not None)


def _curve(curves: list[list[float | None]]) -> list[Estimate | None]:
    """Mean over seeds at each part of the run; None where a seed has no episode that ended."""
    found: list[Estimate | None] = []
    for own in zip(*curves, strict=True):
        told = [value for value in own if value is not None]
        found.append(mean_with_interval(np.array(told)) if len(told) == len(own) else None)
    return found
