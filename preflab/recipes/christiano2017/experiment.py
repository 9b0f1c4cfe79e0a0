"""The stages of `christiano2017_mujoco` and `christiano2017_atari`: arms trained from the same seeds, and compared."""

import math
import shutil

import numpy as np

from preflab.atomic_files import write_atomically
from preflab.control.archive import ClipArchive
from preflab.control.loop_config import clip_steps_of
from preflab.control.preference_loop import PreferenceLoop
from preflab.control.rendering.clip_video import encode_video, side_by_side
from preflab.control.reward_learner import RewardLearner
from preflab.control.rewards.ensemble import RewardEnsemble
from preflab.control.rewards.label_log import LabelLog
from preflab.control.rewards.labellers import LabelSource, SynchronousLabeller
from preflab.control.rewards.oracle import Oracle
from preflab.control.trajectory import rollout
from preflab.control.true_reward_loop import TrueRewardLoop
from preflab.errors import ConfigError
from preflab.maths.query_selection import disagreement
from preflab.maths.statistics import mean_with_interval
from preflab.recipes.christiano2017.arms import TRUE, Arm
from preflab.recipes.christiano2017.claims import verdicts
from preflab.recipes.christiano2017.curves import arm_result, final_return, mean_curve
from preflab.recipes.christiano2017.experiment_config import Experiment, Parts
from preflab.recipes.christiano2017.results import ArmResult, Comparison, UntrainedReturns, Video
from preflab.recipes.christiano2017.run_loop import run_as_stage
from preflab.run import Run

VIDEO = "before-after.gif"
_VIDEO_SECONDS = 4.0
_MAX_FPS = 20.0


def run_experiment(config: Experiment, parts: Parts, run: Run) -> None:
    """Train every arm from every seed, compare, render; each is a stage, and none is done twice.

    Raises:
        ConfigError: before anything is trained, where no clip or no episode would ever be whole.
    """
    _check(config, parts)
    run.stage("untrained", lambda: untrained(config, parts, run), UntrainedReturns)
    for seed in range(config.seeds):
        for name in config.arms:
            arm = config.arm(name)
            run.stage(f"{name}-{seed}", lambda arm=arm, seed=seed: train(config, parts, run, arm, seed), ArmResult)  # type: ignore[misc]
            # An oracle's answers, which are kept, can be had again; not before the stage is done: it may be killed.
            shutil.rmtree(run.folder / "arms" / f"{name}-{seed}" / "clips", ignore_errors=True)
    run.stage("compare", lambda: compare(config, run), Comparison)
    run.stage("film", lambda: record_video(config, parts, run), Video)


def _check(config: Experiment, parts: Parts) -> None:
    spec = parts.env(1, config.seed).spec  # the same for any number of copies
    for name in config.arms:
        clip_steps_of(config.arm(name).loop, spec, config.copies)
    if config.loop.steps // config.copies < parts.episode:
        raise ConfigError(
            f"loop.steps ({config.loop.steps}) are {config.loop.steps // config.copies} for each of {config.copies} "
            f"copies: no episode of {parts.episode} would end"
        )


def train(config: Experiment, parts: Parts, run: Run, arm: Arm, seed: int) -> ArmResult:
    """One arm from one seed, from its last checkpoint to its end."""
    name, start = f"{arm.name}-{seed}", run.seed_of(f"agent {seed}")  # the same in every arm
    loop = _loop(config, parts, run, arm, start, name)
    run_as_stage(loop, run, name, steps=config.loop.steps, label=name)
    run.save_weights(name, loop.agent.state())
    lines, episodes = run.metrics(name), loop.episodes.latest_returns
    if isinstance(loop, TrueRewardLoop):
        return arm_result(config, lines, episodes=episodes)
    disagreement_at_end, target_std = _disagreement_at_end(loop.learner), arm.ensemble.target_std
    return arm_result(config, lines, episodes=episodes, disagreement_at_end=disagreement_at_end, target_std=target_std)


