"""What passes between a run and its method; the three methods satisfy the protocol."""

import torch

from preflab.data.rows import Row, collate
from preflab.models.load import load_language_model
from preflab.models.roles import Trunk
from preflab.training.policy_gradient.method import Minibatch, PolicyGradientMethod
from preflab.training.policy_gradient.ppo import PPO, PPOConfig
from preflab.training.policy_gradient.reinforce import Reinforce, ReinforceConfig
from preflab.training.policy_gradient.rloo import RLOO, RLOOConfig

ROWS = [Row.of([3, 66, 4], [70, 71, 1], [80]), Row.of([3, 67, 68, 4], [90, 91])]


def test_what_all_tokens_of_a_reply_share_is_taken_once() -> None:
    items = torch.arange(6.0)  # replies of 3, 1 and 2 tokens
    assert Minibatch(collate(ROWS), items, items).first_per_reply(items).tolist() == [0.0, 3.0, 4.0]


def test_the_three_methods_are_methods_and_each_says_what_it_saves() -> None:
    value = Trunk(load_language_model("tiny", precision="fp32"), None).add_role("value", head=True)
    parts = {
        PPO(PPOConfig(), value): {"value", "value_optimiser"},
        PPO(PPOConfig(normalise_values=True), value): {"value", "value_optimiser", "value_scale"},
        RLOO(RLOOConfig()): set[str](),
        Reinforce(ReinforceConfig()): {"baseline"},
        Reinforce(ReinforceConfig(baseline="value"), value): {"baseline", "value", "value_optimiser"},
    }
    for method, names in parts.items():
        assert isinstance(method, PolicyGradientMethod)
        assert {name.split("/")[0] for name in method.state()} == names
