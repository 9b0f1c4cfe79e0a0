"""A round of learning by itself: what is asked, what is logged, and that it goes on from a saved state."""

from pathlib import Path

import numpy as np
import torch

from preflab.control.archive import ClipArchive
from preflab.control.loop_config import LoopConfig
from preflab.control.reward_learner import RewardLearner
from preflab.control.rewards.ensemble import RewardEnsemble
from preflab.control.rewards.label_log import LabelLog
from preflab.control.rewards.labellers import LabelSource, SynchronousLabeller
from preflab.control.rewards.oracle import Oracle
from preflab.control.rewards.reward_networks import MLP
from preflab.control.trajectory import Trajectory, rollout
from tests.control.walk import Walk

CONFIG = LoopConfig(steps=400, pretrain_steps=80, queries=8, rollout_steps=20, pretrain_epochs=2, candidates=40)


def learner(folder: Path) -> RewardLearner:
    source = LabelSource(
        SynchronousLabeller(Oracle()), ClipArchive(folder / "clips"), LabelLog(folder / "answers.jsonl")
    )
    return RewardLearner(CONFIG, Walk(4), RewardEnsemble(lambda: MLP(2, 1, hidden=(8,))), source)


def walked(seed: int) -> Trajectory:
    rng = np.random.default_rng(seed)
    return rollout(Walk(4), lambda observations: rng.normal(size=(4, 1)), 20, keep_states=True)


def no_wait(missing: int) -> None:
    raise AssertionError(f"an oracle answers at once, {missing} are missing")


def test_a_round_asks_for_what_is_due_and_fits_to_the_answers(tmp_path: Path) -> None:
    own = learner(tmp_path)
    first = own.learn(walked(0), no_wait)
    assert (first["asked"], first["due"], own.fitted) == (2, 2, True)  # a quarter of eight
    assert sum(first[response] for response in ("left", "right", "tie", "cannot tell")) == 2
    assert len(first["reward_train_loss"]) == 3 and "asked_now" not in first
    assert set(own.source.archive) == {id for pair in own.queried for id in pair}
    second = own.learn(walked(1), no_wait)
    assert (own.step, own.rounds) == (160, 2)
    assert second["asked_now"] == second["asked"] - 2 > 0
    assert second["disputed_asked"] >= second["disputed_candidates"]


def test_rewards_are_those_of_the_ensemble_for_every_step(tmp_path: Path) -> None:
    own, trajectory = learner(tmp_path), walked(2)
    rewards = own.rewards(trajectory)
    assert rewards.shape == (20, 4)
    fresh = RewardEnsemble(lambda: MLP(2, 1, hidden=(8,)))
    actions = torch.from_numpy(np.clip(trajectory.actions, -1, 1).astype(np.float32).reshape(80, 1))
    expected = fresh.rewards(torch.from_numpy(trajectory.observations.reshape(80, 2)), actions)
    assert np.array_equal(rewards.reshape(-1), expected)


def test_one_that_is_given_anothers_state_goes_on_as_it(tmp_path: Path) -> None:
    first, second = (learner(tmp_path) for _ in range(2))
    first.learn(walked(0), no_wait)
    second.load_state(first.state())
    assert first.learn(walked(1), no_wait) == second.learn(walked(1), no_wait)
    one, other = first.state(), second.state()
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
