"""Training one arm of `christiano2017_mujoco` from one seed, and comparing all."""

import math
import shutil
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from preflab.control.archive import ClipArchive
from preflab.control.drawing import BodyPainter
from preflab.control.ensemble import RewardEnsemble
from preflab.control.episodes import Episodes
from preflab.control.film import film
from preflab.control.journal import AtOnce, Journal
from preflab.control.loop import PreferenceLoop
from preflab.control.mujoco_tasks import MujocoEnv
from preflab.control.normal import Moments
from preflab.control.oracle import Oracle
from preflab.control.ppo import PPO
from preflab.control.predictor import MLP
from preflab.control.saving import prefixed, under
from preflab.control.stretch import collect
from preflab.data.whole import write_whole
from preflab.maths.statistics import Estimate, mean_with_interval
from preflab.recipes.christiano2017_following import follow
from preflab.recipes.christiano2017_mujoco_arms import TRUE, Arm
from preflab.recipes.christiano2017_mujoco_claims import verdicts
from preflab.run import Run

if TYPE_CHECKING:
    from preflab.recipes.christiano2017_mujoco import Config


class TrueRewardLoop:
    """The same agent on the true reward, brought to mean 0 and deviation 1 as predicted ones are."""

    def __init__(self, steps: int, stretch: int, env: MujocoEnv, agent: PPO) -> None:
        self.steps, self.stretch, self.env, self.agent = steps, stretch, env, agent
        self.scale, self.episodes, self.step = Moments(1), Episodes(env.n), 0

    def run(self, log: Any, keep: Any) -> None:
        """Go on to the end."""
        while self.step < self.steps:
            stretch = collect(self.env, self.agent.act, self.stretch)
            self.step += stretch.steps
            self.scale.add(stretch.true_reward.reshape(-1, 1))
            rewards = (stretch.true_reward - self.scale.mean[0]) / (self.scale.std[0] + 1e-8)
            told = self.agent.update(stretch, rewards)
            log(step=self.step, **told, **self.episodes.add(stretch, rewards))
            keep()

    def state(self) -> dict[str, Tensor]:
        """Everything that the future depends on."""
        return {
            **prefixed("agent", self.agent.state()),
            **prefixed("env", self.env.state()),
            **prefixed("episodes", self.episodes.state()),
            "scale": self.scale.state(),
            "step": torch.tensor(self.step),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on where another stopped."""
        self.agent.load_state(under(state, "agent"))
        self.env.load_state(under(state, "env"))
        self.episodes.load_state(under(state, "episodes"))
        self.scale.load_state(state["scale"])
        self.step = int(state["step"])


def train(config: "Config", run: Run, arm: Arm, seed: int) -> dict[str, Any]:
    """One arm from one seed, from its last checkpoint to its end. The clips it compared are then removed: an oracle's
    answers, which are kept, can be had again."""
    name, start = f"{arm.name}-{seed}", run.seed_of(f"agent {seed}")  # the same in every arm
    env = MujocoEnv(config.task, config.copies, seed=start, horizon=config.horizon)
    agent = PPO(env.spec, config.agent, seed=start)
    folder = run.folder / "arms" / name
    loop: TrueRewardLoop | PreferenceLoop
    if arm.name == TRUE:
        loop = TrueRewardLoop(config.loop.steps, config.loop.stretch, env, agent)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        size = env.spec.obs_shape[0], int(env.model.nu)
        ensemble = RewardEnsemble(lambda: MLP(*size), arm.ensemble, seed=start)
        judge, archive = AtOnce(Oracle(config.oracle), seed=start), ClipArchive(folder / "clips")
        journal = Journal(folder / "answers.jsonl")
        loop = PreferenceLoop(arm.loop, env, agent, ensemble, judge, archive, journal, seed=start)
    follow(loop, run, name, steps=config.loop.steps, label=name)
    run.save_weights(name, agent.state())
    shutil.rmtree(folder / "clips", ignore_errors=True)
    return _told(config, run.metrics(name))


def _told(config: "Config", lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The curve of one run over equal parts of its steps, and how it ended."""
    parts = np.linspace(0, config.loop.steps, config.points + 1)
    with_episodes = [line for line in lines if line.get("episodes")]
    curve: list[float | None] = []
    for low, high in pairwise(parts):
        own = [line for line in with_episodes if low < line["step"] <= high or high == parts[-1] < line["step"]]
        n = sum(line["episodes"] for line in own)
        curve.append(sum(line["episodes"] * line["true_return"] for line in own) / n if n else None)
    correlations = [line["rank_correlation"] for line in lines if line.get("rank_correlation") is not None]
    asked = [line for line in lines if line.get("disputed_asked") is not None]
    last = lines[-1]
    return {
        "curve": curve,
        "steps": last["step"],
        "labels": {name: last[name] for name in ("left", "right", "tie", "cannot tell") if name in last},
        "rank_correlation": correlations[-1] if correlations else None,
        "disputed_asked": float(np.mean([line["disputed_asked"] for line in asked])) if asked else None,
        "disputed_candidates": float(np.mean([line["disputed_candidates"] for line in asked])) if asked else None,
        "held_out_accuracy": last.get("held_out_accuracy"),
    }


def untrained(config: "Config", run: Run) -> dict[str, Any]:
    """True return of each seed's policy before it learned, over one episode of every copy."""
    found = []
    for seed in range(config.seeds):
        start = run.seed_of(f"agent {seed}")
        env = MujocoEnv(config.task, config.copies, seed=start + 1, horizon=config.horizon)
        agent = PPO(env.spec, config.agent, seed=start)
        found.append(float(collect(env, agent.act, env.spec.horizon).true_reward.sum(axis=0).mean()))
    return {"returns": found, "mean": mean_with_interval(np.array(found))}


def filmed(config: "Config", run: Run, arm: str) -> dict[str, Any]:
    """Three seconds of the first seed's policy before and after, from the same start."""
    start = run.seed_of("agent 0")
    found = {}
    for when in ("before", "after"):
        env = MujocoEnv(config.task, 1, seed=start + 2, horizon=config.horizon)
        agent = PPO(env.spec, config.agent, seed=start)
        if when == "after":
            agent.load_state(run.load_weights(f"{arm}-0"))
        steps = min(env.spec.horizon, round(3 * env.spec.fps))
        states = collect(env, agent.act, steps, keep_states=True).states
        assert states is not None
        painter = BodyPainter(config.task)
        write_whole(run.folder / f"{when}.gif", film([painter(own) for own in states[:, 0]], env.spec.fps))
        found[when] = f"{when}.gif"
    return {**found, "arm": arm}


def compare(config: "Config", run: Run) -> dict[str, Any]:
    """Arms over seeds, and what they say of the claims."""
    start = np.array(run.result("untrained")["returns"])
    found = {arm: [run.result(f"{arm}-{seed}") for seed in range(config.seeds)] for arm in config.arms}
    returns = {arm: np.array([_end(one["curve"]) for one in own]) for arm, own in found.items()}
    correlations = {
        arm: np.array([math.nan if one["rank_correlation"] is None else one["rank_correlation"] for one in own])
        for arm, own in found.items()
    }
    return {
        "verdicts": verdicts(returns, start, correlations, f"labels{config.labels}"),
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
