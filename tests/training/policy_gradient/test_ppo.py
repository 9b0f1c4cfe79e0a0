"""PPO on a fixed batch against a float64 reference written here, and the run around it."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row, collate
from preflab.errors import ConfigError, TrainingStopped
from preflab.models.adapters import AdapterConfig
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.generate import Rollout, SamplingConfig
from preflab.training.optimiser import OptimiserConfig
from preflab.training.policy_gradient.ppo import PPO, PPOConfig
from preflab.training.policy_gradient.task import PolicyTask
from preflab.training.policy_gradient.training import PolicyTraining, check_sampler_gap

PROMPTS = [Dialogue.of(text) for text in ("hi", "name a colour", "why?", "sing a song", "one and one")]
RATE = OptimiserConfig(learning_rate=1e-2, schedule="constant")
CONFIG = PPOConfig(
    steps=3,
    prompts_per_step=3,
    samples_per_prompt=2,
    epochs=2,
    minibatches=2,
    sampling=SamplingConfig(max_new_tokens=6, temperature=0.9),
    policy=RATE,
    value=RATE,
)


def count_vowels(dialogues: Sequence[Dialogue]) -> Tensor:
    """A scorer anyone can check: vowels in the reply, in nats."""
    return torch.tensor([float(sum(ch in "aeiou" for ch in d.reply)) for d in dialogues])


def make(config: PPOConfig = CONFIG, *, seed: int = 0, only_head: bool = False) -> PolicyTraining:
    source = load_language_model("tiny", precision="fp32")
    trunk = Trunk(source, AdapterConfig(rank=4, alpha=8.0))
    encoder = Encoder(source.tokenizer, max_tokens=128)
    pm = trunk.add_role("pm", head=True)
    policy = trunk.add_role("policy")
    value = trunk.add_head("value", on="pm") if only_head else trunk.add_role("value", head=True, start_from="pm")
    assert isinstance(pm, Role)
    task = PolicyTask(
        policy=policy, reference=trunk.reference(), scorer=count_vowels, prompts=PROMPTS, encoder=encoder, seed=seed
    )
    return PolicyTraining(task, PPO(config, value))


def value_role(training: PolicyTraining) -> Role:
    assert training.method.value_fit is not None
    return training.method.value_fit.role


def nudge(role: Role, size: float = 0.05) -> None:
    """Move a role away from where it started, so that ratios and KL are not trivial."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in role.weights().values():
            weight.add_(size * torch.randn(weight.shape, generator=generator))


def sampled(training: PolicyTraining) -> list[list[Rollout]]:
    """A fixed batch of uneven replies, with the policy's own log-probabilities as the sampler's."""
    end = training.task.encoder.end_id
    replies = [[(70, 71, end), (80,) * 6], [(90, end), (91, 92, 93, end)], [(75,), (76, 77)]]
    found = []
    for prompt, own in zip(PROMPTS, replies, strict=False):
        prefix = training.task.encoder.prompt(prompt)
        logps = [alone(training.task.policy, prefix, tokens, 0.9)[0].tolist() for tokens in own]
        found.append([Rollout(prefix, t, tuple(lp), t[-1] == end) for t, lp in zip(own, logps, strict=True)])
    return found


def alone(role: Role, prefix: Sequence[int], tokens: Sequence[int], temperature: float) -> tuple[Tensor, Tensor]:
    """Log-probabilities and values of one reply, from full logits of one plain sequence."""
    hidden = role.hidden(collate([Row.of(prefix, tokens)]))
    with role.trunk.activate(role.name) as backbone:
        logits = hidden @ backbone.model.get_output_embeddings().weight.T
    at = range(len(prefix) - 1, len(prefix) + len(tokens) - 1)
    logp = torch.stack([(logits[i].double() / temperature).log_softmax(-1)[t] for i, t in zip(at, tokens, strict=True)])
    has_head = role.trunk.head_of(role.name) is not None
    return logp, role.head(hidden[list(at)]).double() if has_head else torch.zeros(len(tokens))


