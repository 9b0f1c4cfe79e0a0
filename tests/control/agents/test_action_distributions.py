"""Heads against torch's own distributions, and their draws against their densities."""

import math

import numpy as np
import pytest
import torch

from preflab.control.agents.action_distributions import Categorical, Gaussian, action_distribution
from preflab.control.environments.env import Continuous, Discrete


def test_a_gaussian_has_the_density_and_entropy_of_torchs_normal() -> None:
    torch.manual_seed(0)
    head = Gaussian(Continuous(3), log_std=-0.7)
    means, actions = torch.randn(5, 3), torch.randn(5, 3)
    normal = torch.distributions.Normal(means, math.exp(-0.7))
    torch.testing.assert_close(head.logp(means, actions), normal.log_prob(actions).sum(-1))
    torch.testing.assert_close(head.entropy(means), normal.entropy().sum(-1))


def test_a_softmax_has_the_probabilities_and_entropy_of_torchs_categorical() -> None:
    torch.manual_seed(0)
    head, logits, actions = Categorical(Discrete(4)), torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    known = torch.distributions.Categorical(logits=logits)
    torch.testing.assert_close(head.logp(logits, actions), known.log_prob(actions))
    torch.testing.assert_close(head.entropy(logits), known.entropy())


def test_gaussian_draws_have_the_mean_and_deviation_that_they_say() -> None:
    head = Gaussian(Continuous(2), log_std=math.log(0.5))
    drawn = head.sample(torch.tensor([[1.0, -2.0]]).expand(20_000, 2), np.random.default_rng(0))
    assert drawn.mean(axis=0) == pytest.approx([1.0, -2.0], abs=0.02)  # five standard errors of 0.5 / sqrt(20,000)
    assert drawn.std(axis=0) == pytest.approx([0.5, 0.5], abs=0.02)


def test_softmax_draws_come_as_often_as_they_should() -> None:
    probs = np.array([0.5, 0.3, 0.2])
    head = Categorical(Discrete(3))
    drawn = head.sample(torch.tensor(np.log(probs)).expand(20_000, 3), np.random.default_rng(0))
    assert np.bincount(drawn) / len(drawn) == pytest.approx(probs, abs=0.018)


def test_actions_have_the_head_of_their_kind() -> None:
    assert isinstance(action_distribution(Continuous(2)), Gaussian)
    assert isinstance(action_distribution(Discrete(2)), Categorical)
