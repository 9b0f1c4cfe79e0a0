"""The agent on the true reward: it learns, its reward is normalised on request, and a kill changes nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from preflab.control.agents.ppo import PPO, PPOConfig
from preflab.control.loop_config import LoopConfig
from preflab.control.true_reward_loop import TrueRewardLoop
from tests.control.walk import Walk

AGENT = PPOConfig(hidden=(16,), learning_rate=3e-3, epochs=4, minibatch_steps=32, discount=0.9, gae_lambda=0.9)


def looped(steps: int, *, update_steps: int | None = None, normalise: bool = True) -> TrueRewardLoop:
    env = Walk(4)
    config = LoopConfig(steps=steps, pretrain_steps=80, queries=1, rollout_steps=20, update_steps=update_steps)
    return TrueRewardLoop(config, env, PPO(env.spec, AGENT), normalise=normalise)


def lines_of(loop: TrueRewardLoop, keep: Callable[[], None] = lambda: None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    loop.run(lambda **numbers: found.append(numbers), keep)
    return found


def test_it_learns_to_walk_to_the_right() -> None:
    lines = lines_of(looped(3200))
    assert abs(lines[0]["true_return"]) < 3 and lines[-1]["true_return"] > 9  # 15 at best
    assert [line["step"] for line in lines] == list(range(80, 3201, 80))


def test_the_reward_is_brought_to_mean_0_and_deviation_1_or_left_as_it_is() -> None:
    own, plain = lines_of(looped(80))[0], lines_of(looped(80, normalise=False))[0]
    assert own["mean_reward"] == pytest.approx(0, abs=1e-6) and own["std_reward"] == pytest.approx(1, abs=1e-6)
    assert plain["handed_return"] == plain["true_return"] != own["handed_return"]


@pytest.mark.parametrize("update_steps", [None, 5])
def test_killed_after_a_checkpoint_it_goes_on_bit_for_bit(update_steps: int | None) -> None:
    whole, kept = looped(400, update_steps=update_steps), []
    expected = lines_of(whole, lambda: kept.append({name: value.clone() for name, value in whole.state().items()}))
    again = looped(400, update_steps=update_steps)
    again.load_state(kept[1])
    assert lines_of(again) == expected[2:]
    assert all(torch.equal(value, again.state()[name]) for name, value in whole.state().items())
    assert np.array_equal(whole.env.observations, again.env.observations)
