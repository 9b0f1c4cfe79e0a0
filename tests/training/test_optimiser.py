"""The optimiser step: schedule by hand, clipping, a bad gradient, and a state that continues bit for bit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
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
        ("linear-to-tenth", 54, 0.55),  # (54 - 4) / 100 done: 0.1 + 0.9 * 0.5
        ("linear-to-tenth", 104, 0.1),
        ("linear", 54, 0.5),  # 1 - 50 / 100
        ("linear", 79, 0.25),  # 1 - 75 / 100
        ("linear", 104, 0.0),
        ("cosine", 54, 0.55),  # cos(pi/2) = 0: half way between 1 and 0.1
        ("cosine", 104, 0.1),
    ],
)
def test_the_schedule_at_points_worked_out_by_hand(schedule: str, step: int, share: float) -> None:
    config = OptimiserConfig(schedule=schedule, warmup_steps=4)
    assert config.share(step, 104) == pytest.approx(share)


@pytest.mark.parametrize(("schedule", "share"), [("linear", 0.6), ("cosine", 0.6)])
def test_another_end_can_be_named_and_has_effect_half_way(schedule: str, share: float) -> None:
    config = OptimiserConfig(schedule=schedule, final_share=0.2)
    assert config.share(50, 100) == pytest.approx(share)  # 0.2 + 0.8 * 0.5


@pytest.mark.parametrize("schedule", ["constant", "linear-to-tenth"])
def test_an_end_that_the_schedule_does_not_read_is_refused(schedule: str) -> None:
    with pytest.raises(ConfigError, match=f"final_share=0.2 would change nothing with schedule={schedule}"):
        OptimiserConfig(schedule=schedule, final_share=0.2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": -1e-4}, "learning_rate must be at least 0, got -0.0001"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number, got nan"),
        ({"head_learning_rate": -1.0}, "head_learning_rate must be at least 0, got -1.0"),
        ({"betas": (0.9, 1.0)}, r"betas must be in \[0, 1\), got \(0.9, 1.0\)"),
        ({"clip_norm": 0.0}, "clip_norm must be above 0, got 0.0"),
        ({"clip_norm": float("inf")}, "clip_norm must be a number, got inf"),
        ({"warmup_steps": -1}, "warmup_steps must be at least 0, got -1"),
        ({"final_share": 1.5}, r"final_share must be in \[0, 1\], got 1.5"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OptimiserConfig(**changes)  # type: ignore[arg-type]


@given(
    schedule=st.sampled_from(["constant", "linear", "linear-to-tenth", "cosine"]),
    total=st.integers(1, 50),
    warmup=st.integers(0, 60),
    step=st.integers(0, 49),
)
def test_a_rate_never_exceeds_its_peak_and_never_rises_after_the_warm_up(
    schedule: str, total: int, warmup: int, step: int
) -> None:
    config = OptimiserConfig(schedule=schedule, warmup_steps=warmup)
    now, later = config.share(step, total), config.share(step + 1, total)
    if step + 1 <= total:
        assert 0 <= now <= 1 + 1e-12
        assert 0 <= later <= 1 + 1e-12
        assert step < warmup or later <= now + 1e-12


def test_a_head_rate_of_nothing_leaves_the_head_as_it_was() -> None:
    trained = weights()
    before = {name: weight.detach().clone() for name, weight in trained.items()}
    config = OptimiserConfig(learning_rate=0.01, head_learning_rate=0.0)
    descend(trained, Optimiser(trained, config, total_steps=3), 3)
    assert torch.equal(trained["head.weight"], before["head.weight"])
    assert not torch.equal(trained["body"], before["body"])


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
