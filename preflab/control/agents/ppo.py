"""PPO for control, in place of the TRPO of Christiano et al. 2017 (appendix A.1), with their discount, lambda, bonus.

The reward moves while the predictor learns, so nothing here is tied to its scale: advantages are whitened a minibatch,
the value network predicts returns in units of their running deviation, observations are normalised. An entropy bonus
keeps exploration alive.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from preflab.checks import check_above, check_at_least, check_within
from preflab.config_overrides import check_types
from preflab.control.agents.action_distributions import action_distribution
from preflab.control.environments.env import Spec
from preflab.control.running_stats import RunningMeanStd
from preflab.control.state_tensors import load_module_state, module_state
from preflab.control.trajectory import Trajectory
from preflab.errors import ConfigError, TrainingStopped
from preflab.maths.policy import ppo_policy_loss
from preflab.maths.returns import gae_of_stretch

_TINY = 1e-8
_CLIP = 10.0
"""Normalised observations lie within this many deviations."""


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """How the agent learns."""

    hidden: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers of policy and value network, which share nothing."""
    learning_rate: float = 3e-4
    """Of Adam."""
    epochs: int = 10
    minibatch_steps: int = 256
    clip: float = 0.2
    discount: float = 0.995
    """Appendix A.1, as are the next two."""
    gae_lambda: float = 0.97
    entropy_bonus: float = 0.01
    """0.001 on Swimmer in the paper."""
    gradient_clip: float = 0.5
    """Largest norm of a gradient, each network for itself."""
    normalise_observations: bool = True
    log_std: float = 0.0
    """Of continuous actions at the start."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "epochs", "minibatch_steps")
        check_at_least(self, 0, "entropy_bonus")
        check_above(self, 0, "learning_rate", "gradient_clip")
        check_within(self, "[0, 1]", "discount", "gae_lambda")
        check_within(self, "(0, 1)", "clip")
        if min(self.hidden, default=1) < 1:
            raise ConfigError(f"hidden must be at least 1 unit in each layer, got {self.hidden}")


def mlp(sizes: tuple[int, ...], *, last_gain: float) -> nn.Sequential:
    """Tanh layers with orthogonal weights; the last is linear, its weights scaled by ``last_gain``."""
    layers: list[nn.Module] = []
    for i, (rows, columns) in enumerate(pairwise(sizes)):
        last = i == len(sizes) - 2
        layer = nn.Linear(rows, columns)
        nn.init.orthogonal_(layer.weight, last_gain if last else 2**0.5)
        nn.init.zeros_(layer.bias)
        layers += [layer] if last else [layer, nn.Tanh()]
    return nn.Sequential(*layers)


class PPO:
    """An agent with a policy and a value network of its own.

    Args:
        spec  of the environment; observations must be flat.
        seed  of weights, actions and minibatches.

    Raises:
        ConfigError: observations are not flat vectors.
    """

    def __init__(self, spec: Spec, config: PPOConfig | None = None, *, seed: int = 0) -> None:
        self.spec, self.config, self.seed = spec, config or PPOConfig(), seed
        if len(spec.obs_shape) != 1:
            raise ConfigError(f"PPO reads flat observations, {spec.name} has {spec.obs_shape}; A2C reads pictures")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = action_distribution(spec.actions, log_std=self.config.log_std)
            sizes = (spec.obs_shape[0], *self.config.hidden)
            self.body = mlp((*sizes, self.head.width), last_gain=0.01)
            self.critic = mlp((*sizes, 1), last_gain=1.0)
        self.networks = nn.ModuleDict({"body": self.body, "head": self.head, "critic": self.critic})
        self._optimiser = torch.optim.Adam(
            self.networks.parameters(), lr=self.config.learning_rate, eps=1e-5, fused=True
        )
        self.observation_stats, self.return_stats = RunningMeanStd(spec.obs_shape[0]), RunningMeanStd(1)
        self.updates = 0
        self._rng: np.random.Generator | None = None

    def normalise(self, observations: Shaped[np.ndarray, "... obs"]) -> Float[Tensor, "... obs"]:
        """Observations as the networks read them, within 10 running deviations of the running mean."""
        if not self.config.normalise_observations:
            return torch.from_numpy(np.asarray(observations, dtype=np.float32))
        scaled = (observations - self.observation_stats.mean) / (self.observation_stats.std + _TINY)
        return torch.from_numpy(np.clip(scaled, -_CLIP, _CLIP).astype(np.float32))

    @torch.no_grad()
    def act(self, observations: Float[np.ndarray, "env obs"]) -> Shaped[np.ndarray, "env ..."]:
        """An action for every copy, drawn from the policy."""
        if self._rng is None:
            self._rng = np.random.default_rng((self.seed, 11, self.updates))
        return np.asarray(self.head.sample(self.body(self.normalise(observations)), self._rng))

    @torch.no_grad()
    def values(self, observations: Float[np.ndarray, "item obs"]) -> Float[np.ndarray, " item"]:
        """What the value network expects, reward units."""
        scaled = self.critic(self.normalise(observations)).squeeze(-1).numpy()
        return np.asarray(scaled * self.return_stats.std[0])

    def update(self, trajectory: Trajectory, rewards: Float[np.ndarray, "time env"]) -> dict[str, float]:
        """Learn from a trajectory that this agent acted in.

        Raises:
            TrainingStopped: a loss is not finite.
        """
        config = self.config
        flat = trajectory.observations.reshape(-1, *self.spec.obs_shape)
        inputs = self.normalise(flat)
        values = self.values(flat).reshape(rewards.shape)
        next_values = trajectory.bootstrap_values(self.values, values)
        float_rewards, float_values, float_next_values = (
            torch.from_numpy(np.asarray(x, dtype=np.float32)) for x in (rewards, values, next_values)
        )
        advantages, returns = gae_of_stretch(
            float_rewards,
            float_values,
            float_next_values,
            torch.from_numpy(trajectory.dones),
            discount=config.discount,
            trace=config.gae_lambda,
        )
        self.return_stats.add(returns.flatten()[:, None].numpy())
        actions = torch.from_numpy(trajectory.actions.reshape(len(flat), *trajectory.actions.shape[2:]))
        with torch.no_grad():
            old_logp = self.head.logp(self.body(inputs), actions)
        targets = returns.flatten() / float(self.return_stats.std[0] + _TINY)
        logged = self._fit(inputs, actions, old_logp, advantages.flatten(), targets)
        error = ((returns.numpy() - values) ** 2).mean()
        logged |= {
            "explained_variance": float(1 - error / max(float(returns.var(correction=0)), _TINY)),
            "mean_reward": float(rewards.mean()),
            "std_reward": float(rewards.std()),
        }
        self.observation_stats.add(flat)
        self.updates += 1
        self._rng = None
        return logged

    def _fit(
        self, inputs: Tensor, actions: Tensor, old_logp: Tensor, advantages: Tensor, targets: Tensor
    ) -> dict[str, float]:
        """So many epochs of minibatches."""
        config, head, body = self.config, self.head, self.body
        rng = np.random.default_rng((self.seed, 12, self.updates))
        policy_weights, critic_weights = [*body.parameters(), *head.parameters()], list(self.critic.parameters())
        for _ in range(config.epochs):
            order = torch.from_numpy(rng.permutation(len(inputs)))
            tensors = (inputs, actions, old_logp, advantages, targets)
            minibatches = [torch.split(tensor[order], config.minibatch_steps) for tensor in tensors]
            for observation, action, before, advantage, target in zip(*minibatches, strict=True):
                advantage = (advantage - advantage.mean()) / (advantage.std(correction=0) + _TINY)
                outputs = body(observation)
                logp = head.logp(outputs, action)
                entropy = head.entropy(outputs).mean()
                policy_loss = ppo_policy_loss(logp, before, advantage, clip=config.clip).mean()
                value_loss = 0.5 * (self.critic(observation).squeeze(-1) - target).square().mean()
                loss = policy_loss - config.entropy_bonus * entropy + value_loss
                self._optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(policy_weights, config.gradient_clip, foreach=True)
                nn.utils.clip_grad_norm_(critic_weights, config.gradient_clip, foreach=True)
                self._optimiser.step()
        logged = {
            "policy_loss": float(policy_loss.detach()),
            "value_loss": float(value_loss.detach()),
            "entropy": float(entropy.detach()),
            "kl": float((before - logp.detach()).mean()),
        }
        if not all(np.isfinite(list(logged.values()))):
            raise TrainingStopped(f"PPO's losses are not finite after {self.updates} updates: {logged}")
        return logged

    def state(self) -> dict[str, Tensor]:
        """Weights, moments and statistics."""
        return {
            **module_state(self.networks, self._optimiser),
            "seen": self.observation_stats.state(),
            "returns": self.return_stats.state(),
            "updates": torch.tensor(self.updates),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on where another stopped, between two trajectories."""
        load_module_state(self.networks, self._optimiser, state)
        self.observation_stats.load_state(state["seen"])
        self.return_stats.load_state(state["returns"])
        self.updates, self._rng = int(state["updates"]), None
