"""Log-probabilities, KL, advantages, losses and gradients of every method against plain loops in float64.

The reference below shares no code with the package: transformers' own model in float64, one padded sequence at a time,
rewards, advantages and losses written out from papers/02 sec. 3.2-3.4 and papers/03 sec. 3.3-3.9.
"""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.generate import Rollout, SamplingConfig
from preflab.training.optimiser import OptimiserConfig
from preflab.training.policy_gradient.ppo import PPO, PPOConfig
from preflab.training.policy_gradient.ptx import PtxConfig
from preflab.training.policy_gradient.reinforce import Reinforce, ReinforceConfig
from preflab.training.policy_gradient.rloo import RLOO, RLOOConfig
from preflab.training.policy_gradient.task import PolicyTask
from preflab.training.policy_gradient.training import PolicyTraining

PROMPTS = [Dialogue.of(text) for text in ("hi", "name a colour", "why?")]
SCORES = torch.tensor([1.0, -0.5, 2.0, 0.3, 0.0, 1.5])
TEXT = [Row.of([66], [67, 68, 69, 70, 1]), Row.of([80], [81, 82])]
TEMPERATURE = 0.9
SHARED: dict[str, Any] = {
    "steps": 2,
    "prompts_per_step": 3,
    "samples_per_prompt": 2,
    "kl_coefficient": 0.3,
    "missing_eos_penalty": 0.7,
    "sampling": SamplingConfig(max_new_tokens=6, temperature=TEMPERATURE),
    "policy": OptimiserConfig(learning_rate=1e-2, schedule="constant", clip_norm=1e9),
}
VALUE = OptimiserConfig(learning_rate=1e-2, schedule="constant", clip_norm=1e9)
PTX = PtxConfig(coefficient=2.5, ratio=1)


def nudged(role: Role, seed: int, size: float) -> Role:
    """Move a role away from where it is, so that ratios and KL are not trivial."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in role.weights().values():
            weight.add_(size * torch.randn(weight.shape, generator=generator))
    return role


def make(kind: str, **changes: Any) -> PolicyTraining:
    """A run of one method on full weights of the tiny model, policy and value model moved off their starts."""
    source = load_language_model("tiny", precision="fp32")
    trunk = Trunk(source, None)
    encoder = Encoder(source.tokenizer, max_tokens=128)
    policy = nudged(trunk.add_role("policy"), 1, 0.03)
    value = nudged(trunk.add_role("value", head=True), 2, 0.03)

    def scorer(dialogues: object) -> Tensor:
        raise AssertionError("scores are given")

    task = PolicyTask(
        policy=policy,
        reference=trunk.reference(),
        scorer=scorer,
        prompts=PROMPTS,
        encoder=encoder,
        seed=0,
        pretraining=TEXT,
    )

    if kind in ("ppo", "ppo-ptx"):
        ppo = PPOConfig(**SHARED | {"value": VALUE, "ptx": PTX if kind == "ppo-ptx" else PtxConfig()} | changes)
        return PolicyTraining(task, PPO(ppo, value))
    if kind == "rloo":
        return PolicyTraining(task, RLOO(RLOOConfig(**SHARED | changes)))
    baseline: Any = "value" if kind == "reinforce-value" else "mean"
    plain = ReinforceConfig(**SHARED | {"baseline": baseline, "value": VALUE} | changes)
    return PolicyTraining(task, Reinforce(plain, value if baseline == "value" else None))


def fixed_rollouts(training: PolicyTraining) -> list[list[Rollout]]:
    """A fixed batch of uneven replies; the sampler's log-probabilities are made up, for nothing is trained on them."""
    end = training.task.encoder.end_id
    replies = [[(70, 71, end), (80,) * 6], [(90, end), (91, 92, 93, end)], [(75,), (76, 77)]]
    return [
        [Rollout(training.task.encoder.prompt(p), t, (-1.0,) * len(t), t[-1] == end) for t in own]
        for p, own in zip(PROMPTS, replies, strict=True)
    ]


# the reference -------------------------------------------------------------------------------------------


