"""From a network's outputs to actions: a Gaussian for continuous ones, a softmax for discrete ones."""

import math

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from preflab.control.environments.env import Actions, Continuous, Discrete


class Gaussian(nn.Module):
    """Independent normal distributions; the network gives the means, the deviations are weights of their own."""

    def __init__(self, actions: Continuous, *, log_std: float = 0.0) -> None:
        super().__init__()
        self.width = actions.size
        self.log_std = nn.Parameter(torch.full((actions.size,), log_std))

    def sample(self, outputs: Float[Tensor, "item act"], rng: np.random.Generator) -> Float[np.ndarray, "item act"]:
        """An action each."""
        noise = rng.standard_normal(outputs.shape, dtype=np.float32)
        return np.asarray(outputs.numpy() + self.log_std.detach().exp().numpy() * noise)

    def logp(self, outputs: Float[Tensor, "item act"], actions: Float[Tensor, "item act"]) -> Float[Tensor, " item"]:
        """Log-density of each action, nats."""
        z = (actions - outputs) * (-self.log_std).exp()
        return -0.5 * z.square().sum(dim=-1) - self.log_std.sum() - 0.5 * self.width * math.log(2 * math.pi)

    def entropy(self, outputs: Float[Tensor, "item act"]) -> Float[Tensor, " item"]:
        """Differential entropy, nats: ``sum of log_std + size / 2 * log(2 pi e)``."""
        entropy: Tensor = self.log_std.sum() + 0.5 * self.width * math.log(2 * math.pi * math.e)
        return entropy.expand(len(outputs))


class Categorical(nn.Module):
    """One of so many actions; the network gives the logits."""

    def __init__(self, actions: Discrete) -> None:
        super().__init__()
        self.width = actions.n

    def sample(self, outputs: Float[Tensor, "item act"], rng: np.random.Generator) -> Shaped[np.ndarray, " item"]:
        """An action each: the largest of the logits with Gumbel noise."""
        noise = rng.gumbel(size=outputs.shape)
        return np.asarray((outputs.numpy() + noise).argmax(axis=-1))

    def logp(self, outputs: Float[Tensor, "item act"], actions: Shaped[Tensor, " item"]) -> Float[Tensor, " item"]:
        """Log-probability of each action, nats."""
        return outputs.log_softmax(dim=-1).gather(-1, actions.long()[:, None]).squeeze(-1)

    def entropy(self, outputs: Float[Tensor, "item act"]) -> Float[Tensor, " item"]:
        """Entropy, nats."""
        logp = outputs.log_softmax(dim=-1)
        return -(logp.exp() * logp).sum(dim=-1)


def action_distribution(actions: Actions, *, log_std: float = 0.0) -> Gaussian | Categorical:
    """The head that such actions want."""
    return Gaussian(actions, log_std=log_std) if isinstance(actions, Continuous) else Categorical(actions)