def reference_losses(training: PolicyTraining, rollouts: list[list[Rollout]], scores: Tensor) -> dict[str, object]:
    """The whole of PPO's arithmetic in float64 Python, reply by reply (papers/02, sec. 3.2-3.4)."""
    config, beta = training.config, training.kl_coefficient
    logps, values, rewards, advantages, returns = [], [], [], [], []
    flat = [r for rs in rollouts for r in rs]
    for rollout, score in zip(flat, scores.tolist(), strict=True):
        logp, _ = alone(training.task.policy, rollout.prompt, rollout.tokens, 0.9)
        ref, _ = alone(training.roles.reference, rollout.prompt, rollout.tokens, 0.9)
        _, value = alone(value_role(training), rollout.prompt, rollout.tokens, 0.9)
        logp, ref, value = logp.detach(), ref.detach(), value.detach()
        reward = [-beta * float(a - b) for a, b in zip(logp, ref, strict=True)]
        reward[-1] += score - (0.0 if rollout.finished else config.missing_eos_penalty)
        own, advantage = [0.0] * len(reward), 0.0
        for t in reversed(range(len(reward))):
            after = float(value[t + 1]) if t + 1 < len(reward) else 0.0
            advantage = reward[t] + after - float(value[t]) + config.gae_lambda * advantage
            own[t] = advantage
        logps.append(logp)
        values.append(value)
        rewards.append(sum(reward))
        advantages += own
        returns += [a + float(v) for a, v in zip(own, value, strict=True)]
    a = torch.tensor(advantages, dtype=torch.float64)
    white = (a - a.mean()) / (a.var(correction=0) + 1e-8).sqrt()
    return {
        "logp": torch.cat(logps),
        "values": torch.cat(values),
        "reward": rewards,
        "advantages": white,
        "returns": returns,
    }


def test_rewards_advantages_and_returns_of_a_fixed_batch_equal_the_reference() -> None:
    training = make()
    nudge(training.task.policy)
    rollouts = sampled(training)
    scores = torch.tensor([1.0, -0.5, 2.0, 0.3, 0.0, 1.5])
    expected = reference_losses(training, rollouts, scores)
    batch, advantages, metrics = training.evaluate_rollouts(rollouts, scores, training.update.plan(3, 0))
    mask = batch.mask
    assert advantages.targets is not None
    found = {"logp": batch.logp, "values": advantages.targets.old}
    found |= {"advantages": advantages.advantages, "returns": advantages.targets.returns}
    for name, grid in found.items():
        wanted = torch.as_tensor(expected[name], dtype=torch.float64)
        torch.testing.assert_close(grid[mask].double(), wanted, rtol=1e-4, atol=1e-5)
    rewards = expected["reward"]
    assert isinstance(rewards, list)
    assert metrics["reward"] == pytest.approx(sum(rewards) / 6, abs=1e-5)
    assert metrics["sampler_gap"] == pytest.approx(0.0, abs=1e-5)
    assert metrics["ended_share"] == pytest.approx(3 / 6)


def gradients(training: PolicyTraining, rollouts: list[list[Rollout]], scores: Tensor) -> dict[str, Tensor]:
    """Policy and value gradients of one minibatch over the whole batch, after the policy has moved on."""
    batch, advantages, _ = training.evaluate_rollouts(rollouts, scores, training.update.plan(3, 0))
    nudge(training.task.policy, 0.02)
    nudge(value_role(training), 0.02)
    caught: dict[str, Tensor] = {}

    def catch(part: str, role: Role) -> dict[str, float]:
        caught.update({f"{part}.{k}": p.grad.clone() for k, p in role.weights().items() if p.grad is not None})
        return {"gradient_norm": 0.0, "learning_rate": 0.0}

    training.update.optimiser.step = lambda: catch("policy", training.task.policy)  # type: ignore[method-assign]
    assert training.method.value_fit is not None
    training.method.value_fit.optimiser.step = lambda: catch("value", value_role(training))  # type: ignore[method-assign]
    training.update.minibatch(batch, advantages, [0, 1, 2], 0)
    return caught


