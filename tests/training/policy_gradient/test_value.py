"""The value model's running scale, its targets, and what a head is fitted to."""

from typing import Any

import pytest
import torch
from torch import Tensor

from preflab.data.rows import Row, collate
from preflab.models.adapters import AdapterConfig
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.rollouts.generate import Rollout
from preflab.training.optimiser import OptimiserConfig
from preflab.training.policy_gradient.rollout_batch import RolloutBatch, RolloutRoles, forward_all_roles
from preflab.training.policy_gradient.value import RunningScale, ValueFit, ValueFitConfig, ValueTargets

RATE = OptimiserConfig(learning_rate=1e-2, schedule="constant", clip_norm=1e9)
REPLIES = [[(70, 71, 1), (80, 81)], [(90,), (91, 92, 93, 1)]]
PROMPTS = [(3, 66, 4), (3, 67, 68, 4)]


@pytest.fixture
def trunk() -> Trunk:
    trunk = Trunk(load_language_model("tiny", precision="fp32"), AdapterConfig(rank=2))
    trunk.add_role("policy")
    trunk.add_role("pm", head=True)
    return trunk


def fit_of(role: Role, **settings: Any) -> ValueFit:
    return ValueFit(role, ValueFitConfig(optimiser=RATE, **settings), steps=3, updates_per_step=4)


def rollouts_of(trunk: Trunk, value: Role) -> RolloutBatch:
    rollouts = [
        [Rollout(prompt, tokens, (-1.0,) * len(tokens), True) for tokens in replies]
        for prompt, replies in zip(PROMPTS, REPLIES, strict=True)
    ]
    roles = RolloutRoles(Role(trunk, "policy"), trunk.reference(), value)
    return forward_all_roles(rollouts, torch.zeros(4), roles, max_tokens=999)


def some_returns(batch: RolloutBatch) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(batch.mask.shape, generator=generator) * batch.mask


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


# a whole model ---------------------------------------------------------------------------------------------


def test_a_loss_is_half_the_squared_error_over_the_minibatchs_tokens(trunk: Trunk) -> None:
    """Two passes of 3 and 2 tokens of a minibatch of 5: their losses and gradients add up to those of one pass."""
    role = trunk.add_role("value", head=True)
    fit = fit_of(role)
    rows = [Row.of([3, 66, 4], [70, 71, 1]), Row.of([3, 67, 4], [80, 81])]
    returns = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.25, 0.0]])
    targets = ValueTargets(old=torch.zeros(2, 3), returns=returns)
    flat = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.25])
    with torch.no_grad():
        values = role.values(collate(rows))
    expected = float(0.5 * (values - flat).square().sum() / 5)

    def passes(parts: list[list[int]]) -> tuple[float, dict[str, Tensor]]:
        loss = 0.0
        for part in parts:
            sample = torch.tensor([n for n in part for _ in range(3 - n)])
            token = torch.tensor([k for n in part for k in range(3 - n)])
            metrics = fit.add_gradient(targets, collate([rows[n] for n in part]), (sample, token), 5)
            loss += metrics["value_loss"]
        gradients = {name: weight.grad.clone() for name, weight in role.weights().items() if weight.grad is not None}
        for weight in role.weights().values():
            weight.grad = None
        return loss, gradients

    (loss, gradients), (loss_apart, gradients_apart) = passes([[0, 1]]), passes([[0], [1]])
    assert loss == pytest.approx(expected, rel=1e-4) and loss_apart == pytest.approx(expected, rel=1e-4)
    assert gradients.keys() == gradients_apart.keys() and gradients
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradients_apart[name], gradient, rtol=1e-3, atol=1e-6)


def test_values_that_have_been_run_are_not_run_again(trunk: Trunk) -> None:
    role = trunk.add_role("value", head=True)
    fit = fit_of(role)
    given_values = torch.tensor([2.0, 4.0], requires_grad=True)
    targets = ValueTargets(old=torch.zeros(1, 2), returns=torch.tensor([[1.0, 1.0]]))
    items = torch.tensor([0, 0]), torch.tensor([0, 1])
    metrics = fit.add_gradient(targets, collate([Row.of([3], [70, 71])]), items, 4, given_values)
    assert metrics["value_loss"] == pytest.approx(0.5 * (1 + 9) / 4)
    assert given_values.grad is not None
    assert given_values.grad.tolist() == pytest.approx([1 / 4, 3 / 4])  # half a square has the error as its slope


