"""The optimiser step: schedule by hand, clipping, a bad gradient, and a state that continues bit for bit."""

import pytest
import torch
from torch import nn

from preflab.errors import ConfigError, TrainingStopped
from preflab.training.optimiser import Optimiser, OptimiserConfig


def weights(seed: int = 0) -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "body": nn.Parameter(torch.randn(3, generator=generator)),
        "head.weight": nn.Parameter(torch.randn(2, generator=generator)),
    }


def descend(own: dict[str, nn.Parameter], optimiser: Optimiser, steps: int) -> None:
    for _ in range(steps):
        sum((p**2).sum() for p in own.values()).backward()
        optimiser.step()


@pytest.mark.parametrize(
    ("schedule", "step", "share"),
    [
        ("constant", 0, 0.1),  # warm-up starts at a tenth of the peak
        ("constant", 2, 0.55),  # 0.1 + 0.9 * 2/4
        ("constant", 4, 1.0),
        ("constant", 99, 1.0),
        ("linear", 54, 0.55),  # (54 - 4) / 100 done: 0.1 + 0.9 * 0.5
        ("cosine", 54, 0.55),  # cos(pi/2) = 0: half way between 1 and 0.1
        ("cosine", 104, 0.1),
    ],
)
def test_the_schedule_at_points_worked_out_by_hand(schedule: str, step: int, share: float) -> None:
    config = OptimiserConfig(schedule=schedule, warmup_steps=4, final_share=0.1)
    assert config.share(step, 104) == pytest.approx(share)


def test_the_first_adam_step_moves_every_weight_by_the_learning_rate() -> None:
    own = weights()
    before = {k: p.detach().clone() for k, p in own.items()}
    config = OptimiserConfig(learning_rate=0.01, head_learning_rate=0.1, schedule="constant", clip_norm=1e9)
    descend(own, Optimiser(own, config, total_steps=1), 1)
    for name, rate in (("body", 0.01), ("head.weight", 0.1)):
        torch.testing.assert_close(own[name].detach(), before[name] - rate * before[name].sign(), rtol=0, atol=1e-5)


def test_a_gradient_over_the_limit_is_scaled_and_its_norm_reported() -> None:
    own = {"w": nn.Parameter(torch.tensor([3.0, 4.0]))}
    optimiser = Optimiser(own, OptimiserConfig(clip_norm=1.0), total_steps=1)
    (own["w"] ** 2 / 2).sum().backward()  # gradient (3, 4), norm 5
    assert optimiser.step()["gradient_norm"] == pytest.approx(5.0)


def test_a_gradient_that_is_not_finite_stops_the_run_and_leaves_the_weights() -> None:
    own = weights()
    before = {k: p.detach().clone() for k, p in own.items()}
    optimiser = Optimiser(own, OptimiserConfig(), total_steps=1)
    (own["body"].sum() * float("inf")).backward()
    with pytest.raises(TrainingStopped, match="not finite at step 1"):
        optimiser.step()
    for name in own:
        torch.testing.assert_close(own[name].detach(), before[name], rtol=0, atol=0)


def test_a_restored_state_continues_bit_for_bit() -> None:
    config = OptimiserConfig(learning_rate=0.05, weight_decay=0.1, warmup_steps=2)
    straight = weights()
    descend(straight, Optimiser(straight, config, total_steps=7), 7)

    first = weights()
    optimiser = Optimiser(first, config, total_steps=7)
    descend(first, optimiser, 3)
    second = {k: nn.Parameter(p.detach().clone()) for k, p in first.items()}
    resumed = Optimiser(second, config, total_steps=7)
    resumed.load_state(optimiser.state())
    descend(second, resumed, 4)
    for name in straight:
        torch.testing.assert_close(second[name], straight[name], rtol=0, atol=0)


def test_nothing_to_train_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to train"):
        Optimiser({}, OptimiserConfig(), total_steps=1)