class Reference:
    """One role as transformers' model in float64, with a head."""

    def __init__(self, role: Role) -> None:
        self.model: Any = copy.deepcopy(role.trunk.source.model).double().requires_grad_(True)
        self.head = torch.zeros(1, 32, dtype=torch.float64)
        self.take(role)

    def take(self, role: Role) -> None:
        """The role's weights as they are now."""
        state = {k: v.double() for k, v in role.state().items()}
        if "head.weight" in state:
            self.head = state.pop("head.weight").requires_grad_(True)
        if state:
            self.model.load_state_dict(state, strict=False)

    def of(self, prompt: tuple[int, ...], tokens: tuple[int, ...], temperature: float) -> tuple[Tensor, Tensor]:
        """Log-probabilities and values of one reply, in a sequence padded on the left by three tokens."""
        ids = torch.tensor([[0] * 3 + [*prompt, *tokens]])
        seen = (torch.arange(ids.shape[1]) >= 3).long()[None]
        positions = (torch.arange(ids.shape[1]) - 3).clamp_min(0)[None]
        out = self.model(
            input_ids=ids, attention_mask=seen, position_ids=positions, output_hidden_states=True, use_cache=False
        )
        logp, values = [], []
        for k, token in enumerate(tokens):
            at = 3 + len(prompt) + k - 1
            logp.append((out.logits[0, at] / temperature).log_softmax(-1)[token])
            values.append((out.hidden_states[-1][0, at] * self.head[0]).sum())
        return torch.stack(logp), torch.stack(values)

    def gradients(self) -> dict[str, Tensor]:
        """By the names of ``Role.weights``."""
        found = {k: p.grad for k, p in self.model.named_parameters() if p.grad is not None}
        return found | ({"head.weight": self.head.grad} if self.head.grad is not None else {})


Numbers = dict[str, Any]


def worked_out(kind: str, training: PolicyTraining, rollouts: list[list[Rollout]]) -> Numbers:
    """Everything before the update, reply by reply."""
    policy, start = Reference(training.task.policy), Reference(training.task.policy.trunk.reference())
    value = Reference(training.method.value_fit.role) if training.method.value_fit else None
    found: Numbers = {k: [] for k in ("logp", "kl", "values", "rewards", "advantages", "returns")}
    for rollout, score in zip([r for rs in rollouts for r in rs], SCORES.double().tolist(), strict=True):
        logp = policy.of(rollout.prompt, rollout.tokens, TEMPERATURE)[0].detach()
        ref = start.of(rollout.prompt, rollout.tokens, TEMPERATURE)[0].detach()
        v = value.of(rollout.prompt, rollout.tokens, TEMPERATURE)[1].detach().tolist() if value else [0.0] * len(logp)
        reward = [-0.3 * float(a - b) for a, b in zip(logp, ref, strict=True)]
        reward[-1] += score - (0.0 if rollout.finished else 0.7)
        own, after = [0.0] * len(reward), 0.0
        gae_lambda = 0.95 if kind.startswith("ppo") else 1.0
        for t in reversed(range(len(reward))):
            following = v[t + 1] if t + 1 < len(reward) else 0.0
            own[t] = after = reward[t] + following - v[t] + gae_lambda * after
        found["logp"].append(logp)
        found["kl"].append(float((logp - ref).sum()))
        found["values"].append(torch.tensor(v, dtype=torch.float64))
        found["rewards"].append(sum(reward))
        found["advantages"].append(torch.tensor(own, dtype=torch.float64))
        found["returns"].append(torch.tensor([a + b for a, b in zip(own, v, strict=True)], dtype=torch.float64))
    lengths = [len(a) for a in found["advantages"]]
    if kind.startswith("ppo"):
        flat = torch.cat(found["advantages"])
        mean = sum(flat.tolist()) / len(flat)
        deviation = (sum((a - mean) ** 2 for a in flat.tolist()) / len(flat) + 1e-8) ** 0.5
        found["advantages"] = [(a - mean) / deviation for a in found["advantages"]]
    elif kind == "rloo":  # the sister's reward is the baseline
        sister = [found["rewards"][i ^ 1] for i in range(6)]
        own_less = [r - s for r, s in zip(found["rewards"], sister, strict=True)]
        found["advantages"] = [torch.full((n,), a, dtype=torch.float64) for a, n in zip(own_less, lengths, strict=True)]
    elif kind == "reinforce":  # the first step is its own baseline
        mean = sum(found["rewards"]) / 6
        found["advantages"] = [
            torch.full((n,), r - mean, dtype=torch.float64) for r, n in zip(found["rewards"], lengths, strict=True)
        ]
    return found


