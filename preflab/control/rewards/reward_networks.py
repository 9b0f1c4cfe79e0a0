"""Reward predictors: one number a step. Shapes of Christiano et al. 2017, appendix A.

``MLP`` reads observation and action (MuJoCo), ``ConvNet`` the last four screens alone (Atari, footnote of A.2).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

SLOPE = 0.01
"""Of the leaky rectifiers."""


def _leaky() -> nn.LeakyReLU:
    return nn.LeakyReLU(SLOPE, inplace=True)


class MLP(nn.Module):
    """Two hidden layers of 64 units on observation and action.

    Args:
        obs_size, act_size  widths of the flat vectors.
        hidden              widths of the hidden layers.
        dropout             in [0, 1); behind each hidden layer.
    """

    def __init__(self, obs_size: int, act_size: int, *, hidden: Sequence[int] = (64, 64), dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = obs_size + act_size
        for size in hidden:
            layers += [nn.Linear(width, size), _leaky()] + ([nn.Dropout(dropout)] if dropout else [])
            width = size
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(
        self, observations: Float[Tensor, "item obs"], actions: Float[Tensor, "item act"]
    ) -> Float[Tensor, " item"]:
        """A reward for each step; numbers of any type."""
        rewards: Tensor = self.layers(torch.cat([observations.float(), actions.float()], dim=-1))
        return rewards.squeeze(-1)


class ConvNet(nn.Module):
    """Four convolutions (kernels 7, 5, 3, 3; strides 3, 2, 1, 1; 16 filters) and 64 units on four stacked screens.

    Batch normalisation and dropout stand behind every convolution; both use what they have seen, and drop nothing,
    when the module is in evaluation mode.

    Args:
        screens  stacked screens, the channels.
        side     height and width of a screen.
    """

    def __init__(self, *, screens: int = 4, side: int = 84, dropout: float = 0.5) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = screens
        for kernel, stride in ((7, 3), (5, 2), (3, 1), (3, 1)):
            layers += [
                nn.Conv2d(channels, 16, kernel, stride),
                _leaky(),
                nn.BatchNorm2d(16),
                nn.Dropout2d(dropout),
            ]
            channels, side = 16, (side - kernel) // stride + 1
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * side * side, 64), _leaky())
        self.out = nn.Linear(64, 1)

    def forward(self, observations: Tensor, actions: Tensor | None = None) -> Float[Tensor, " item"]:
        """A reward for each stack of screens [item screen height width], pixels from 0 to 255; actions are not read."""
        pixels = observations.contiguous(memory_format=torch.channels_last).float() / 255.0  # twice as fast on a CPU
        rewards: Tensor = self.out(self.body(pixels))
        return rewards.squeeze(-1)
