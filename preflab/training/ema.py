"""A moving average of a role's weights, for evaluation: rollouts are drawn from the raw weights.

Made by hand, as ``torch.optim.swa_utils.AveragedModel`` copies a module with all its weights: here the roles share one
frozen body, only a role's trainable weights have an average, in full precision whatever theirs, and it is saved and
sharded by the same names as the role's own state.
"""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from preflab import distributed
from preflab.errors import ConfigError, ModelError
from preflab.models.roles import Role


class EMA:
    """``average <- decay * average + (1 - decay) * weights``, in full precision, from the weights as they are now.

    Ouyang et al. 2022 (appendix C) average with 0.992 and evaluate the average. Whether per iteration or per
    optimiser step they do not say; here it is once an iteration (a batch of rollouts), whatever the number of
    minibatches. No correction for the start: the average begins at the initial policy.
    """

    def __init__(self, weights: Mapping[str, nn.Parameter], decay: float) -> None:
        if not 0.0 <= decay < 1.0:
            raise ConfigError(f"ema_decay must be in [0, 1), got {decay}; Ouyang et al. use 0.992")
        self.weights, self.decay = dict(weights), decay
        self.average = {k: p.detach().float().clone() for k, p in self.weights.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now."""
        for name, weight in self.weights.items():
            self.average[name].lerp_(weight.detach().float(), 1.0 - self.decay)

    def state(self) -> dict[str, Tensor]:
        """A copy of the average, by the names of ``Role.state``."""
        return {k: a.clone() for k, a in self.average.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put an average back.

        Raises:
            ModelError: it is not that of these weights.
        """
        if state.keys() != self.average.keys():
            raise ModelError(
                f"the saved moving average does not fit: it holds {len(state)} weights, expected {len(self.average)}; "
                "was the run begun without ema_decay?"
            )
        for name, average in self.average.items():
            average.copy_(distributed.shard_like(state[name].to(average.device), average))


@contextlib.contextmanager
def weights_of(role: Role, state: dict[str, Tensor]) -> Iterator[Role]:
    """The role with other weights for the length of a block, such as ``training.ema_state()``; then its own again."""
    before = role.state()
    role.load_state(state)
    try:
        yield role
    finally:
        role.load_state(before)
