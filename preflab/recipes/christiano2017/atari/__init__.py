"""Atari games are learned from comparisons of clips of their screens, the score hidden.

Paper     Christiano et al. 2017, "Deep Reinforcement Learning from Human Preferences", arXiv 1706.03741, sec. 3.1.2,
          3.3 and appendix A.2.
Claims    Pong and BeamRider from 3,300 labels nearly match the true reward, others gain much; labels asked while the
          agent learns beat the same number asked before.
Measures  true return of 500 steps (33 s of play), the game's points clipped to [-1, 1] and 1 taken for each life lost,
          over seeds with a 95 % interval; differences are paired by seed. The scores of finished games beside it.
Needs     The extra `control`; cartridges come with ale-py.
Differs   Labels come in a smooth hyperbola, not in steps of 5 million frames, below `paper`; Adam, rates and batches of
          the reward networks, where L2 starts and how fast it moves are ours, the paper gives none; a bootstrap weighs
          each label once by Poisson, in place of draws from all; dropout takes whole filters; RMSProp in place of
          "Adam with alpha 0.99"; rectangles that are blanked are ours; a lost life costs 1, the paper names none. The
          first labels are a share of the budget: 500 of 5,500 at `paper`, as there, but 300 of 3,300 in ``labels3300``.
          Acting, asking and fitting take turns; at `paper` a tenth of a label is fitted for each step, as there.
          Scales below `paper` have fewer labels and steps: a core makes the paper's 50 million steps in two days of
          play for each arm and seed, before any fitting. An oracle answers.
Result    docs/papers.md#christiano2017_atari
"""

from collections.abc import Callable
from pathlib import Path

import torch

from preflab.control.agents.a2c import A2C
from preflab.control.environments.atari import AtariEnv
from preflab.control.environments.env import VectorEnv
from preflab.control.rendering.screens import ScreenRenderer
from preflab.control.rewards.reward_networks import ConvNet
from preflab.control.trajectory import Trajectory
from preflab.recipes.christiano2017.atari.config import SCALES, WINDOW, Config, paper, small, smoke
from preflab.recipes.christiano2017.experiment import run_experiment
from preflab.recipes.christiano2017.experiment_config import Parts
from preflab.recipes.christiano2017.report import Wording, summarise, write_experiment_report
from preflab.run import Run

__all__ = ["SCALES", "Config", "main", "paper", "small", "smoke", "summarise", "write_report"]


def main(config: Config, run: Run) -> None:
    """Train every arm from every seed, compare, render a video, report."""
    torch.set_num_threads(1)  # arms may run side by side; sixteen screens at a time gain little from a second
    run_experiment(config, _parts(config), run)
    write_report(run.folder)


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder; see `preflab.recipes.christiano2017.report.write_experiment_report`."""
    return write_experiment_report(folder, "christiano2017_atari", Config, _wording, SCALES)


def _wording(config: Config) -> Wording:
    return Wording(
        title=f"{config.game.replace('_', ' ')}: a reward from comparisons",
        measure=f"True return of {config.loop.window} steps (points clipped to [-1, 1], 1 taken for a life)",
        agent="A2C, as in the paper; steps and labels are far below its own.",
    )


def _parts(config: Config) -> Parts:
    def env(copies: int, seed: int) -> AtariEnv:
        return AtariEnv(config.game, copies, seed=seed)

    return Parts(
        env=env,
        agent=lambda env, seed: A2C(env.spec, config.agent, seed=seed),
        reward_network=lambda env: ConvNet(dropout=config.dropout),
        renderer=ScreenRenderer,
        episode=config.loop.window or WINDOW,
        normalise=False,  # the game's points, clipped, are what A2C's settings are for
        facts=_scores,
    )


def _scores(env: VectorEnv) -> Callable[[Trajectory], dict[str, float]]:
    """How many games ended since the last call, and their mean score."""

    def scores_of(trajectory: Trajectory) -> dict[str, float]:
        assert isinstance(env, AtariEnv)
        scores = env.finished_scores()
        return {"games": float(len(scores)), "score": sum(scores) / len(scores)} if scores else {"games": 0.0}

    return scores_of
