"""PPO on a walk whose best policy is known; what it must not depend on; exact resume."""

import numpy as np
import pytest
import torch

from preflab.control.agents.ppo import PPO, PPOConfig
from preflab.control.environments.env import Continuous, Discrete, Spec
from preflab.control.trajectory import rollout
from preflab.errors import ConfigError, TrainingStopped
from tests.control.walk import Walk

SMALL = PPOConfig(hidden=(16,), learning_rate=3e-3, epochs=4, minibatch_steps=32, discount=0.9, gae_lambda=0.9)


def rounds(env: Walk, agent: PPO, n: int, *, scale: float = 1.0, shift: float = 0.0) -> list[float]:
    """True reward a step in each of ``n`` rounds; the agent is given it scaled and shifted."""
    found = []
    for _ in range(n):
        trajectory = rollout(env, agent.act, 20)
        agent.update(trajectory, scale * trajectory.true_reward + shift)
        found.append(float(trajectory.true_reward.mean()))
    return found


def test_it_learns_to_walk_to_the_right() -> None:
    env = Walk(8)
    earned = rounds(env, PPO(env.spec, SMALL), 25)
    assert abs(earned[0]) < 1.0  # at random
    assert np.mean(earned[-3:]) > 2.0  # always right: 1, 2, 3, 4, 5, so 3 a step


def test_it_learns_to_walk_to_the_left_if_that_is_what_it_is_told() -> None:
    env = Walk(8)
    assert np.mean(rounds(env, PPO(env.spec, SMALL), 25, scale=-1.0)[-3:]) < -2.0


def test_a_state_goes_on_as_the_other_bit_for_bit() -> None:
    env, other_env = Walk(4), Walk(4)
    agent, other = PPO(env.spec, SMALL), PPO(env.spec, SMALL)
    rounds(env, agent, 3)
    other.load_state({name: value.clone() for name, value in agent.state().items()})
    other_env.load_state(env.state())
    assert rounds(env, agent, 2) == rounds(other_env, other, 2)
    one, two = agent.state(), other.state()
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_same_seed_learns_the_same_and_another_does_not() -> None:
    first, again, other = (rounds(Walk(4), PPO(Walk(1).spec, SMALL, seed=seed), 2) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_a_constant_on_top_of_zero_lambda_rewards_changes_no_advantage_of_a_step() -> None:
    """With discount 0 and lambda 0 an advantage is reward minus value, and minibatches are whitened."""
    config = PPOConfig(hidden=(8,), epochs=1, minibatch_steps=1000, discount=0.0, gae_lambda=0.0, entropy_bonus=0.0)
    weights = []
    for shift in (0.0, 5.0):
        env = Walk(4)
        agent = PPO(env.spec, config)
        rounds(env, agent, 1, shift=shift)
        weights.append(torch.cat([own.detach().flatten() for own in agent.body.parameters()]))
    torch.testing.assert_close(*weights, rtol=0, atol=1e-5)


def test_pictures_are_refused() -> None:
    with pytest.raises(ConfigError, match="flat"):
        PPO(Spec("pictures", (4, 84, 84), Discrete(2), horizon=10, clip_steps=5, fps=10.0))


def test_rewards_that_are_not_finite_stop_it() -> None:
    env = Walk(2)
    agent = PPO(env.spec, SMALL)
    trajectory = rollout(env, agent.act, 5)
    with pytest.raises(TrainingStopped, match="not finite"):
        agent.update(trajectory, np.full(trajectory.true_reward.shape, np.nan))


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="epochs"):
        PPOConfig(epochs=0)


def test_actions_of_either_kind_are_drawn_for_every_copy() -> None:
    seen = np.zeros((3, 2), dtype=np.float32)
    for actions, shape in ((Continuous(2), (3, 2)), (Discrete(5), (3,))):
        agent = PPO(Spec("any", (2,), actions, horizon=10, clip_steps=5, fps=10.0), SMALL)
        assert agent.act(seen).shape == shape
