"""A2C: returns, losses and learning rates by hand, the network's shape, learning, and going on after a stop."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from preflab.control.agents.a2c import A2C, A2CConfig, ActorCritic
from preflab.control.environments.env import Discrete, Spec, Step
from preflab.control.trajectory import Trajectory, rollout
from preflab.errors import ConfigError, TrainingStopped


class Signs:
    """Shows a sign to every copy, draws the next one by its step's number; the action that names it earns 1."""

    def __init__(self, n: int, signs: int = 3) -> None:
        self.n, self.at = n, 0
        self.spec = Spec("signs", (signs,), Discrete(signs), horizon=1000, clip_steps=5, fps=5.0)
        self._show()

    def _show(self) -> None:
        width = self.spec.obs_shape[0]
        self.shown = np.random.default_rng((0, self.at)).integers(width, size=self.n)
        self.observations = np.eye(width, dtype=np.float32)[self.shown]

    def step(self, actions: np.ndarray) -> Step:
        reward = (actions == self.shown).astype(np.float64)
        self.at += 1
        self._show()
        return Step(self.observations, reward, np.zeros(self.n, dtype=bool), self.observations)

    def render_states(self) -> None:
        """Nothing to draw."""

    def state(self) -> dict[str, Tensor]:
        return {"at": torch.tensor(self.at)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.at = int(state["at"])
        self._show()


def trajectory_of(rewards: list[float], *, ended: list[bool] | None = None) -> Trajectory:
    """One copy of a task of one number that is always 1 and two actions; action 0 throughout."""
    time = len(rewards)
    ends = np.array(ended or [False] * time)[:, None]
    observations = np.ones((time, 1, 1), dtype=np.float32)
    return Trajectory(
        observations=observations,
        actions=np.zeros((time, 1), dtype=np.int64),
        true_reward=np.array(rewards)[:, None],
        dones=ends,
        final_observations=np.ones((int(ends.sum()), 1), dtype=np.float32),
        next_observations=observations[0],
        states=None,
    )


def constant(value: float, **settings: object) -> A2C:
    """An agent that expects ``value`` everywhere and acts evenly."""
    spec = Spec("one", (1,), Discrete(2), horizon=10, clip_steps=2, fps=5.0)
    agent = A2C(spec, A2CConfig(hidden=4, **settings))  # type: ignore[arg-type]
    for layer in (agent.net.policy, agent.net.value):
        nn.init.zeros_(layer.weight)
    nn.init.constant_(agent.net.value.bias, value)
    return agent


def test_returns_by_hand() -> None:
    """Discount 0.5, value 8: the last 3 + 4 = 7, before it 2 + 3.5 = 5.5, the first 1 + 2.75 = 3.75."""
    trajectory = trajectory_of([1.0, 2.0, 3.0])
    agent = constant(8.0, discount=0.5)
    found = agent.returns(trajectory, trajectory.true_reward, np.full((3, 1), 8.0, dtype=np.float32))
    assert found.flatten().tolist() == pytest.approx([3.75, 5.5, 7.0])


def test_longer_trajectories_are_sums_of_so_many_steps() -> None:
    """Two steps a sum: 2 + 4 = 6 and 1 + 3 = 4 for the first two; the third is cut short: 3 + 4 = 7."""
    trajectory = trajectory_of([1.0, 2.0, 3.0])
    agent = constant(8.0, discount=0.5, steps=2)
    found = agent.returns(trajectory, trajectory.true_reward, np.full((3, 1), 8.0, dtype=np.float32))
    assert found.flatten().tolist() == pytest.approx([4.0, 6.0, 7.0])


def test_nothing_is_carried_over_an_end() -> None:
    """The second step ends an episode: what was seen then is worth 8, whatever follows. 2 + 4 = 6, 1 + 3 = 4."""
    trajectory = trajectory_of([1.0, 2.0, 100.0], ended=[False, True, False])
    agent = constant(8.0, discount=0.5)
    found = agent.returns(trajectory, trajectory.true_reward, np.full((3, 1), 8.0, dtype=np.float32))
    assert found.flatten().tolist() == pytest.approx([4.0, 6.0, 104.0])


def test_losses_by_hand() -> None:
    """Returns 3.75, 5.5, 7 and values 8: advantages -4.25, -2.5, -1, mean -2.583333; both actions at log 0.5.

    Policy loss = -(-0.693147 * -2.583333) = -1.790630; value loss = (18.0625 + 6.25 + 1) / 3 = 8.4375.
    """
    trajectory = trajectory_of([1.0, 2.0, 3.0])
    logged = constant(8.0, discount=0.5).update(trajectory, trajectory.true_reward)
    assert logged["policy_loss"] == pytest.approx(-1.790630, abs=1e-5)
    assert logged["value_loss"] == pytest.approx(8.4375)
    assert logged["entropy"] == pytest.approx(0.693147, abs=1e-5)
    assert (logged["mean_reward"], logged["std_reward"]) == pytest.approx((2.0, (2 / 3) ** 0.5))


def test_gradients_are_clipped_all_together() -> None:
    trajectory = trajectory_of([1e6, 0.0])
    agent = constant(0.0, gradient_clip=0.25)
    agent.update(trajectory, trajectory.true_reward)
    squares = [float(p.grad.square().sum()) for p in agent.networks.parameters() if p.grad is not None]
    assert sum(squares) ** 0.5 == pytest.approx(0.25, rel=1e-3)


def test_the_learning_rate_falls_in_a_line() -> None:
    """7e-4 at first, 3.5e-4 half way, 0 at the end and after it; an update uses the rate of the steps before it."""
    config = A2CConfig(decay_steps=80_000_000)
    assert [config.rate_at(s) for s in (0, 40_000_000, 80_000_000, 90_000_000)] == pytest.approx([7e-4, 3.5e-4, 0, 0])
    assert A2CConfig(decay_steps=None).rate_at(10**9) == 7e-4
    trajectory, agent = trajectory_of([1.0, 2.0]), constant(0.0, decay_steps=4)
    assert [agent.update(trajectory, trajectory.true_reward)["learning_rate"] for _ in range(3)] == pytest.approx(
        [7e-4, 3.5e-4, 0.0]
    )
    before = [p.clone() for p in agent.networks.parameters()]
    agent.update(trajectory, trajectory.true_reward)
    assert all(torch.equal(a, b) for a, b in zip(before, agent.networks.parameters(), strict=True))


def test_the_network_is_that_of_mnih_et_al() -> None:
    """84 -> 20 -> 9 -> 7; 64 * 7 * 7 = 3,136 into 512 units; evenly many chances at the start."""
    net = ActorCritic((4, 84, 84), 6)
    shapes = [tuple(layer.weight.shape) for layer in net.trunk if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert shapes == [(32, 4, 8, 8), (64, 32, 4, 4), (64, 64, 3, 3), (512, 3136)]
    outputs, values = net(torch.randint(0, 256, (2, 4, 84, 84), dtype=torch.uint8))
    assert outputs.shape == (2, 6)
    assert values.shape == (2,)
    assert outputs.softmax(-1).detach().numpy() == pytest.approx(np.full((2, 6), 1 / 6), abs=0.02)


@pytest.mark.parametrize("optimiser", ["rmsprop", "adam"])
def test_signs_are_learned(optimiser: str) -> None:
    env = Signs(16)
    config = A2CConfig(hidden=32, optimiser=optimiser, learning_rate=1e-2, decay_steps=None)  # type: ignore[arg-type]
    agent, earned = A2C(env.spec, config), []
    for _ in range(200):
        trajectory = rollout(env, agent.act, 5)
        agent.update(trajectory, trajectory.true_reward)
        earned.append(trajectory.true_reward.mean())
    assert np.mean(earned[:5]) < 0.5
    assert np.mean(earned[-20:]) > 0.9


@pytest.mark.parametrize("optimiser", ["rmsprop", "adam"])
def test_it_goes_on_exactly_where_it_stopped(optimiser: str) -> None:
    def run(agent: A2C, env: Signs, updates: int) -> None:
        for _ in range(updates):
            trajectory = rollout(env, agent.act, 5)
            agent.update(trajectory, trajectory.true_reward)

    config = A2CConfig(hidden=8, optimiser=optimiser, decay_steps=2_000)  # type: ignore[arg-type]
    env, first_env = Signs(4), Signs(4)
    whole, first, second = (A2C(env.spec, config, seed=1) for _ in range(3))
    run(whole, env, 12)
    run(first, first_env, 5)
    again = Signs(4)
    again.load_state(first_env.state())
    second.load_state(first.state())
    run(second, again, 7)
    for key, value in whole.state().items():
        assert torch.equal(value, second.state()[key]), key


def test_what_cannot_go_on_stops() -> None:
    with pytest.raises(ConfigError, match="learning_rate must be above 0"):
        A2CConfig(learning_rate=0.0)
    with pytest.raises(ConfigError, match="at least 1"):
        A2CConfig(steps=0)
    trajectory = trajectory_of([1.0, float("nan")])
    with pytest.raises(TrainingStopped, match="not finite after 0 updates"):
        constant(0.0).update(trajectory, trajectory.true_reward)