def losses(kind: str, training: PolicyTraining, rollouts: list[list[Rollout]], old: Numbers) -> Numbers:
    """The update's losses and gradients at the weights as they are now."""
    policy = Reference(training.task.policy)
    value = Reference(training.method.value_fit.role) if training.method.value_fit else None
    n_tokens = sum(len(r.tokens) for rs in rollouts for r in rs)
    policy_loss, values_loss = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for i, rollout in enumerate(r for rs in rollouts for r in rs):
        logp, _ = policy.of(rollout.prompt, rollout.tokens, TEMPERATURE)
        a = old["advantages"][i]
        if kind.startswith("ppo"):
            for t in range(len(logp)):
                ratio = (logp[t] - old["logp"][i][t]).exp()
                policy_loss = policy_loss + torch.maximum(-a[t] * ratio, -a[t] * ratio.clamp(0.8, 1.2)) / n_tokens
        elif kind == "rloo":
            ratio = (logp.sum() - old["logp"][i].sum()).exp()
            policy_loss = policy_loss + torch.maximum(-a[0] * ratio, -a[0] * ratio.clamp(0.8, 1.2)) / 6
        else:
            policy_loss = policy_loss - (a * logp).sum() / 6
        if value is not None:
            _, now = value.of(rollout.prompt, rollout.tokens, TEMPERATURE)
            for t in range(len(now)):
                before, target = old["values"][i][t], old["returns"][i][t]
                error = (now[t] - target) ** 2
                if kind.startswith("ppo"):
                    near = before + (now[t] - before).clamp(-0.2, 0.2)
                    error = torch.maximum(error, (near - target) ** 2)
                values_loss = values_loss + 0.5 * error / n_tokens
    policy_loss.backward()
    found: Numbers = {"policy_loss": float(policy_loss.detach()), "value_loss": float(values_loss.detach())}
    if kind == "ppo-ptx":
        found["rl_gradient_norm"] = norm(policy.gradients())
        nats = torch.zeros((), dtype=torch.float64)
        rows = training.update.pretraining.draw(0, 6)  # type: ignore[union-attr]
        count = sum(len(row.segments[1]) for row in rows)
        for row in rows:
            nats = nats - policy.of(row.segments[0], row.segments[1], 1.0)[0].sum() / count
        (2.5 * nats).backward()
        found["ptx_loss"] = float(nats.detach())
    if value is not None:
        values_loss.backward()
    return found | {"policy": policy.gradients(), "value": value.gradients() if value is not None else {}}


def norm(gradients: dict[str, Tensor]) -> float:
    return sum(float((g**2).sum()) for g in gradients.values()) ** 0.5


# the comparison ------------------------------------------------------------------------------------------

KINDS = ["ppo", "ppo-ptx", "rloo", "reinforce", "reinforce-value"]
ONE_BATCH: dict[str, dict[str, Any]] = {"ppo": {"minibatches": 1}, "ppo-ptx": {"minibatches": 1}}


def close(ours: Tensor, theirs: Tensor, tolerance: float = 2e-5) -> None:
    torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("max_tokens", [1, 60, 10_000])
def test_what_is_measured_equals_the_reference(kind: str, max_tokens: int) -> None:
    training = make(kind, max_tokens=max_tokens)
    rollouts = fixed_rollouts(training)
    wanted = worked_out(kind, training, rollouts)
    batch, advantages, metrics = training.evaluate_rollouts(rollouts, SCORES, training.update.plan(3, 0))
    mask = batch.mask
    close(batch.logp[mask], torch.cat(wanted["logp"]))
    close(advantages.advantages[mask], torch.cat(wanted["advantages"]), 1e-4)
    assert metrics["kl"] == pytest.approx(sum(wanted["kl"]) / 6, abs=1e-5)
    assert abs(metrics["kl"]) > 0.01
    assert metrics["reward"] == pytest.approx(sum(wanted["rewards"]) / 6, abs=1e-5)
    if advantages.targets is not None:
        close(advantages.targets.old[mask], torch.cat(wanted["values"]))
        close(advantages.targets.returns[mask], torch.cat(wanted["returns"]), 1e-4)