@pytest.mark.parametrize("max_tokens", [1, 120, 10_000])
def test_gradients_equal_the_reference_however_the_minibatch_is_split(max_tokens: int) -> None:
    training = make(replace(CONFIG, max_tokens=max_tokens))
    nudge(training.task.policy)
    rollouts = sampled(training)
    scores = torch.tensor([1.0, -0.5, 2.0, 0.3, 0.0, 1.5])
    expected = reference_losses(training, rollouts, scores)
    found = gradients(training, rollouts, scores)

    other = make()
    other.task.policy.load_state(training.task.policy.state())
    value_role(other).load_state(value_role(training).state())
    flat = [r for rs in rollouts for r in rs]
    new = torch.cat([alone(other.task.policy, r.prompt, r.tokens, 0.9)[0] for r in flat])
    values = torch.cat([alone(value_role(other), r.prompt, r.tokens, 0.9)[1] for r in flat])
    ratio = (new - expected["logp"]).exp()
    a, returns = expected["advantages"], torch.tensor(expected["returns"], dtype=torch.float64)
    torch.maximum(-a * ratio, -a * ratio.clamp(0.8, 1.2)).mean().backward()
    old = expected["values"]
    clipped = old + (values - old).clamp(-0.2, 0.2)
    (0.5 * torch.maximum((values - returns) ** 2, (clipped - returns) ** 2)).mean().backward()
    for part, role in (("policy", other.task.policy), ("value", value_role(other))):
        for name, weight in role.weights().items():
            assert weight.grad is not None
            torch.testing.assert_close(found[f"{part}.{name}"], weight.grad, rtol=1e-3, atol=1e-5)


def test_the_first_step_begins_at_kl_zero_and_ratio_one() -> None:
    first = next(iter(make(replace(CONFIG, epochs=1, minibatches=1))))
    assert first.metrics["kl"] == pytest.approx(0.0, abs=1e-5)
    assert first.metrics["sampler_gap"] == pytest.approx(0.0, abs=1e-5)
    assert first.metrics["update_kl"] == pytest.approx(0.0, abs=1e-6)
    assert first.metrics["clip_fraction"] == 0.0
    assert first.metrics["policy_loss"] == pytest.approx(0.0, abs=1e-5)  # whitened advantages at ratio 1


def test_the_score_rises_on_a_reward_that_can_be_had() -> None:
    steps = list(make(replace(CONFIG, steps=40, prompts_per_step=5, samples_per_prompt=4, kl_coefficient=0.01), seed=1))
    early, late = (sum(s.metrics["score"] for s in part) / 8 for part in (steps[:8], steps[-8:]))
    assert late > early + 0.5
    assert steps[-1].metrics["kl"] > 0.1


@pytest.mark.parametrize("only_head", [False, True])
@pytest.mark.parametrize("cut", [1, 2])
def test_a_resumed_run_ends_bit_for_bit_where_the_unbroken_one_ends(cut: int, only_head: bool) -> None:
    config = replace(CONFIG, kl_target=1.0, kl_horizon=100)
    straight = make(config, only_head=only_head)
    steps = list(straight)
    first = make(config, only_head=only_head)
    for _ in range(cut):
        next(iter(first))
    second = make(config, only_head=only_head)
    second.load_state(first.state())
    resumed = list(second)

    def numbers(step: object) -> dict[str, float]:
        return {k: v for k, v in step.metrics.items() if "seconds" not in k}  # type: ignore[attr-defined]

    assert [numbers(s) for s in resumed] == [numbers(s) for s in steps[cut:]]
    assert [s.rollouts for s in resumed] == [s.rollouts for s in steps[cut:]]
    theirs = second.state()
    for name, tensor in straight.state().items():
        torch.testing.assert_close(theirs[name], tensor, rtol=0, atol=0)


