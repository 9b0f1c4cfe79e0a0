"""The stages of `christiano2017_backflip`: measure a policy, learn from comparisons."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from preflab.atomic_files import write_atomically
from preflab.control.agents.ppo import PPO
from preflab.control.archive import ClipArchive
from preflab.control.preference_loop import PreferenceLoop
from preflab.control.rendering.mujoco import BodyRenderer
from preflab.control.rewards.label_log import LabelLog
from preflab.control.rewards.labellers import LabelSource, SynchronousLabeller
from preflab.control.trajectory import Trajectory, rollout
from preflab.errors import ConfigError
from preflab.maths.statistics import mean_with_interval
from preflab.recipes.christiano2017.backflip.config import INSTRUCTIONS, TITLE, Config
from preflab.recipes.christiano2017.backflip.hopper import (
    FPS,
    HEIGHT,
    PITCH,
    count_flips,
    render_episode,
    turning_hopper,
)
from preflab.recipes.christiano2017.backflip.results import LearningResult, TurnResult
from preflab.recipes.christiano2017.backflip.synthetic_labeller import SyntheticLabeller
from preflab.recipes.christiano2017.run_loop import run_as_stage
from preflab.run import Run


@contextmanager
def open_labels(config: Config, folder: Path) -> Iterator[LabelSource]:
    """Who compares, for as long as the run lasts.

    Raises:
        ConfigError: people are asked, and the site's folder of videos is not known.
    """
    log, archive = LabelLog(folder / "answers.jsonl"), ClipArchive(folder / "clips")
    if config.labeller == "synthetic":
        yield LabelSource(SynchronousLabeller(SyntheticLabeller(config.synthetic)), archive, log)
        return
    from preflab.data.store.open import open_store
    from preflab.feedback.video_store import open_video_store
    from preflab.recipes.christiano2017.human_labeller import HumanClipLabeller, VideoSettings, identity_of, open_study

    store = open_store(config.store)
    try:
        videos = open_video_store(store, Path(config.videos) if config.videos else None)
        if videos is None:
            raise ConfigError("the store is on a server: name the folder of videos that the site serves, videos=FOLDER")
        open_study(store, config.study, title=TITLE, instructions=INSTRUCTIONS)
        settings = VideoSettings(renderer=BodyRenderer("hopper"), fps=FPS, videos=videos)
        labeller = HumanClipLabeller(store, config.study, run=identity_of(folder), archive=archive, settings=settings)
        labeller.mark_delivered(log.labels())
        yield LabelSource(labeller, archive, log)
    finally:
        store.close()


def mean_height(trajectory: Trajectory) -> dict[str, float]:
    """Of the torso, metres."""
    assert trajectory.states is not None
    return {"height": float(trajectory.states[..., HEIGHT].mean())}


def learn(loop: PreferenceLoop, run: Run) -> LearningResult:
    """The loop from its last checkpoint to its end; the policy is saved as ``agent``."""
    run_as_stage(loop, run, "learn", steps=loop.config.steps, label="learn a backflip")
    run.save_weights("agent", loop.agent.state())
    labels = loop.learner.labels
    seconds = [label.seconds for label in labels.all if label.seconds is not None]
    return LearningResult(
        steps=loop.step,
        updates=loop.rounds,
        queries=len(loop.learner.queried),
        labels=labels.counts(),
        labellers=tuple(sorted({label.labeller for label in labels.all})),
        seconds_answering=sum(seconds) if seconds else None,
    )


def measure(agent: PPO, config: Config, path: Path) -> TurnResult:
    """Turns of fresh episodes, and a video of the median one; the policy's actions are drawn as in training."""
    seed = config.seed + 7_777
    env = turning_hopper(config.episodes, seed=seed, horizon=config.horizon)
    policy = PPO(env.spec, config.agent, seed=seed)  # a copy: the draws of learning are left as they are
    policy.load_state(agent.state())
    trajectory = rollout(env, policy.act, config.horizon, keep_states=True)
    assert trajectory.states is not None
    turns = count_flips(trajectory.states[:, :, PITCH])
    median = int(np.argsort(turns)[len(turns) // 2])
    write_atomically(path, render_episode(trajectory.states[:, median], env.spec.fps))
    return TurnResult(
        turns=mean_with_interval(turns),
        most_turns=float(turns.max()),
        share_of_a_turn_or_more=float((turns >= 1).mean()),
        height=mean_height(trajectory)["height"],
        video=path.name,
    )