def caught(training: PolicyTraining) -> dict[str, dict[str, Tensor]]:
    """Put optimisers in place that keep the gradients and change nothing."""
    kept: dict[str, dict[str, Tensor]] = {"policy": {}, "value": {}}

    def catch(part: str, role: Role) -> Callable[[], dict[str, float]]:
        def step() -> dict[str, float]:
            kept[part] = {k: p.grad.clone() for k, p in role.weights().items() if p.grad is not None}
            return {"gradient_norm": 0.0, "learning_rate": 0.0}

        return step

    training.update.optimiser.step = catch("policy", training.task.policy)  # type: ignore[method-assign]
    if training.method.value_fit is not None:
        training.method.value_fit.optimiser.step = catch("value", training.method.value_fit.role)  # type: ignore[method-assign]
    return kept


def same_gradients(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    """Equal to 1e-4 of the largest gradient of each weight, so that a wrong sign or factor anywhere shows."""
    assert {k for k, g in theirs.items() if g.abs().max() > 0} <= ours.keys()
    for name, gradient in ours.items():
        wanted = theirs[name] if name in theirs else torch.zeros_like(gradient)
        assert float((gradient.double() - wanted).abs().max()) <= 1e-4 * float(wanted.abs().max()) + 1e-7, name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("max_tokens", [1, 60, 10_000])
def test_the_first_update_equals_the_reference(kind: str, max_tokens: int) -> None:
    """At 10,000 tokens the measuring pass serves as the update's; at 60 and 1 it does not."""
    training = make(kind, max_tokens=max_tokens, **ONE_BATCH.get(kind, {}))
    rollouts = fixed_rollouts(training)
    wanted = losses(kind, training, rollouts, worked_out(kind, training, rollouts))
    batch, advantages, _ = training.evaluate_rollouts(rollouts, SCORES, training.update.plan(3, 0))
    assert (batch.cached is not None) == (max_tokens == 10_000)
    kept = caught(training)
    found = training.update.minibatch(batch, advantages, [2, 0, 1], 0, cached=batch.cached)
    same_gradients(kept["policy"], wanted["policy"])
    same_gradients(kept["value"], wanted["value"])
    for name in {"policy_loss", "value_loss", "ptx_loss", "rl_gradient_norm"} & found.keys() & wanted.keys():
        assert found[name] == pytest.approx(wanted[name], rel=1e-4, abs=1e-5), name


@pytest.mark.parametrize("kind", ["ppo", "ppo-ptx", "rloo"])
def test_a_later_update_with_ratios_off_one_equals_the_reference(kind: str) -> None:
    training = make(kind, max_tokens=60)
    rollouts = fixed_rollouts(training)
    before = worked_out(kind, training, rollouts)
    batch, advantages, _ = training.evaluate_rollouts(rollouts, SCORES, training.update.plan(3, 0))
    nudged(training.task.policy, 3, 0.02)
    if training.method.value_fit is not None:
        nudged(training.method.value_fit.role, 4, 0.02)
    wanted = losses(kind, training, rollouts, before)
    kept = caught(training)
    found = training.update.minibatch(batch, advantages, [0, 1, 2], 0)
    assert found["clip_fraction"] > 0
    same_gradients(kept["policy"], wanted["policy"])
    same_gradients(kept["value"], wanted["value"])
    assert found["policy_loss"] == pytest.approx(wanted["policy_loss"], rel=1e-4, abs=1e-5)


def test_the_gradients_of_minibatches_add_up_to_that_of_the_batch() -> None:
    whole, parts = make("ppo", max_tokens=60), make("ppo", max_tokens=60)
    rollouts = fixed_rollouts(whole)
    batch, advantages, _ = whole.evaluate_rollouts(rollouts, SCORES, whole.update.plan(3, 0))
    together = caught(whole)
    whole.update.minibatch(batch, advantages, [0, 1, 2], 0)
    summed: dict[str, Tensor] = {}
    for rows in ([0], [2, 1]):
        alone = caught(parts)
        parts.update.minibatch(batch, advantages, rows, 0)
        share = int(batch.mask[batch.sample_indices(rows)].sum()) / int(batch.mask.sum())
        for name, gradient in alone["policy"].items():
            summed[name] = summed.get(name, torch.zeros_like(gradient)) + share * gradient
        for weight in parts.task.policy.weights().values():
            weight.grad = None
    for name, gradient in together["policy"].items():
        torch.testing.assert_close(summed[name], gradient, rtol=1e-3, atol=1e-6)


def test_the_order_of_prompts_changes_no_number() -> None:
    training, other = make("ppo", max_tokens=60), make("ppo", max_tokens=60)
    rollouts = fixed_rollouts(training)
    _, advantages, metrics = training.evaluate_rollouts(rollouts, SCORES, training.update.plan(3, 0))
    turned = [rollouts[2], rollouts[0], rollouts[1]]
    order = [4, 5, 0, 1, 2, 3]
    _, advantages_turned, metrics_turned = other.evaluate_rollouts(turned, SCORES[order], other.update.plan(3, 0))
    torch.testing.assert_close(advantages_turned.advantages, advantages.advantages[order], rtol=1e-4, atol=1e-5)
    for name in metrics.keys() - {"measured_tokens"}:  # which rows came first decides what pass is kept
        number = metrics[name]
        assert metrics_turned[name] == pytest.approx(number, rel=1e-4, abs=1e-5), name


def test_the_reference_here_can_fail() -> None:
    """A coefficient of another size gives other advantages: the comparison above is not empty."""
    training = make("ppo")
    training.kl_coefficient = 0.31
    rollouts = fixed_rollouts(training)
    wanted = worked_out("ppo", training, rollouts)
    _, advantages, _ = training.evaluate_rollouts(rollouts, SCORES, training.update.plan(3, 0))
    with pytest.raises(AssertionError):
        close(advantages.targets.returns[advantages.targets.returns != 0], torch.cat(wanted["returns"]), 1e-4)  # type: ignore[union-attr]


def test_normalised_values_are_read_in_reward_units_and_trained_in_their_own() -> None:
    training = make("ppo", normalise_values=True)
    rollouts = fixed_rollouts(training)
    wanted = worked_out("ppo", training, rollouts)
    fit = training.method.value_fit
    assert fit is not None
    _, advantages, _ = training.evaluate_rollouts(
        rollouts, SCORES, training.update.plan(3, 0)
    )  # before any return: as it is read
    returns, values = torch.cat(wanted["returns"]), torch.cat(wanted["values"])
    mean, deviation = returns.mean(), returns.std(correction=0)
    batch, _, _ = training.evaluate_rollouts(rollouts, SCORES, training.update.plan(3, 0))
    mask = batch.mask
    assert advantages.targets is not None
    close(advantages.targets.returns[mask], (returns - mean) / deviation, 1e-4)
    close(advantages.targets.old[mask], (values - mean) / deviation, 1e-4)
    again = fit.scale
    assert again is not None
    m, d = again.mean_and_deviation
    close(fit.predict(batch)[mask], values * d + m, 1e-4)


def test_whitened_rewards_keep_their_mean_and_have_deviation_one_over_the_batch() -> None:
    raw, white = make("ppo"), make("ppo", whiten_rewards=True, gae_lambda=1.0)
    rollouts = fixed_rollouts(raw)
    wanted = worked_out("ppo", raw, rollouts)
    values = [v.tolist() for v in wanted["values"]]
    rewards: list[list[float]] = []  # back from lambda-returns to rewards, reply by reply
    for own, v in zip(wanted["returns"], values, strict=True):
        a = [float(r) - x for r, x in zip(own, v, strict=True)]
        after = [*a[1:], 0.0]
        v_after = [*v[1:], 0.0]
        rewards.append([a[t] - 0.95 * after[t] - v_after[t] + v[t] for t in range(len(a))])
    flat = torch.tensor([r for own in rewards for r in own], dtype=torch.float64)
    mean, deviation = flat.mean(), flat.std(correction=0)
    expected = []
    for own in rewards:
        scaled = [(r - float(mean)) / float(deviation) + float(mean) for r in own]
        expected += [sum(scaled[t:]) for t in range(len(scaled))]  # lambda 1: returns are rewards to come
    batch, advantages, _ = white.evaluate_rollouts(rollouts, SCORES, white.update.plan(3, 0))
    assert advantages.targets is not None
    close(advantages.targets.returns[batch.mask], torch.tensor(expected, dtype=torch.float64), 1e-4)
