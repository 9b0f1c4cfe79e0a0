"""The value model's running scale, its targets, and what a head is fitted to."""

import pytest
import torch

from preflab.training.policy_gradient.value import RunningScale


def test_the_running_scale_of_one_step_is_that_steps_own() -> None:
    scale = RunningScale()
    assert scale.mean_and_deviation == (0.0, 1.0)
    returns, mask = torch.tensor([[1.0, 3.0], [5.0, 99.0]]), torch.tensor([[True, True], [True, False]])
    scale.update(returns, mask)
    # 1, 3, 5: mean 3, variance 35/3 - 9 = 8/3
    assert scale.mean_and_deviation == pytest.approx((3.0, (8 / 3) ** 0.5))


def test_later_steps_weigh_one_hundredth_more_than_the_one_before() -> None:
    scale, mask = RunningScale(), torch.ones(1, 1, dtype=torch.bool)
    for value in (0.0, 2.0):
        scale.update(torch.tensor([[value]]), mask)
    mean, deviation = scale.mean_and_deviation
    assert mean == pytest.approx(2 / 1.99)  # weights .99 and 1
    assert deviation == pytest.approx((4 / 1.99 - (2 / 1.99) ** 2) ** 0.5)


def test_something_constant_has_a_deviation_that_can_be_divided_by() -> None:
    scale = RunningScale()
    scale.update(torch.full((2, 2), 7.0), torch.ones(2, 2, dtype=torch.bool))
    assert scale.mean_and_deviation == pytest.approx((7.0, 1e-4))
