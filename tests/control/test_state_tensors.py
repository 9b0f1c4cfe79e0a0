"""A network with its optimiser, saved and put back, goes on as it was."""

import torch
from torch import nn

from preflab.checkpoint import strip_prefix, with_prefix
from preflab.control.state_tensors import load_module_state, module_state


def stepped(net: nn.Linear, optimiser: torch.optim.Optimizer, n: int) -> None:
    for _ in range(n):
        optimiser.zero_grad()
        net(torch.ones(1, 3)).square().sum().backward()
        optimiser.step()


def test_weights_and_moments_come_back() -> None:
    one, other = nn.Linear(3, 2), nn.Linear(3, 2)
    first, second = (torch.optim.Adam(net.parameters(), lr=0.1) for net in (one, other))
    stepped(one, first, 3)
    kept = with_prefix("part.", module_state(one, first))
    load_module_state(other, second, strip_prefix(kept, "part."))
    stepped(one, first, 2)
    stepped(other, second, 2)
    assert torch.equal(one.weight, other.weight)


def test_what_was_saved_does_not_move_with_the_network() -> None:
    net = nn.Linear(3, 2)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.1)
    stepped(net, optimiser, 1)
    kept = module_state(net, optimiser)
    before = {name: value.clone() for name, value in kept.items()}
    stepped(net, optimiser, 1)
    assert all(torch.equal(kept[name], before[name]) for name in kept)
