"""Predictors: the shapes of the paper, and that they hold still when they predict."""

import torch
from torch import nn

from preflab.control.rewards.reward_networks import MLP, ConvNet


def test_the_perceptron_has_two_layers_of_64() -> None:
    net = MLP(5, 2)
    shapes = [tuple(layer.weight.shape) for layer in net.layers if isinstance(layer, nn.Linear)]
    assert shapes == [(64, 7), (64, 64), (1, 64)]
    slopes = {layer.negative_slope for layer in net.layers if isinstance(layer, nn.LeakyReLU)}
    assert slopes == {0.01}
    assert net(torch.zeros(3, 5), torch.zeros(3, 2)).shape == (3,)


def test_the_network_of_screens_is_the_papers() -> None:
    net = ConvNet()
    shapes = [
        (c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0]) for c in net.body if isinstance(c, nn.Conv2d)
    ]
    assert shapes == [(4, 16, 7, 3), (16, 16, 5, 2), (16, 16, 3, 1), (16, 16, 3, 1)]
    (linear,) = [layer for layer in net.body if isinstance(layer, nn.Linear)]
    assert tuple(linear.weight.shape) == (64, 16 * 7 * 7)  # 84 -> 26 -> 11 -> 9 -> 7
    assert net(torch.randint(0, 256, (2, 4, 84, 84))).shape == (2,)


def test_predictions_depend_neither_on_chance_nor_on_the_batch() -> None:
    net, screens = ConvNet(), torch.randint(0, 256, (3, 4, 84, 84))
    net(screens)  # in training mode, so that batch normalisation has seen something
    net.eval()
    together = net(screens)
    assert torch.equal(together, net(screens))
    assert torch.allclose(together, torch.cat([net(one[None]) for one in screens]), atol=1e-5)
