"""The plan of minibatches, what a minibatch's loss is divided by, and what the update's log says."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.errors import ConfigError, ModelError
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.generate import Rollout, SamplingConfig
from preflab.training.optimiser import OptimiserConfig
from preflab.training.policy_gradient.method import Advantages
from preflab.training.policy_gradient.ppo import PPO, PPOConfig
from preflab.training.policy_gradient.ptx import PtxConfig
from preflab.training.policy_gradient.reinforce import Reinforce, ReinforceConfig
from preflab.training.policy_gradient.rloo import RLOO, RLOOConfig
from preflab.training.policy_gradient.rollout_batch import RolloutBatch, RolloutRoles, forward_all_roles
from preflab.training.policy_gradient.task import PolicyTask
from preflab.training.policy_gradient.update import PolicyUpdate

PROMPTS = [Dialogue.of("hi"), Dialogue.of("name a colour"), Dialogue.of("why?")]
REPLIES = [[(70, 71, 1), (80, 81, 82, 83)], [(90, 1), (91, 92, 1)], [(75,), (76, 77)]]
"""Tokens of two replies to each prompt: 7, 5 and 3."""
TEXT = [Row.of([66 + i], [70, 71, 72]) for i in range(5)]
NO_CLIP = OptimiserConfig(learning_rate=1e-2, schedule="constant", clip_norm=1e9)
SHARED: dict[str, Any] = {
    "steps": 4,
    "prompts_per_step": 3,
    "samples_per_prompt": 2,
    "sampling": SamplingConfig(max_new_tokens=4),
    "policy": NO_CLIP,
}


def no_scores(dialogues: Sequence[Dialogue]) -> Tensor:
    raise AssertionError("the update asks for no score")


def new_task() -> PolicyTask:
    source = load_language_model("tiny", precision="fp32")
    trunk = Trunk(source, None)
    return PolicyTask(
        policy=trunk.add_role("policy"),
        reference=trunk.reference(),
        scorer=no_scores,
        prompts=PROMPTS,
        encoder=Encoder(source.tokenizer, max_tokens=128),
        seed=5,
        pretraining=TEXT,
    )


def new_update(kind: str = "rloo", **changes: Any) -> tuple[PolicyTask, PolicyUpdate]:
    task = new_task()
    if kind == "ppo":
        value = task.policy.trunk.add_role("value", head=True)
        update = PolicyUpdate(task, PPO(PPOConfig(**SHARED | {"value": NO_CLIP} | changes), value))
        assert update.method.value_fit is not None  # it stands still: no test here gives it targets
        update.method.value_fit.optimiser.step = lambda: {"gradient_norm": 0.0}  # type: ignore[method-assign]
        return task, update
    if kind == "reinforce":
        return task, PolicyUpdate(task, Reinforce(ReinforceConfig(**SHARED | changes), None))
    return task, PolicyUpdate(task, RLOO(RLOOConfig(**SHARED | changes)))


def forward(task: PolicyTask) -> RolloutBatch:
    rollouts = [
        [Rollout(task.encoder.prompt(prompt), tokens, (-1.0,) * len(tokens), True) for tokens in replies]
        for prompt, replies in zip(PROMPTS, REPLIES, strict=True)
    ]
    return forward_all_roles(rollouts, torch.zeros(6), RolloutRoles(task.policy, task.reference, None), max_tokens=999)


def same_for_all(batch: RolloutBatch, per_reply: Sequence[float]) -> Advantages:
    """Every token of a reply has the reply's number."""
    return Advantages(torch.tensor(per_reply)[:, None] * batch.mask)


def gradient_of(role: Role, update: PolicyUpdate) -> dict[str, Tensor]:
    """Catch the gradients at the optimiser's step, which is left out."""
    caught: dict[str, Tensor] = {}

    def step() -> dict[str, float]:
        for name, weight in role.weights().items():
            if weight.grad is not None:
                caught[name] = weight.grad.clone()
                weight.grad = None
        return {"gradient_norm": 0.0, "learning_rate": 0.0}

    update.optimiser.step = step  # type: ignore[method-assign]
    return caught


# the plan --------------------------------------------------------------------------------------------------


