"""A hopper learns a backflip, for which no reward exists, from comparisons of short clips.

Paper     Christiano et al. 2017, "Deep Reinforcement Learning from Human Preferences", arXiv 1706.03741, sec. 3.2
Claim     A simulated hopper learns a sequence of backflips from about 900 queries in less than an hour of feedback.
Measures  turns backwards in an episode (forwards negative), mean over episodes with a 95 % interval, before and after.
Needs     The extra `control`; for people the extra `web` and a site beside it (docs/control-backflip.md).
Differs   PPO in place of TRPO; episodes of 2 s; the pitch is seen within half a turn; labels come from a scripted judge
          of the clip's states unless people are asked. The hopper task's own reward is not used at all.
Result    docs/control-backflip.md
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from preflab.control.archive import ClipArchive
from preflab.control.drawing import BodyPainter
from preflab.control.ensemble import EnsembleConfig, RewardEnsemble
from preflab.control.film import film
from preflab.control.journal import AtOnce, ClipLabeller, Journal
from preflab.control.loop import LoopConfig, PreferenceLoop
from preflab.control.ppo import PPO, PPOConfig
from preflab.control.predictor import MLP
from preflab.control.stretch import Stretch, collect
from preflab.data.whole import write_whole
from preflab.errors import ConfigError
from preflab.maths.statistics import mean_with_interval
from preflab.recipes.christiano2017_backflip_hopper import TurningHopper
from preflab.recipes.christiano2017_backflip_judge import PITCH, Judge, JudgeConfig, flips
from preflab.recipes.christiano2017_following import follow
from preflab.run import Run

FREE = ("store", "films")
TITLE = "Which robot is better at backflips?"
INSTRUCTIONS = """\
Two clips of a one-legged robot; the black dot is its head. Choose the clip in which it comes closer to a backflip: the
robot jumps, turns backwards (to the left, against the clock) in the air, and lands on its foot. Turning further is
better; turning while it lies on the ground is not a flip, and turning forwards is worse than none. Where neither turns,
choose the one that stands or jumps higher. Judge by what you see in the clip alone. If both are about as good, press
the up key; if you cannot tell, the down key, and go on.
"""


FLIPPER = PPOConfig(epochs=5, minibatch_steps=500, learning_rate=5e-4, entropy_bonus=0.001)
"""Set in trials that changed the judge as well: which of the two mattered was not taken apart."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a run depends on; saved beside its results."""

    loop: LoopConfig
    seed: int = 0
    labeller: str = "judge"
    """``judge``: scripted, answers at once. ``people``: asked on the collection site, whose store this run shares."""
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    agent: PPOConfig = field(default_factory=lambda: FLIPPER)
    ensemble: EnsembleConfig = field(default_factory=EnsembleConfig)
    horizon: int = 250
    """Steps of an episode, two seconds of the hopper's time; of the task's own 1,000 most are spent on the ground."""
    copies: int = 16
    episodes: int = 32
    """To measure turns on."""
    store: str = "collect/store.db"
    """Of the site; for people."""
    study: str = "backflip"
    """For people: of this run alone."""
    films: str = ""
    """Folder that the site serves films from; empty: ``films`` beside the store."""

    def __post_init__(self) -> None:
        if self.labeller not in ("judge", "people"):
            raise ConfigError(f"labeller must be judge or people, got {self.labeller!r}")
        loop = self.loop
        if self.copies < 1:
            raise ConfigError(f"copies must be at least 1, got {self.copies}")
        if self.horizon % loop.stretch or loop.first_steps % (loop.stretch * self.copies) or self.episodes < 2:
            raise ConfigError(
                "expected a horizon that is a whole multiple of the stretch, first_steps of stretch times copies, and "
                f"at least 2 episodes, got {self}"
            )
        if not loop.blind:
            raise ConfigError("loop.blind=false: this recipe shows nobody the hopper's own reward")


LOOP = LoopConfig(steps=500_000, first_steps=32_000, queries=900, stretch=125, blind=True)


def small() -> Config:
    """900 queries and half a million steps: minutes of one core with the judge, about an hour of a person without."""
    return Config(loop=LOOP)


def smoke() -> Config:
    """Proves the plumbing and nothing else."""
    loop = replace(LOOP, steps=2_400, first_steps=800, queries=12, stretch=100, candidates=50, first_epochs=2)
    return replace(small(), loop=loop, horizon=100, copies=4, episodes=2)


def paper() -> Config:
    """900 queries as in the paper, which does not give the steps; episodes of the task's full length."""
    return Config(loop=replace(LOOP, steps=10_000_000, first_steps=64_000), horizon=1000, copies=32)


SCALES: dict[str, Callable[[], Config]] = {"default": small, "smoke": smoke, "small": small, "paper": paper}


def main(config: Config, run: Run) -> None:
    """Measure the untrained policy, learn, measure again, film both."""
    from preflab.recipes.christiano2017_backflip_report import write_report

    torch.set_num_threads(1)  # networks this small are slower on more
    journal = Journal(run.folder / "answers.jsonl")
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
def _compares(config: Config, run: Run, archive: ClipArchive, journal: Journal) -> Iterator[ClipLabeller]:
    """Whoever compares, for as long as the run lasts."""
    if config.labeller == "judge":
        yield AtOnce(Judge(config.judge))
        return
    from preflab.data.store.open import open_store
    from preflab.feedback.films import films_of
    from preflab.recipes.christiano2017_people import Filming, People, identity_of, open_study

    store = open_store(config.store)
    try:
        films = films_of(store, Path(config.films) if config.films else None)
        if films is None:
            raise ConfigError("the store is on a server: name the folder of films that the site serves (films=FOLDER)")
        open_study(store, config.study, title=TITLE, instructions=INSTRUCTIONS)
        filming = Filming(painter=BodyPainter("hopper"), fps=40.0)
        own = identity_of(run.folder)
        found = People(store, config.study, run=own, films=films, archive=archive, filming=filming)
        found.mark(journal.labels())
        yield found
    finally:
        store.close()


def _height(stretch: Stretch) -> dict[str, float]:
    """Of the torso, metres."""
    assert stretch.states is not None
    return {"height": float(stretch.states[..., 1].mean())}


def _learn(loop: PreferenceLoop, run: Run) -> Mapping[str, Any]:
    """The loop from its last checkpoint to its end."""
    follow(loop, run, "learn", steps=loop.config.steps, label="learn a backflip")
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
    stretch = collect(env, own.act, config.horizon, keep_states=True)
    assert stretch.states is not None
    turns = flips(stretch.states[:, :, PITCH])
    middle = int(np.argsort(turns)[len(turns) // 2])
    write_whole(path, _film(stretch.states[:, middle], env.spec.fps))
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
    return film([painter(state) for state in states[::2]], fps / 2)
