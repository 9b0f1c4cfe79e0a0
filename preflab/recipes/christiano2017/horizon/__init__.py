"""A constant reward balances a pole, if falling ends the episode: why horizons must be fixed.

Paper     Christiano et al. 2017, "Deep Reinforcement Learning from Human Preferences", arXiv 1706.03741, appendix A,
          which takes early ends out of every task because they tell the agent what is good.
Claims    Ours, after theirs: with episodes that end when the pole falls, an agent that is paid the same for every step,
          with no label and nothing learned, scores high. With episodes of one length it learns nothing from that.
          Paid minus the same for every step, it learns to fall: the sign, a mere convention, decides.
Measures  steps until the pole falls, of the horizon at most; every agent in fresh episodes that end with the fall. Mean
          over seeds with a 95 % interval (Student's t); differences are paired by seed.
Needs     gymnasium. Two and a half minutes of one core.
Differs   PPO in place of TRPO, without the entropy bonus of 0.01; CartPole-v1, on which the paper does not report. In
          the fixed version a fallen pole is set up afresh behind the agent's back.
Result    docs/papers.md#christiano2017_horizon
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from preflab.control.agents.ppo import PPO
from preflab.control.environments.classic_tasks import ClassicEnv
from preflab.control.trajectory import rollout
from preflab.maths.statistics import Estimate, mean_with_interval
from preflab.recipes.christiano2017.horizon.config import ARMS, SCALES, SOURCE, TASK, Config, paper, small, smoke
from preflab.recipes.christiano2017.horizon.report import write_report
from preflab.recipes.christiano2017.horizon.summary import summarise
from preflab.reporting.verdicts import Verdict, claim_above
from preflab.run import Run

__all__ = ["SCALES", "Config", "main", "paper", "small", "smoke", "summarise", "write_report"]


def main(config: Config, run: Run) -> None:
    """Train every arm from every seed, compare, report; each is a stage, and none is done twice."""
    torch.set_num_threads(1)  # networks of 64 units: more threads wait for each other
    for seed in range(config.seeds):
        for arm in ARMS:
            name = f"{arm}{seed}"
            run.stage(name, lambda arm=arm, seed=seed, name=name: _train(config, run, name, arm, seed))  # type: ignore[misc]
    run.stage("compare", lambda: _compare(config, run))
    write_report(run.folder)


def _train(config: Config, run: Run, name: str, arm: str, seed: int) -> dict[str, Any]:
    """One agent under a constant reward: steps until the fall, before, between and after its updates."""
    ends, reward = ARMS[arm]
    start = run.seed_of(f"agent {seed}")  # the same in every arm
    env = ClassicEnv(TASK, config.copies, seed=start, ends=ends, horizon=config.horizon)
    agent = PPO(env.spec, config.ppo, seed=start)
    curve = [[0, steps_until_fall(agent.act, config, start)]]
    with run.progress(name, config.updates, "updates") as advance:
        for update in range(1, config.updates + 1):
            stretch = rollout(env, agent.act, config.steps)
            agent.update(stretch, np.full(stretch.true_reward.shape, reward))
            if update % config.measure_every == 0 or update == config.updates:
                curve.append([update * stretch.steps, steps_until_fall(agent.act, config, start)])
                run.log(name, step=curve[-1][0], balanced=curve[-1][1])
            advance(1)
    return {"arm": arm, "curve": curve, "untrained": curve[0][1], "trained": curve[-1][1], "falls": env.early_ends}


def steps_until_fall(act: Callable[[np.ndarray], np.ndarray], config: Config, seed: int) -> float:
    """Mean over fresh episodes, each from the same starts for every agent of a seed; actions are drawn."""
    env = ClassicEnv(TASK, config.episodes, seed=seed + 1, ends="show", horizon=config.horizon)
    up, steps = np.ones(config.episodes, dtype=bool), np.zeros(config.episodes)
    while up.any():
        steps += up
        up &= ~env.step(act(env.observations)).ended
    return float(steps.mean())


def _compare(config: Config, run: Run) -> dict[str, Any]:
    """Arms over seeds, and what they say of the claims."""
    found = {arm: [run.result(f"{arm}{seed}") for seed in range(config.seeds)] for arm in ARMS}
    after = {arm: np.array([one["trained"] for one in own]) for arm, own in found.items()}
    before = np.array([one["untrained"] for one in found["fixed"]])
    steps = [point[0] for point in found["fixed"][0]["curve"]]
    curves = {
        arm: [mean_with_interval(np.array([one["curve"][k][1] for one in own])) for k in range(len(steps))]
        for arm, own in found.items()
    }
    return {
        "verdicts": _verdicts(before, after, config.horizon),
        "untrained": mean_with_interval(before),
        "trained": {arm: mean_with_interval(own) for arm, own in after.items()},
        "steps": steps,
        "curves": curves,
        "falls": {arm: sum(one["falls"] for one in own) for arm, own in found.items()},
    }


def _verdicts(before: np.ndarray, after: dict[str, np.ndarray], horizon: int) -> list[Verdict]:
    high, far, little = 0.8 * horizon, 0.6 * horizon, 0.1 * horizon
    claims: list[tuple[str, Estimate, float]] = [
        (
            f"paid +1 for every step, with episodes that end at a fall, it balances for over {high:g} steps",
            mean_with_interval(after["varying"]),
            high,
        ),
        (
            f"... over {far:g} steps longer than with episodes of one length",
            mean_with_interval(after["varying"] - after["fixed"]),
            far,
        ),
        (
            f"with episodes of one length it gains less than {little:g} steps: untrained minus trained",
            mean_with_interval(before - after["fixed"]),
            -little,
        ),
        (
            "paid -1 for every step, with episodes that end at a fall, it learns to fall: untrained minus trained",
            mean_with_interval(before - after["minus"]),
            0.0,
        ),
    ]
    return [
        claim_above(words, estimate, threshold, unit="steps", source=SOURCE) for words, estimate, threshold in claims
    ]