@cache
def planner(epochs: int, minibatches: int) -> PolicyUpdate:
    return new_update(epochs=epochs, minibatches=minibatches, prompts_per_step=8)[1]


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([(1, 3), (1, 8), (3, 1), (3, 3)]), st.integers(1, 20), st.integers(0, 1000))
def test_every_row_is_in_one_minibatch_an_epoch_and_minibatches_are_even(
    sizes: tuple[int, int], n_rows: int, step: int
) -> None:
    epochs, minibatches = sizes
    plan = planner(*sizes).plan(n_rows, step)
    assert len(plan) == epochs
    for epoch in plan:
        assert sorted(row for rows in epoch for row in rows) == list(range(n_rows))
        assert len(epoch) == min(minibatches, n_rows)  # no minibatch is empty
        assert max(map(len, epoch)) - min(map(len, epoch)) <= 1


def test_a_plan_follows_from_seed_and_step_and_differs_between_epochs_and_steps() -> None:
    (task, update), (_, other) = new_update(epochs=2), new_update(epochs=2)
    assert update.plan(40, 7) == other.plan(40, 7)
    assert update.plan(40, 7) != update.plan(40, 8)
    first, second = update.plan(40, 7)
    assert first != second
    assert PolicyUpdate(replace(task, seed=6), update.method).plan(40, 7) != update.plan(40, 7)


def test_minibatches_are_at_most_one_a_prompt_and_counted_for_the_schedule() -> None:
    assert new_update(minibatches=8)[1].minibatches == 3
    assert new_update(minibatches=8, epochs=2)[1].optimiser.total_steps == 4 * 2 * 3
    _, update = new_update("ppo", minibatches=2, epochs=2, value_warmup_steps=3)
    assert update.optimiser.total_steps == (4 - 3) * 2 * 2
    assert [update.trains_policy(step) for step in range(5)] == [False, False, False, True, True]


# what losses are divided by --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["rloo", "reinforce", "ppo"])
def test_one_forward_pass_or_one_a_row_give_the_same_gradient(kind: str) -> None:
    found = []
    for max_tokens in (10_000, 1):
        task, update = new_update(kind, max_tokens=max_tokens)
        batch = forward(task)
        caught = gradient_of(task.policy, update)
        metrics = update.minibatch(batch, same_for_all(batch, [1.0, -1.0, 0.5, 2.0, -3.0, 0.25]), [0, 1, 2], 0)
        assert metrics["trained_tokens"] == sum(len(row) for row in batch.rows)
        found.append((metrics["policy_loss"], dict(caught)))
    (loss, gradients), (loss_apart, gradients_apart) = found
    assert loss_apart == pytest.approx(loss, rel=1e-5)
    assert gradients.keys() == gradients_apart.keys() and gradients
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradients_apart[name], gradient, rtol=1e-3, atol=1e-6)


def test_a_reply_counts_by_its_tokens_in_ppo_and_as_one_in_rloo_at_ratios_of_one() -> None:
    """At ratio 1 a loss is minus the advantage: 7 x 1, 5 x 2, 3 x 4 over 15 tokens; 2 + 4 + 8 over 6 replies."""
    per_reply = [1.0, 1.0, 2.0, 2.0, 4.0, 4.0]
    for kind, expected in (("ppo", -(7 * 1 + 5 * 2 + 3 * 4) / 15), ("rloo", -(2 * 1 + 2 * 2 + 2 * 4) / 6)):
        task, update = new_update(kind, minibatches=2)
        batch = forward(task)
        assert update.method.per_reply == (kind == "rloo")
        gradient_of(task.policy, update)
        metrics = update.minibatch(batch, same_for_all(batch, per_reply), [2, 0, 1], 0)
        assert metrics["policy_loss"] == pytest.approx(expected, rel=1e-5)


def test_losses_of_minibatches_weighted_by_what_they_are_divided_by_are_the_batchs_loss() -> None:
    per_reply = [1.0, -1.0, 2.0, 0.5, 4.0, -2.0]
    for kind, weights in (("ppo", [7, 5 + 3]), ("rloo", [2, 4])):
        task, update = new_update(kind, minibatches=2)
        batch = forward(task)
        advantages = same_for_all(batch, per_reply)
        gradient_of(task.policy, update)
        parts = [update.minibatch(batch, advantages, rows, 0)["policy_loss"] for rows in ([0], [1, 2])]
        everything = update.minibatch(batch, advantages, [0, 1, 2], 0)["policy_loss"]
        weighted = sum(n * part for n, part in zip(weights, parts, strict=True)) / sum(weights)
        assert weighted == pytest.approx(everything, rel=1e-4, abs=1e-6)


