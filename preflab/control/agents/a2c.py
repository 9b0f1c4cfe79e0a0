"""Synchronous advantage actor-critic with the network of Mnih et al. 2015, as Christiano et al. 2017 use it on Atari.

Appendix A.2: 16 copies, 5 steps an update, discount 0.99, entropy bonus 0.01, a learning rate of 7e-4 that falls to 0
at 80 M steps. Their "Adam with alpha 0.99" has the constants of RMSProp: both are here. The value coefficient and the
clip of the gradient are those in common use; the paper gives none. PyTorch adds epsilon to the root, not under it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from preflab.checks import check_above, check_at_least, check_within
from preflab.config_overrides import check_types
from preflab.control.agents.action_distributions import action_distribution
from preflab.control.environments.env import Spec
from preflab.control.state_tensors import load_module_state, module_state
from preflab.control.trajectory import Trajectory
from preflab.errors import TrainingStopped
from preflab.maths.returns import gae_of_stretch

_TINY = 1e-8


@dataclass(frozen=True, kw_only=True)
class A2CConfig:
    """How the agent learns."""

    steps: int = 5
    """Rewards are summed over so many steps of a copy, and the value of what is seen then is added. A trajectory of
    this length is the paper's update; a longer one is cut into several such sums and is still one update."""
    discount: float = 0.99
    entropy_bonus: float = 0.01
    value_coefficient: float = 0.5
    gradient_clip: float = 0.5
    """Largest norm of the gradient of all weights together."""
    optimiser: Literal["rmsprop", "adam"] = "rmsprop"
    learning_rate: float = 7e-4
    decay_steps: int | None = 80_000_000
    """Environment steps, over all copies, after which the learning rate is 0, falling in a line; None: it stays."""
    hidden: int = 512
    """Units between the convolutions and the heads."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "steps", "hidden", "decay_steps")
        check_above(self, 0, "learning_rate", "gradient_clip")
        check_at_least(self, 0, "entropy_bonus", "value_coefficient")
        check_within(self, "[0, 1]", "discount")

    def rate_at(self, steps: int) -> float:
        """Learning rate after so many environment steps."""
        if self.decay_steps is None:
            return self.learning_rate
        return self.learning_rate * max(0.0, 1.0 - steps / self.decay_steps)


class ActorCritic(nn.Module):
    """One trunk, and two linear heads on it: outputs for the policy and a value.

    The trunk of stacked screens is that of Mnih et al. 2015: 32, 64 and 64 filters of 8, 4 and 3 pixels, strides 4, 2
    and 1. Flat observations go straight into the hidden units.
    """

    def __init__(self, obs_shape: tuple[int, ...], outputs: int, *, hidden: int = 512) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if len(obs_shape) == 3:
            channels, side = obs_shape[0], obs_shape[1]
            for filters, kernel, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
                layers += [nn.Conv2d(channels, filters, kernel, stride), nn.ReLU()]
                channels, side = filters, (side - kernel) // stride + 1
            width = channels * side * side
        else:
            width = int(np.prod(obs_shape))
        self.scale = 255.0 if len(obs_shape) == 3 else 1.0
        self.trunk = nn.Sequential(*layers, nn.Flatten(), nn.Linear(width, hidden), nn.ReLU())
        self.policy, self.value = nn.Linear(hidden, outputs), nn.Linear(hidden, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                gain = 0.01 if layer is self.policy else 1.0 if layer is self.value else 2**0.5
                nn.init.orthogonal_(layer.weight, gain)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(
        self, observations: Shaped[Tensor, "item ..."]
    ) -> tuple[Float[Tensor, "item out"], Float[Tensor, " item"]]:
        """Pixels from 0 to 255, or flat vectors."""
        if observations.dim() == 4:
            observations = observations.contiguous(memory_format=torch.channels_last)  # updates take an eighth less
        features = self.trunk(observations.float() / self.scale)
        return self.policy(features), self.value(features).squeeze(-1)


class A2C:
    """An agent whose policy and value share a trunk.

    Args:
        spec  of the environment; observations are stacked screens, or flat.
        seed  of weights and actions.
    """

    def __init__(self, spec: Spec, config: A2CConfig | None = None, *, seed: int = 0) -> None:
        self.spec, self.config, self.seed = spec, config or A2CConfig(), seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = action_distribution(spec.actions)
            self.net = ActorCritic(spec.obs_shape, self.head.width, hidden=self.config.hidden)
        self.networks = nn.ModuleDict({"net": self.net, "head": self.head})
        weights, rate = self.networks.parameters(), self.config.learning_rate
        self._optimiser: torch.optim.Optimizer = (
            torch.optim.RMSprop(weights, lr=rate, alpha=0.99, eps=1e-5)
            if self.config.optimiser == "rmsprop"
            else torch.optim.Adam(weights, lr=rate, betas=(0.9, 0.99), eps=1e-5)
        )
        self.updates = self.steps = 0
        """Updates, and environment steps over all copies, so far."""
        self._rng: np.random.Generator | None = None

    @torch.no_grad()
    def act(self, observations: Shaped[np.ndarray, "env ..."]) -> Shaped[np.ndarray, "env ..."]:
        """An action for every copy, drawn from the policy."""
        if self._rng is None:
            self._rng = np.random.default_rng((self.seed, 11, self.updates))
        return np.asarray(self.head.sample(self.net(torch.from_numpy(observations))[0], self._rng))

    @torch.no_grad()
    def values(self, observations: Shaped[np.ndarray, "item ..."]) -> Float[np.ndarray, " item"]:
        """What the value head expects, reward units."""
        return np.asarray(self.net(torch.from_numpy(observations))[1].numpy())

    def returns(
        self, trajectory: Trajectory, rewards: Float[np.ndarray, "time env"], values: Float[np.ndarray, "time env"]
    ) -> Float[Tensor, "time env"]:
        """Rewards to the end of each run of ``steps`` steps, discounted, and the value of what is seen then.

        ``R_t = r_t + discount * R_(t+1)``, and behind the last step of a run the value: `gae_of_stretch` with trace 1.
        """
        next_values = trajectory.bootstrap_values(self.values, values)
        tensors = [torch.from_numpy(np.asarray(x, dtype=np.float32)) for x in (rewards, values, next_values)]
        dones = torch.from_numpy(trajectory.dones)
        returns = []
        for start in range(0, len(rewards), self.config.steps):
            part = slice(start, start + self.config.steps)
            reward, value, next_value = (tensor[part] for tensor in tensors)
            _, part_returns = gae_of_stretch(
                reward, value, next_value, dones[part], discount=self.config.discount, trace=1.0
            )
            returns.append(part_returns)
        return torch.cat(returns)

    def update(self, trajectory: Trajectory, rewards: Float[np.ndarray, "time env"]) -> dict[str, float]:
        """Learn from a trajectory that this agent acted in.

        Raises:
            TrainingStopped: a loss is not finite.
        """
        config = self.config
        flat = trajectory.observations.reshape(-1, *self.spec.obs_shape)
        outputs, values = self.net(torch.from_numpy(flat))
        baseline = values.detach()
        returns = self.returns(trajectory, rewards, baseline.numpy().reshape(rewards.shape)).flatten()
        actions = torch.from_numpy(trajectory.actions.reshape(len(flat), *trajectory.actions.shape[2:]))
        policy_loss = -(self.head.logp(outputs, actions) * (returns - baseline)).mean()
        value_loss = (returns - values).square().mean()
        entropy = self.head.entropy(outputs).mean()
        loss = policy_loss - config.entropy_bonus * entropy + config.value_coefficient * value_loss
        rate = config.rate_at(self.steps)
        logged = {
            "policy_loss": float(policy_loss.detach()),
            "value_loss": float(value_loss.detach()),
            "entropy": float(entropy.detach()),
            "learning_rate": rate,
            "explained_variance": float(
                1 - value_loss.detach() / returns.var(correction=0).clamp_min(_TINY) if len(flat) > 1 else 0.0
            ),
            "mean_reward": float(rewards.mean()),
            "std_reward": float(rewards.std()),
        }
        if not all(np.isfinite(list(logged.values()))):
            raise TrainingStopped(f"A2C's losses are not finite after {self.updates} updates: {logged}")
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.networks.parameters(), config.gradient_clip)
        self._optimiser.step()
        self.updates += 1
        self.steps += trajectory.steps
        self._rng = None
        return logged

    def state(self) -> dict[str, Tensor]:
        """Weights, moments and counts."""
        counts = {"updates": torch.tensor(self.updates), "steps": torch.tensor(self.steps)}
        return {**module_state(self.networks, self._optimiser), **counts}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on where another stopped, between two trajectories."""
        load_module_state(self.networks, self._optimiser, state)
        self.updates, self.steps, self._rng = int(state["updates"]), int(state["steps"]), None
