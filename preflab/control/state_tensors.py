"""Networks and their optimisers as flat tensors and back, for checkpoints."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from preflab.checkpoint import strip_prefix


def module_state(module: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Copies of the weights and of the optimiser's moments."""
    state = {f"weights.{name}": value.detach().clone() for name, value in module.state_dict().items()}
    for i, moments in optimiser.state_dict()["state"].items():
        state |= {f"optimiser.{i}.{name}": torch.as_tensor(moment).clone() for name, moment in moments.items()}
    return state


def load_module_state(module: nn.Module, optimiser: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    """Put back what `module_state` gave; learning rates are left as they are."""
    module.load_state_dict(strip_prefix(state, "weights."))
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in strip_prefix(state, "optimiser.").items():
        i, name = key.split(".", 1)
        moments.setdefault(int(i), {})[name] = value.clone()
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