def test_tokens_add_up_and_all_else_is_a_mean_over_updates() -> None:
    task, update = new_update(minibatches=3, epochs=2)
    batch = forward(task)
    gradient_of(task.policy, update)
    advantages = same_for_all(batch, [1.0, 1.0, 2.0, 2.0, 4.0, 4.0])
    metrics = update.run(batch, advantages, update.plan(3, 0), 0)
    assert metrics["trained_tokens"] == 2 * sum(len(row) for row in batch.rows)
    assert metrics["policy_loss"] == pytest.approx(-(1 + 2 + 4) / 3, rel=1e-5)  # a row each, the policy stands still


# warm-up, pretraining, moving average ----------------------------------------------------------------------


def test_during_warm_up_the_policy_stands_still() -> None:
    task, update = new_update("ppo", value_warmup_steps=1, minibatches=2, ema_decay=0.5)
    batch, before = forward(task), task.policy.state()
    advantages = same_for_all(batch, [1.0, -1.0, 2.0, 0.5, 4.0, -2.0])
    metrics = update.run(batch, advantages, update.plan(3, 0), 0)
    assert "policy_loss" not in metrics and update.optimiser.step_count == 0
    assert all(torch.equal(weight, before[name]) for name, weight in task.policy.state().items())
    metrics = update.run(batch, advantages, update.plan(3, 1), 1)
    assert "policy_loss" in metrics and update.optimiser.step_count == 4  # two epochs are the default
    assert any(not torch.equal(weight, before[name]) for name, weight in task.policy.state().items())


def test_every_update_mixes_in_examples_of_its_own_one_after_another() -> None:
    _, update = new_update(minibatches=3, epochs=2, ptx=PtxConfig(coefficient=1.0, ratio=2))
    batch = forward(new_task())
    asked: list[tuple[int, int]] = []
    assert update.pretraining is not None
    draw = update.pretraining.draw

    def noted(start: int, n: int) -> list[int]:
        asked.append((start, n))
        return draw(start, n)

    update.pretraining.draw = noted  # type: ignore[method-assign]
    advantages = same_for_all(batch, [1.0] * 6)
    for step in (0, 1):
        update.run(batch, advantages, update.plan(3, step), step)
    # 2 examples a reply, 2 replies a row, a row a minibatch; 6 minibatches a step
    assert asked == [(4 * k, 4) for k in range(12)]


def test_the_average_moves_once_a_step_however_many_updates_it_has() -> None:
    task, update = new_update(minibatches=3, epochs=2, ema_decay=0.75)
    start = task.policy.state()
    batch = forward(task)
    update.run(batch, same_for_all(batch, [1.0, -1.0, 2.0, 0.5, 4.0, -2.0]), update.plan(3, 0), 0)
    after = task.policy.state()
    for name, average in update.ema_state().items():
        torch.testing.assert_close(average, 0.75 * start[name] + 0.25 * after[name], rtol=1e-5, atol=1e-7)


# state -----------------------------------------------------------------------------------------------------


def test_a_state_holds_policy_optimiser_and_average_and_goes_on_as_if_unbroken() -> None:
    settings_ = {"minibatches": 3, "ema_decay": 0.5}
    (task, update), (other_task, other) = new_update(**settings_), new_update(**settings_)
    batch = forward(task)
    advantages = same_for_all(batch, [1.0, -1.0, 2.0, 0.5, 4.0, -2.0])
    update.run(batch, advantages, update.plan(3, 0), 0)
    state = update.state()
    assert {name.split("/")[0] for name in state} == {"policy", "policy_optimiser", "ema"}
    other.load_state(state)
    for each in (update, other):
        each.run(batch, advantages, each.plan(3, 1), 1)
    for name, weight in task.policy.state().items():
        assert torch.equal(other_task.policy.state()[name], weight), name
    for name, weight in update.ema_state().items():
        assert torch.equal(other.ema_state()[name], weight), name


def test_without_an_average_there_is_none_to_give_or_to_take() -> None:
    _, update = new_update()
    with pytest.raises(ConfigError, match="no moving average is kept; set ema_decay"):
        update.ema_state()
    with pytest.raises(ModelError, match="begun without ema_decay"):
        new_update(ema_decay=0.5)[1].load_state(update.state())