def _loop(
    config: Experiment, parts: Parts, run: Run, arm: Arm, seed: int, name: str
) -> TrueRewardLoop | PreferenceLoop:
    env = parts.env(config.copies, seed)
    agent = parts.agent(env, seed)
    facts = parts.facts(env) if parts.facts else None
    if arm.name == TRUE:
        return TrueRewardLoop(config.loop, env, agent, normalise=parts.normalise, facts=facts)
    folder = run.folder / "arms" / name
    folder.mkdir(parents=True, exist_ok=True)
    oracle = SynchronousLabeller(Oracle(arm.oracle, seed=seed))
    source = LabelSource(oracle, ClipArchive(folder / "clips"), LabelLog(folder / "answers.jsonl"))
    ensemble = RewardEnsemble(lambda: parts.reward_network(env), arm.ensemble, seed=seed)
    learner = RewardLearner(arm.loop, env, ensemble, source, seed=seed)
    return PreferenceLoop(env, agent, learner, facts=facts)


def _disagreement_at_end(learner: RewardLearner) -> float | None:
    """Mean disagreement of the fitted ensemble on the pairs that were asked about once it was fitted."""
    labels = [label for label in learner.labels.all if label.step > learner.config.pretrain_steps]
    pairs = [(learner.labels.clips[label.left], learner.labels.clips[label.right]) for label in labels]
    if not pairs or len(learner.ensemble.members) < 2:
        return None
    return float(disagreement(learner.ensemble.pair_gaps(pairs), learner.config.disagreement).mean())


def untrained(config: Experiment, parts: Parts, run: Run) -> UntrainedReturns:
    """True return of each seed's policy before it learned, over one episode of every copy."""
    returns = []
    for seed in range(config.seeds):
        start = run.seed_of(f"agent {seed}")
        env = parts.env(config.copies, start + 1)
        agent = parts.agent(env, start)
        returns.append(float(rollout(env, agent.act, parts.episode).true_reward.sum(axis=0).mean()))
    return UntrainedReturns(returns=tuple(returns), mean=mean_with_interval(np.array(returns)))


def record_video(config: Experiment, parts: Parts, run: Run) -> Video:
    """Seconds of the first seed's policy, before on the left and after on the right, from the same start."""
    start, arm = run.seed_of("agent 0"), config.middle if config.middle in config.arms else config.arms[-1]
    sides, renderer = [], parts.renderer()
    for is_trained in (False, True):
        env = parts.env(1, start + 2)
        agent = parts.agent(env, start)
        if is_trained:
            agent.load_state(run.load_weights(f"{arm}-0"))
        steps = min(env.spec.horizon, round(_VIDEO_SECONDS * env.spec.fps))
        trajectory = rollout(env, agent.act, steps, keep_states=True)
        states = trajectory.observations if trajectory.states is None else trajectory.states
        stride = max(1, math.ceil(env.spec.fps / _MAX_FPS))
        sides.append([renderer(state) for state in states[::stride, 0]])
        fps = env.spec.fps / stride
    write_atomically(run.folder / VIDEO, encode_video(side_by_side(*sides), fps))
    return Video(video=VIDEO, arm=arm)


def compare(config: Experiment, run: Run) -> Comparison:
    """Arms over seeds, and the verdicts on the claims."""
    before = np.array(run.result("untrained", UntrainedReturns).returns)
    results = {arm: [run.result(f"{arm}-{seed}", ArmResult) for seed in range(config.seeds)] for arm in config.arms}
    returns = {arm: np.array([final_return(seed.curve) for seed in seeds]) for arm, seeds in results.items()}
    return Comparison(
        verdicts=tuple(verdicts(returns, before, results, config.middle)),
        returns={arm: mean_with_interval(seeds) for arm, seeds in returns.items()},
        by_seed={arm: tuple(seeds.tolist()) for arm, seeds in returns.items()},
        curves={arm: mean_curve([seed.curve for seed in seeds]) for arm, seeds in results.items()},
        steps=tuple(np.linspace(0, config.loop.steps, config.points + 1)[1:].tolist()),
    )
