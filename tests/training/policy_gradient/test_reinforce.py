"""REINFORCE's running baseline by hand, and its settings; its gradients are in test_policy_gradient_oracle."""

import pytest
import torch

from preflab.errors import ConfigError
from preflab.models.load import load_language_model
from preflab.models.roles import Trunk
from preflab.training.policy_gradient.reinforce import Reinforce, ReinforceConfig, RunningBaseline


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        (None, [2.0, 2.0, 4.0]),  # (1 + 3)/2 of itself; the same, of the step before; (1 + 3 + 8)/3
        (0.5, [2.0, 2.0, 5.0]),  # weights .5 for 1 and 3, 1 for 8: (2 + 8)/(1 + 1)
    ],
)
def test_the_running_mean_by_hand(decay: float | None, expected: list[float]) -> None:
    baseline = RunningBaseline(decay)
    steps = [[1.0, 3.0], [8.0], [0.0]]
    assert [baseline.update(torch.tensor(step)) for step in steps] == pytest.approx(expected)


def test_settings_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="baseline_decay"):
        ReinforceConfig(baseline_decay=1.0)
    with pytest.raises(ConfigError, match="needs baseline=value"):
        ReinforceConfig(value_warmup_steps=1)
    with pytest.raises(ConfigError, match="value model is not given"):
        Reinforce(ReinforceConfig(baseline="value"))
    value = Trunk(load_language_model("tiny", precision="fp32"), None).add_role("value", head=True)
    with pytest.raises(ConfigError, match="baseline=mean, and a value model is given"):
        Reinforce(ReinforceConfig(), value)


def test_the_baseline_is_all_that_it_remembers_without_a_value_model() -> None:
    method, other = Reinforce(ReinforceConfig()), Reinforce(ReinforceConfig())
    method.baseline.update(torch.tensor([1.0, 3.0]))
    assert method.state().keys() == {"baseline"}
    other.load_state(method.state())
    assert other.baseline.update(torch.tensor([7.0])) == 2.0
