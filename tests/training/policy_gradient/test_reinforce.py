"""REINFORCE's running baseline by hand, and its settings; its gradients are in test_policy_gradient_oracle."""

from types import SimpleNamespace

import pytest
import torch

from preflab.errors import ConfigError
from preflab.models.load import load_language_model
from preflab.models.roles import Trunk
from preflab.rollouts.encode import Encoder
from preflab.training.policy_gradient.reinforce import ReinforceConfig, ReinforceTraining


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        (None, [2.0, 2.0, 4.0]),  # (1 + 3)/2 of itself; the same, of the step before; (1 + 3 + 8)/3
        (0.5, [2.0, 2.0, 5.0]),  # weights .5 for 1 and 3, 1 for 8: (2 + 8)/(1 + 1)
    ],
)
def test_the_running_mean_by_hand(decay: float | None, expected: list[float]) -> None:
    run = SimpleNamespace(baseline=torch.zeros(2, dtype=torch.float64), config=ReinforceConfig(baseline_decay=decay))
    steps = [[1.0, 3.0], [8.0], [0.0]]
    assert [ReinforceTraining._running_mean(run, torch.tensor(step)) for step in steps] == pytest.approx(expected)  # type: ignore[arg-type]


def test_settings_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="baseline_decay"):
        ReinforceConfig(baseline_decay=1.0)
    with pytest.raises(ConfigError, match="needs baseline=value"):
        ReinforceConfig(value_warmup_steps=1)
    source = load_language_model("tiny", precision="fp32")
    trunk, encoder = Trunk(source, None), Encoder(source.tokenizer, max_tokens=64)
    with pytest.raises(ConfigError, match="value model is not given"):
        ReinforceTraining(
            trunk.add_role("policy"),
            trunk.reference(),
            None,
            lambda _: torch.zeros(1),
            [],
            encoder,
            ReinforceConfig(baseline="value"),
            seed=0,
        )
