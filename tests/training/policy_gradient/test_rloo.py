"""RLOO's own settings; its numbers are held against float64 in test_policy_gradient_oracle."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from preflab.data.rows import Row, collate
from preflab.errors import ConfigError
from preflab.training.policy_gradient.method import Minibatch
from preflab.training.policy_gradient.rloo import RLOO, RLOOConfig
from tests.training.policy_gradient.grids import grid_of


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"samples_per_prompt": 1}, "at least 2"), ({"epochs": 0}, "epochs must be at least 1, got 0")],
)
def test_impossible_settings_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RLOOConfig(**changes)  # type: ignore[arg-type]


BATCH = grid_of([4, 1, 2], [3, 3, 1])


def rewards_of(per_reply: list[float]) -> Tensor:
    """A reply's reward lies at its last token, and 0.5 less and more at its first two where it has more than one."""
    rewards = torch.zeros(6, 4)
    for n, (reward, length) in enumerate(zip(per_reply, BATCH.mask.sum(-1).tolist(), strict=True)):
        rewards[n, length - 1] += reward
        if length > 1:
            rewards[n, 0] -= 0.5
            rewards[n, 1] += 0.5
    return rewards


def advantages_of(per_reply: list[float], **settings: Any) -> Tensor:
    method = RLOO(RLOOConfig(samples_per_prompt=3, **settings))
    return method.advantages(BATCH, rewards_of(per_reply)).advantages


def test_a_reply_has_what_it_earns_over_the_mean_of_its_sisters_at_every_token() -> None:
    advantages = advantages_of([1.0, 4.0, 7.0, 0.0, 0.0, 3.0])
    # 1 - 11/2, 4 - 8/2, 7 - 5/2; 0 - 3/2, 0 - 3/2, 3 - 0
    expected = torch.tensor([-4.5, 0.0, 4.5, -1.5, -1.5, 3.0])
    torch.testing.assert_close(advantages, expected[:, None].expand(-1, 4))


def test_what_all_replies_to_a_prompt_have_in_common_changes_nothing() -> None:
    plain = advantages_of([1.0, 4.0, 7.0, 0.0, 0.0, 3.0])
    torch.testing.assert_close(advantages_of([11.0, 14.0, 17.0, -5.0, -5.0, -2.0]), plain)
    turned = advantages_of([4.0, 7.0, 1.0, 3.0, 0.0, 0.0])
    torch.testing.assert_close(turned[:, 0], plain[[1, 2, 0, 5, 3, 4], 0])


def test_whitened_each_reply_counts_once_however_long() -> None:
    advantages = advantages_of([1.0, 4.0, 7.0, 0.0, 0.0, 3.0], whiten_advantages=True)[:, 0]
    assert float(advantages.mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(advantages.std(correction=0)) == pytest.approx(1.0, rel=1e-4)
    plain = torch.tensor([-4.5, 0.0, 4.5, -1.5, -1.5, 3.0])
    torch.testing.assert_close(advantages, (plain - plain.mean()) / plain.std(correction=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped"),
    [
        (1.0, 2.0, -2.0, 0.0),
        (1.5, 2.0, -2.4, 1.0),  # paid for up to 1.2
        (0.5, 2.0, -1.0, 0.0),
        (0.5, -2.0, 1.6, 1.0),  # blamed down to 0.8
        (1.5, -2.0, 3.0, 0.0),
    ],
)
def test_the_ratio_is_that_of_the_whole_reply(ratio: float, advantage: float, loss: float, clipped: float) -> None:
    """Three tokens share the change of the reply's probability in uneven parts."""
    method = RLOO(RLOOConfig(minibatches=2, clip=0.2))
    old = torch.tensor([-1.0, -2.0, -0.5])
    new = old + math.log(ratio) * torch.tensor([0.5, 0.75, -0.25])
    minibatch = Minibatch(collate([Row.of([3, 4], [70, 71, 1])]), old, torch.full((3,), advantage))
    losses, metrics = method.losses(new, minibatch)
    assert losses.tolist() == pytest.approx([loss], rel=1e-5)
    assert metrics["clip_fraction"] == clipped


def test_it_remembers_nothing() -> None:
    method = RLOO(RLOOConfig())
    assert method.state() == {}
    method.load_state({"baseline": torch.zeros(2)})  # of another method
    assert method.state() == {}
