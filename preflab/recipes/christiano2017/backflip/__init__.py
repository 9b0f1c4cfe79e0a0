"""A hopper learns a backflip, for which no reward exists, from comparisons of short clips.

Paper     Christiano et al. 2017, "Deep Reinforcement Learning from Human Preferences", arXiv 1706.03741, sec. 3.2
Claim     A simulated hopper learns a sequence of backflips from about 900 queries in less than an hour of feedback.
Measures  turns backwards in an episode (forwards negative), mean over episodes with a 95 % interval, before and after.
Needs     The extra `control`; for people the extra `web` and a site beside it (docs/control-backflip.md).
Differs   PPO in place of TRPO, with an entropy bonus of 0.001, not 0.01; episodes of 2 s below `paper`; the pitch is
          seen within half a turn; labels come from a scripted judge of the clip's states unless people are asked; below
          `paper` they come half as often after a tenth of the steps, not 2 million. Predictors as in
          christiano2017_mujoco, without L2 on returns. The hopper task's own reward is not used at all.
Result    docs/control-backflip.md
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from preflab.atomic_files import write_atomically
from preflab.control.agents.ppo import PPO
from preflab.control.archive import ClipArchive
from preflab.control.preference_loop import PreferenceLoop
from preflab.control.rendering.clip_video import encode_video
from preflab.control.rendering.mujoco import BodyPainter
from preflab.control.rewards.ensemble import RewardEnsemble
from preflab.control.rewards.label_log import ClipLabeller, LabelLog, SynchronousLabeller
from preflab.control.rewards.reward_networks import MLP
from preflab.control.trajectory import Trajectory, rollout
from preflab.errors import ConfigError
from preflab.maths.statistics import mean_with_interval
from preflab.recipes.christiano2017.backflip.config import (
    INSTRUCTIONS,
    RESUME_MAY_CHANGE,
    SCALES,
    TITLE,
    Config,
    paper,
    small,
    smoke,
)
from preflab.recipes.christiano2017.backflip.hopper import TurningHopper
from preflab.recipes.christiano2017.backflip.report import write_report
from preflab.recipes.christiano2017.backflip.summary import summarise
from preflab.recipes.christiano2017.backflip.synthetic_judge import PITCH, Judge, flips
from preflab.recipes.christiano2017.run_loop import run_as_stage
from preflab.run import Run

__all__ = ["RESUME_MAY_CHANGE", "SCALES", "Config", "main", "paper", "small", "smoke", "summarise", "write_report"]


def main(config: Config, run: Run) -> None:
    """Measure the untrained policy, learn, measure again, film both."""
    from preflab.recipes.christiano2017.backflip.report import write_report

    torch.set_num_threads(1)  # networks this small are slower on more
    journal = LabelLog(run.folder / "answers.jsonl")
    archive = ClipArchive(run.folder / "clips")
    with _compares(config, run, archive, journal) as labeller:
        env = TurningHopper("hopper", config.copies, seed=config.seed, horizon=config.horizon)
        agent = PPO(env.spec, config.agent, seed=config.seed)
        size = env.spec.obs_shape[0], int(env.model.nu)
        ensemble = RewardEnsemble(lambda: MLP(*size), config.ensemble, seed=config.seed)
        loop = PreferenceLoop(
            config.loop, env, agent, ensemble, labeller, archive, journal, facts=_height, seed=config.seed
        )
        run.stage("before", lambda: measure(agent, config, run.folder / "before.gif"))
        run.stage("learn", lambda: _learn(loop, run))
        agent.load_state(run.load_weights("agent"))
        run.stage("after", lambda: measure(agent, config, run.folder / "after.gif"))
    write_report(run.folder)


@contextmanager
def _compares(config: Config, run: Run, archive: ClipArchive, journal: LabelLog) -> Iterator[ClipLabeller]:
    """Whoever compares, for as long as the run lasts."""
    if config.labeller == "judge":
        yield SynchronousLabeller(Judge(config.judge))
        return
    from preflab.data.store.open import open_store
    from preflab.feedback.video_store import open_video_store
    from preflab.recipes.christiano2017.human_labeller import People, VideoSettings, identity_of, open_study

    store = open_store(config.store)
    try:
        films = open_video_store(store, Path(config.films) if config.films else None)
        if films is None:
            raise ConfigError("the store is on a server: name the folder of films that the site serves (films=FOLDER)")
        open_study(store, config.study, title=TITLE, instructions=INSTRUCTIONS)
        filming = VideoSettings(painter=BodyPainter("hopper"), fps=40.0)
        own = identity_of(run.folder)
        found = People(store, config.study, run=own, films=films, archive=archive, filming=filming)
        found.mark(journal.labels())
        yield found
    finally:
        store.close()


def _height(stretch: Trajectory) -> dict[str, float]:
    """Of the torso, metres."""
    assert stretch.states is not None
    return {"height": float(stretch.states[..., 1].mean())}


def _learn(loop: PreferenceLoop, run: Run) -> Mapping[str, Any]:
    """The loop from its last checkpoint to its end."""
    run_as_stage(loop, run, "learn", steps=loop.config.steps, label="learn a backflip")
    run.save_weights("agent", loop.agent.state())
    seconds = [label.seconds for label in loop.labels.all if label.seconds is not None]
    return {
        "steps": loop.step,
        "updates": loop.rounds,
        "queries": len(loop.asked),
        "labels": loop.labels.counts(),
        "labellers": sorted({label.labeller for label in loop.labels.all}),
        "seconds_answering": sum(seconds) if seconds else None,
    }


def measure(agent: PPO, config: Config, path: Path) -> Mapping[str, Any]:
    """Turns of fresh episodes, and a film of the one in the middle; the policy's actions are drawn as in training."""
    env = TurningHopper("hopper", config.episodes, seed=config.seed + 7_777, horizon=config.horizon)
    own = PPO(env.spec, config.agent, seed=config.seed + 7_777)  # the draws of learning are left as they are
    own.load_state(agent.state())
    stretch = rollout(env, own.act, config.horizon, keep_states=True)
    assert stretch.states is not None
    turns = flips(stretch.states[:, :, PITCH])
    middle = int(np.argsort(turns)[len(turns) // 2])
    write_atomically(path, _film(stretch.states[:, middle], env.spec.fps))
    return {
        "turns": mean_with_interval(turns),
        "most": float(turns.max()),
        "share_of_a_turn_or_more": float((turns >= 1).mean()),
        "height": float(stretch.states[..., 1].mean()),
        "film": path.name,
    }


def _film(states: Float[np.ndarray, "step qpos"], fps: float) -> bytes:
    """Every second step at half the rate: an episode of two seconds, slowed down as people see clips."""
    painter = BodyPainter("hopper")
    return encode_video([painter(state) for state in states[::2]], fps / 2)