def test_the_kl_limit_ends_the_run_before_the_update_and_says_why() -> None:
    training = make(replace(CONFIG, kl_limit=1e-9))
    nudge(training.task.policy, 0.3)
    before = training.task.policy.state()
    (only,) = list(training)
    assert "over the limit" in only.stopped
    for name, weight in training.task.policy.state().items():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=0)


def test_a_sampler_that_is_not_the_trained_policy_stops_the_run() -> None:
    training = make()
    rollouts = [[replace(r, logprobs=tuple(lp - 3 for lp in r.logprobs)) for r in rs] for rs in sampled(training)]
    _, _, metrics = training.evaluate_rollouts(rollouts, torch.zeros(6), training.update.plan(3, 0))
    assert metrics["sampler_gap"] == pytest.approx(3.0, abs=1e-4)
    with pytest.raises(TrainingStopped, match=r"disagree by 3\.000"):
        check_sampler_gap(metrics["sampler_gap"], training.config.max_sampler_trainer_gap)


def test_the_adaptive_coefficient_moves_towards_its_target() -> None:
    training = make(replace(CONFIG, kl_target=5.0, kl_horizon=60))
    next(iter(training))  # KL 0 against 5: error -0.2, 6 episodes of 60
    assert training.kl_coefficient == pytest.approx(0.05 * (1 - 0.2 * 6 / 60))


def test_what_is_logged_is_finite_and_complete() -> None:
    metrics = list(make())[-1].metrics
    wanted = {"score", "reward", "kl", "sqrt_kl", "entropy", "clip_fraction", "explained_variance", "reply_tokens"}
    wanted |= {"ended_share", "kl_coefficient", "update_kl", "policy_loss", "value_loss", "sampler_gap"}
    assert wanted <= metrics.keys()
    assert all(math.isfinite(v) for v in metrics.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kl_coefficient": -0.1}, "pays for KL"),
        ({"steps": 0}, "at least 1"),
        ({"sampling": SamplingConfig(temperature=0.0)}, "temperature must be above 0"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **change)  # type: ignore[arg-type]


def test_advantages_centred_by_prompt_have_mean_zero_over_each_prompts_tokens() -> None:
    training = make(replace(CONFIG, centre_by_prompt=True))
    nudge(training.task.policy)
    scores = torch.tensor([1.0, -0.5, 2.0, 0.3, 0.0, 1.5])
    batch, advantages, _ = training.evaluate_rollouts(sampled(training), scores, training.update.plan(3, 0))
    for row in range(3):
        own = advantages.advantages[2 * row : 2 * row + 2][batch.mask[2 * row : 2 * row + 2]]
        assert float(own.mean()) == pytest.approx(0.0, abs=1e-5)
    with pytest.raises(ConfigError, match="samples_per_prompt"):
        replace(CONFIG, centre_by_prompt=True, samples_per_prompt=1)


def test_a_value_head_learns_its_returns_without_touching_the_model_below() -> None:
    training = make(replace(CONFIG, steps=1, value_head_updates=200, value_clip=None), only_head=True)
    body = Role(value_role(training).trunk, "pm").state()
    (step,) = list(training)
    assert step.metrics["value_loss"] >= 0
    for name, weight in Role(value_role(training).trunk, "pm").state().items():
        torch.testing.assert_close(weight, body[name], rtol=0, atol=0)


def test_the_value_model_warms_up_before_the_policy_moves() -> None:
    training = make(replace(CONFIG, value_warmup_steps=1))
    before = training.task.policy.state()
    steps = iter(training)
    next(steps)
    for name, weight in training.task.policy.state().items():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=0)
    next(steps)
    assert any(not torch.equal(weight, before[name]) for name, weight in training.task.policy.state().items())
