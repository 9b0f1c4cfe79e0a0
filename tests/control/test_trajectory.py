"""Trajectories of a walk whose every number is known."""

from dataclasses import replace

import numpy as np
import pytest

from preflab.control.environments.env import Continuous, Discrete, Step
from preflab.control.trajectory import Trajectory, concatenate, rollout
from tests.control.walk import Walk


def right(observations: np.ndarray) -> np.ndarray:
    """One step to the right, drawn beyond the bounds, in the first copy; to the left in the second."""
    return np.array([[2.0], [-1.0]], dtype=np.float32)[: len(observations)]


def test_a_trajectory_holds_what_was_seen_before_each_step_and_earned_by_it() -> None:
    found = rollout(Walk(2, horizon=3), right, 4, keep_states=True)
    assert found.observations[:, 0].tolist() == [[0, 0], [1, 1], [2, 2], [0, 0]]  # place and step; begun anew after 3
    assert found.true_reward[:, 1].tolist() == [-1, -2, -3, -1]
    assert found.dones.tolist() == [[False, False], [False, False], [True, True], [False, False]]
    assert found.final_observations.tolist() == [[3, 3], [-3, 3]]
    assert found.next_observations.tolist() == [[1, 1], [-1, 1]]
    assert found.steps == 8
    assert found.states is not None and found.states[:, 1, 0].tolist() == [0, -1, -2, 0]


def test_a_step_is_followed_by_what_was_seen_before_any_reset() -> None:
    found = rollout(Walk(2, horizon=3), right, 4)

    def place(observations: np.ndarray) -> np.ndarray:
        return observations[..., 0]

    after = found.bootstrap_values(place, place(found.observations))
    assert after[:, 0].tolist() == [1, 2, 3, 1]  # 3 at the end of the episode, though 0 is seen next
    assert after[:, 1].tolist() == [-1, -2, -3, -1]


def test_a_predictor_sees_actions_within_their_bounds_or_one_hot() -> None:
    found = rollout(Walk(1), right, 1)
    assert found.actions.tolist() == [[[2.0]]]
    assert found.reward_model_actions(Continuous(1)).tolist() == [[[1.0]]]
    counted = Trajectory(
        observations=found.observations,
        actions=np.array([[2]]),
        true_reward=found.true_reward,
        dones=found.dones,
        final_observations=found.final_observations,
        next_observations=found.next_observations,
        states=None,
    )
    assert counted.reward_model_actions(Discrete(3)).tolist() == [[[0, 0, 1]]]


@pytest.mark.parametrize("steps", [1, 7])
def test_without_an_end_there_are_no_finals(steps: int) -> None:
    assert len(rollout(Walk(1, horizon=8), right, steps).final_observations) == 0


def test_trajectories_that_follow_each_other_join_to_the_one_that_they_are() -> None:
    env, other = Walk(2, horizon=3), Walk(2, horizon=3)
    whole = rollout(env, right, 7, keep_states=True)
    found = concatenate([rollout(other, right, steps, keep_states=True) for steps in (2, 4, 1)])
    for name in (
        "observations",
        "actions",
        "true_reward",
        "dones",
        "final_observations",
        "next_observations",
        "states",
    ):
        assert np.array_equal(getattr(found, name), getattr(whole, name)), name


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_tail_of_a_trajectory_is_what_would_have_been_collected_from_there(steps: int) -> None:
    env = Walk(2, horizon=3)
    rollout(env, right, 7 - steps)
    expected = rollout(env, right, steps, keep_states=True)
    found = rollout(Walk(2, horizon=3), right, 7, keep_states=True).tail(steps)
    for name in (
        "observations",
        "actions",
        "true_reward",
        "dones",
        "final_observations",
        "next_observations",
        "states",
    ):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name


def test_nothing_is_worth_anything_behind_an_end_of_the_tasks_own() -> None:
    class Falls(Walk):
        def step(self, actions: np.ndarray) -> Step:
            step = super().step(actions)
            return replace(step, terminations=step.dones & np.array([True, False]))

    found = rollout(Falls(2, horizon=3), right, 4)
    assert found.terminations is not None and found.terminations.nonzero()[0].tolist() == [2]
    after = found.bootstrap_values(lambda seen: seen[..., 0], found.observations[..., 0])
    assert after[:, 0].tolist() == [1, 2, 0, 1] and after[:, 1].tolist() == [-1, -2, -3, -1]
    env = Falls(2, horizon=3)
    parts = concatenate([rollout(env, right, 2), rollout(env, right, 2)])
    assert np.array_equal(parts.terminations, found.terminations)
    assert found.tail(2).terminations.tolist() == [[True, False], [False, False]]  # type: ignore[union-attr]