# units -----------------------------------------------------------------------------------------------------


def test_without_a_scale_targets_are_values_and_returns_as_they_are(trunk: Trunk) -> None:
    role = trunk.add_role("value", head=True)
    fit, batch = fit_of(role), rollouts_of(trunk, role)
    returns = some_returns(batch)
    targets = fit.targets(batch, returns)
    assert batch.values is not None
    assert torch.equal(targets.old, batch.values) and torch.equal(targets.returns, returns)


def test_a_scale_takes_returns_in_before_it_divides_and_reading_undoes_it(trunk: Trunk) -> None:
    role = trunk.add_role("value", head=True)
    fit, batch = fit_of(role, normalise=True), rollouts_of(trunk, role)
    returns = 5.0 + 2.0 * some_returns(batch)
    before = fit.predict(batch)
    assert batch.values is not None
    assert torch.equal(before, batch.values)  # nothing is known of the scale yet
    targets = fit.targets(batch, returns)
    real = targets.returns[batch.mask]
    assert float(real.mean()) == pytest.approx(0.0, abs=1e-5)
    assert float(real.std(correction=0)) == pytest.approx(1.0, rel=1e-4)
    assert fit.scale is not None
    mean, deviation = fit.scale.mean_and_deviation
    torch.testing.assert_close(fit.predict(batch), batch.values * deviation + mean)
    torch.testing.assert_close(targets.old * deviation + mean, before, rtol=1e-5, atol=1e-5)


def test_explained_variance_by_hand(trunk: Trunk) -> None:
    role = trunk.add_role("value", head=True)
    fit, batch = fit_of(role), rollouts_of(trunk, role)
    assert batch.values is not None
    for slope, offset, expected in ((1.0, 0.0, 1.0), (1.0, 7.0, 1.0), (2.0, 0.0, 0.75)):
        # returns = slope * values + offset: what is left over is (slope - 1) * values, of variance (1 - 1 / slope)^2
        metrics = fit.metrics(batch, slope * batch.values + offset)
        assert metrics["explained_variance"] == pytest.approx(expected, abs=1e-4)
        assert metrics["return_mean"] == pytest.approx(slope * metrics["value_mean"] + offset, abs=1e-5)
    assert fit.metrics(batch, torch.full_like(batch.values, 3.0))["explained_variance"] == 0.0


# a head ----------------------------------------------------------------------------------------------------


def test_a_head_is_fitted_as_often_as_asked_and_to_nothing_but_reply_tokens(trunk: Trunk) -> None:
    role = trunk.add_head("value", on="pm")
    fit, batch = fit_of(role, head_updates=5), rollouts_of(trunk, role)
    assert fit.optimiser.total_steps == 3 * 5
    body = trunk.model.state_dict()
    frozen = {name: weight.clone() for name, weight in body.items()}
    returns = torch.where(batch.mask, 1.0, 1e6)  # what lies beside replies must not count
    targets = ValueTargets(old=torch.zeros_like(returns), returns=returns)
    first, second = fit.fit_head(batch, targets), fit.fit_head(batch, targets)
    assert fit.optimiser.step_count == 10
    assert batch.values is not None
    expected = float(0.5 * (batch.values[batch.mask] - 1).square().mean())
    assert first["value_loss"] == pytest.approx(expected, rel=1e-4)  # as it was before the first update
    assert second["value_loss"] < first["value_loss"] < 1e5
    assert all(torch.equal(weight, frozen[name]) for name, weight in trunk.model.state_dict().items())


def test_a_whole_model_is_updated_as_often_as_the_policy(trunk: Trunk) -> None:
    assert fit_of(trunk.add_role("value", head=True)).optimiser.total_steps == 3 * 4


def test_a_state_brings_back_weights_moments_and_scale(trunk: Trunk) -> None:
    role = trunk.add_head("value", on="pm")
    fit = fit_of(role, normalise=True)
    batch = rollouts_of(trunk, role)
    fit.fit_head(batch, fit.targets(batch, some_returns(batch)))
    state = fit.state()
    other = fit_of(trunk.add_head("second", on="pm"), normalise=True)
    other.load_state(state)
    assert other.scale is not None and fit.scale is not None
    assert other.scale.mean_and_deviation == fit.scale.mean_and_deviation
    again = fit.state()
    assert state.keys() == again.keys() == other.state().keys()
    for name, tensor in other.state().items():
        assert torch.equal(tensor, again[name]), name
    assert "value_scale" not in fit_of(role).state()
