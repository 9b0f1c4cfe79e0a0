"""What every method does alike: engines and versions, KL or none, limits, sources, and a resume bit for bit."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.errors import ConfigError, ContractError, DataError, ModelError, TrainingStopped
from preflab.interfaces import Scorer
from preflab.models.adapters import AdapterConfig
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.engine import Engine, InProcess
from preflab.rollouts.generate import Rollout, SamplingConfig
from preflab.training.ema import weights_of
from preflab.training.optimiser import OptimiserConfig
from preflab.training.policy_gradient.ppo import PPO, PPOConfig
from preflab.training.policy_gradient.ptx import PtxConfig
from preflab.training.policy_gradient.reinforce import Reinforce, ReinforceConfig
from preflab.training.policy_gradient.rloo import RLOO, RLOOConfig
from preflab.training.policy_gradient.task import PolicyTask
from preflab.training.policy_gradient.training import PolicyStep, PolicyTraining

PROMPTS = [Dialogue.of(text) for text in ("hi", "name a colour", "why?", "sing a song", "one and one")]
TEXT = [Row.of([66 + i], [70, 71, 72]) for i in range(5)]
RATE = OptimiserConfig(learning_rate=1e-2, schedule="linear", warmup_steps=1)
SHARED: dict[str, Any] = {
    "steps": 3,
    "prompts_per_step": 3,
    "samples_per_prompt": 2,
    "sampling": SamplingConfig(max_new_tokens=5, temperature=0.9),
    "policy": RATE,
}
EVERYTHING: dict[str, Any] = {
    "ema_decay": 0.7,
    "ptx": PtxConfig(coefficient=0.5, ratio=1),
    "kl_target": 1.0,
    "kl_horizon": 100,
    "exact_kl_rows": 1,
}
KINDS = ["ppo", "rloo", "reinforce", "reinforce-value"]


def count_vowels(dialogues: Sequence[Dialogue]) -> Tensor:
    """A scorer anyone can check."""
    return torch.tensor([float(sum(ch in "aeiou" for ch in d.reply)) for d in dialogues])


class Tape:
    """An engine that notes what was asked of it."""

    def __init__(self, inner: Engine | None = None, change: Callable[[Rollout], Rollout] = lambda r: r) -> None:
        self.inner, self.change, self.tape = inner, change, list[str]()

    def push(self, role: Role, version: int) -> None:
        self.tape.append(f"push {version}")
        assert self.inner is not None
        self.inner.push(role, version)

    def generate(
        self, prompts: Sequence[Sequence[int]], config: SamplingConfig, *, n: int, seed: int
    ) -> list[list[Rollout]]:
        self.tape.append(f"generate {len(prompts)} x {n}")
        assert self.inner is not None
        found = self.inner.generate(prompts, config, n=n, seed=seed)
        return [[self.change(rollout) for rollout in own] for own in found]


def make(
    kind: str = "ppo",
    *,
    engine: Tape | None = None,
    reference: bool = True,
    scorer: Scorer = count_vowels,
    **changes: Any,
) -> PolicyTraining:
    source = load_language_model("tiny", precision="fp32")
    trunk = Trunk(source, AdapterConfig(rank=4, alpha=8.0))
    encoder = Encoder(source.tokenizer, max_tokens=128)
    trunk.add_role("pm", head=True)
    policy = trunk.add_role("policy")
    value = trunk.add_role("value", head=True, start_from="pm")
    if engine is not None:
        engine.inner = InProcess(policy, encoder)
    task = PolicyTask(
        policy=policy,
        reference=trunk.reference() if reference else None,
        scorer=scorer,
        prompts=PROMPTS,
        encoder=encoder,
        seed=0,
        engine=engine,
        pretraining=TEXT,
        sources={PROMPTS[0]: "greeting", PROMPTS[2]: "doubt"},
    )
    if kind == "ppo":
        ppo = PPOConfig(**SHARED | {"value": RATE} | changes)
        return PolicyTraining(task, PPO(ppo, value))
    if kind == "rloo":
        rloo = RLOOConfig(**SHARED | {"epochs": 2, "minibatches": 2} | changes)
        return PolicyTraining(task, RLOO(rloo))
    baseline: Any = "value" if kind == "reinforce-value" else "mean"
    plain = ReinforceConfig(**SHARED | {"baseline": baseline, "value": RATE} | changes)
    return PolicyTraining(task, Reinforce(plain, value if baseline == "value" else None))


def numbers(step: PolicyStep) -> dict[str, float]:
    return {k: v for k, v in step.metrics.items() if "seconds" not in k}


@pytest.mark.parametrize(
    ("kind", "cut"), [("ppo", 1), ("ppo", 2), ("rloo", 1), ("reinforce", 2), ("reinforce-value", 1)]
)
def test_with_everything_on_a_resumed_run_ends_bit_for_bit_where_the_unbroken_one_ends(kind: str, cut: int) -> None:
    more = EVERYTHING | ({"normalise_values": True} if kind in ("ppo", "reinforce-value") else {})
    straight, first, second = (make(kind, **more) for _ in range(3))
    steps = list(straight)
    for _ in range(cut):
        next(iter(first))
    second.load_state(first.state())
    resumed = list(second)
    assert [numbers(s) for s in resumed] == [numbers(s) for s in steps[cut:]]
    assert [s.rollouts for s in resumed] == [s.rollouts for s in steps[cut:]]
    theirs = second.state()
    assert theirs.keys() == straight.state().keys()
    for name, tensor in straight.state().items():
        assert torch.equal(theirs[name], tensor), name
    for name, tensor in straight.ema_state().items():
        assert torch.equal(second.ema_state()[name], tensor), name


@pytest.mark.parametrize("kind", KINDS[1:])  # PPO's own tests have it
def test_the_score_rises_on_a_reward_that_can_be_had(kind: str) -> None:
    rate = OptimiserConfig(learning_rate=3e-2, schedule="constant")
    sizes = {"steps": 30, "prompts_per_step": 5, "samples_per_prompt": 8, "kl_coefficient": 0.0, "policy": rate}
    more = {"value": rate} if kind == "reinforce-value" else {}

    def early_letters(ds: Sequence[Dialogue]) -> Tensor:
        return torch.tensor([sum(ch < "i" for ch in d.reply) / max(1, len(d.reply)) for d in ds])

    training = make(kind, scorer=early_letters, missing_eos_penalty=0.0, **sizes, **more)
    scores = [step.metrics["score"] for step in training]
    assert sum(scores[-4:]) / 4 > sum(scores[:4]) / 4 + 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_logged_is_finite_and_complete(kind: str) -> None:
    metrics = list(make(kind, **EVERYTHING))[-1].metrics
    wanted = {"score", "score_std", "reward", "kl", "kl_k3", "kl_exact", "sqrt_kl", "kl_coefficient", "entropy"}
    wanted |= {"reply_tokens", "ended_share", "sampler_gap", "version", "staleness", "update_kl", "policy_loss"}
    wanted |= {"sampled_tokens", "measured_tokens", "trained_tokens", "policy_gradient_norm", "learning_rate"}
    wanted |= {"ptx_loss", "ptx_tokens", "rl_gradient_norm", "ptx_gradient_norm"}
    if kind in ("ppo", "reinforce-value"):
        wanted |= {"value_loss", "value_clip_fraction", "value_gradient_norm", "explained_variance"}
    if kind in ("ppo", "rloo"):
        wanted |= {"clip_fraction"}
    assert wanted <= metrics.keys()
    assert all(math.isfinite(v) for v in metrics.values())


def test_the_engine_gets_the_weights_before_every_sampling_and_again_after_a_resume() -> None:
    engine, again = Tape(), Tape()
    first, second = make(engine=engine), make(engine=again)
    run = iter(first)
    assert [next(run).metrics["version"] for _ in range(2)] == [0.0, 1.0]
    second.load_state(first.state())
    assert next(iter(second)).metrics["version"] == 2.0
    assert engine.tape == ["push 0", "generate 3 x 2", "push 1", "generate 3 x 2"]
    assert again.tape == ["push 2", "generate 3 x 2"]


def test_without_an_engine_the_policy_is_sampled_in_process_with_the_same_outcome() -> None:
    plain, taped = make(), make(engine=Tape())
    assert isinstance(plain.engine, InProcess)
    assert [numbers(s) for s in plain] == [numbers(s) for s in taped]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda r: replace(r, version=r.version - 1), TrainingStopped, r"version -1 .* version 0 .* at most 0"),
        (lambda r: replace(r, version=r.version + 1), TrainingStopped, "version 1"),
        (lambda r: replace(r, prompt=(*r.prompt, 1)), DataError, "another prompt"),
        (lambda r: replace(r, tokens=(), logprobs=()), DataError, "0 tokens"),
        (lambda r: replace(r, logprobs=r.logprobs[1:]), DataError, "expected one a token"),
    ],
)
def test_rollouts_that_are_not_what_was_asked_for_end_the_run(
    change: Callable[[Rollout], Rollout], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        next(iter(make(engine=Tape(change=change))))


def test_replies_within_the_allowed_staleness_are_taken_and_their_age_is_logged() -> None:
    late = Tape(change=lambda r: replace(r, version=max(0, r.version - 1)))
    assert [s.metrics["staleness"] for s in make(engine=late, max_staleness=1)] == [0.0, 1.0, 1.0]


def test_without_kl_there_is_no_reference_pass_and_no_kl_in_the_log() -> None:
    training = make(reference=False, kl_coefficient=0.0, measure_kl=False)
    with_reference = make(kl_coefficient=0.0)
    ours, theirs = next(iter(training)).metrics, next(iter(with_reference)).metrics
    assert {"kl", "kl_k3", "sqrt_kl", "kl_error"} & ours.keys() == set()
    assert ours["measured_tokens"] < theirs["measured_tokens"]
    assert ours["score"] == theirs["score"]
    assert ours["policy_loss"] == theirs["policy_loss"]
    assert theirs["reward"] == pytest.approx(ours["reward"])
    with pytest.raises(ConfigError, match="reference"):
        make(reference=False)


def test_a_reply_without_an_end_has_its_score_cut_or_replaced() -> None:
    batch = [[Rollout((3, 76, 4), (70, 1), (-1.0, -1.0), True), Rollout((3, 76, 4), (70, 71), (-1.0, -1.0), False)]]
    for changes, wanted in (({"missing_eos_penalty": 0.5}, 2.5), ({"missing_eos_score": -1.0}, -1.0)):
        training = make(kl_coefficient=0.0, **changes)
        _, _, metrics = training.evaluate_rollouts(batch, torch.tensor([2.0, 3.0]), [[[0]]])
        assert metrics["reward"] == pytest.approx((2.0 + wanted) / 2)


@pytest.mark.parametrize("kind", ["ppo", "rloo"])
def test_logits_of_a_classifier_train_as_the_same_scores_flat(kind: str) -> None:
    """[n, 1] would broadcast against [n] to [n, n], and where replies have n tokens even train on."""
    flat = numbers(next(iter(make(kind))))
    column: Any = lambda dialogues: count_vowels(dialogues)[:, None]  # noqa: E731
    assert numbers(next(iter(make(kind, scorer=column)))) == flat


def test_a_scorer_is_blamed_for_its_nan_before_anything_is_learned() -> None:
    training = make(scorer=lambda dialogues: count_vowels(dialogues) * float("nan"))
    before = {name: tensor.clone() for name, tensor in training.task.policy.state().items()}
    with pytest.raises(ContractError, match=r"^scorer .*expected finite numbers, found nan"):
        next(iter(training))
    assert all(torch.equal(tensor, before[name]) for name, tensor in training.task.policy.state().items())


def test_scores_are_logged_by_source() -> None:
    step = next(iter(make(prompts_per_step=5)))
    of = [score for prompt, _, score in step.rollouts if prompt == PROMPTS[0]]
    assert step.metrics["score/greeting"] == pytest.approx(sum(of) / 2)
    assert {k for k in step.metrics if k.startswith("score/")} == {"score/greeting", "score/doubt"}


def test_the_average_of_the_weights_can_be_played_and_follows_the_decay() -> None:
    training = make(ema_decay=0.75, steps=2)
    start = training.task.policy.state()
    run = iter(training)
    next(run)
    one = training.task.policy.state()
    next(run)
    two = training.task.policy.state()
    for name, average in training.ema_state().items():  # .75 * (.75 * start + .25 * one) + .25 * two
        wanted = 0.5625 * start[name] + 0.1875 * one[name] + 0.25 * two[name]
        torch.testing.assert_close(average, wanted, rtol=1e-5, atol=1e-6)
    with weights_of(training.task.policy, training.ema_state()) as role:
        assert all(torch.equal(w, training.ema_state()[k]) for k, w in role.state().items())
    assert all(torch.equal(w, two[k]) for k, w in training.task.policy.state().items())


def test_an_average_that_was_not_kept_is_refused() -> None:
    training = make()
    with pytest.raises(ConfigError, match="set ema_decay"):
        training.ema_state()
    with pytest.raises(ModelError, match="begun without ema_decay"):
        make(ema_decay=0.9).load_state(training.state())


def test_pretraining_goes_on_where_the_step_before_left_off_and_lowers_its_loss() -> None:
    training = make(ptx=PtxConfig(coefficient=5.0, ratio=1), steps=6, policy=replace(RATE, learning_rate=3e-2))
    seen: list[tuple[int, int]] = []
    mix = training.update.pretraining
    assert mix is not None
    draw = mix.draw
    mix.draw = lambda start, n: (seen.append((start, n)), draw(start, n))[1]  # type: ignore[func-returns-value, method-assign]
    losses = [step.metrics["ptx_loss"] for step in training]
    assert [start for start, _ in seen] == [sum(n for _, n in seen[:k]) for k in range(len(seen))]  # without a gap
    assert sum(n for _, n in seen) == 6 * 6 * 2  # steps, episodes, epochs
    assert losses[-1] < losses[0] - 0.1


def test_as_many_minibatches_as_asked_for_and_every_row_in_one_of_them() -> None:
    training = make(prompts_per_step=5, minibatches=4)
    plan = training.update.plan(5, 0)
    assert [len(epoch) for epoch in plan] == [4, 4]
    assert all(sorted(row for rows in epoch for row in rows) == [0, 1, 2, 3, 4] for epoch in plan)
    assert plan != make(prompts_per_step=5, minibatches=4, steps=9).update.plan(4, 0)
    assert training.update.optimiser.total_steps == 3 * 2 * 4


def test_a_value_model_of_another_size_may_foresee_for_the_policy() -> None:
    """Ouyang et al. 2022: a 6 B value model for every size of policy."""
    from preflab.models.tiny import tiny_model

    source = load_language_model("tiny", precision="fp32")
    encoder = Encoder(source.tokenizer, max_tokens=128)
    trunk = Trunk(source, None)
    other = Trunk(replace(source, model=tiny_model(seed=3, layers=1, hidden=64)), None)
    for only_head in (False, True):
        if only_head:
            other.add_role("pm", head=True)
        value = other.add_head("head", on="pm") if only_head else other.add_role("value", head=True)
        policy = trunk.add_role(f"policy{only_head:d}")
        config = PPOConfig(**SHARED | {"steps": 1, "value": RATE})
        task = PolicyTask(
            policy=policy, reference=trunk.reference(), scorer=count_vowels, prompts=PROMPTS, encoder=encoder, seed=0
        )
        training = PolicyTraining(task, PPO(config, value))
        before = value.state()
        (step,) = list(training)
        assert math.isfinite(step.metrics["explained_variance"])
        assert any(not torch.equal(w, before[k]) for k, w in value.state().items())


def test_a_value_model_that_reads_other_tokens_is_refused() -> None:
    from preflab.models.tiny import tiny_model

    source = load_language_model("tiny", precision="fp32")
    trunk = Trunk(source, None)
    other = Trunk(replace(source, model=tiny_model(vocab_size=300)), None)
    value, encoder = other.add_role("value", head=True), Encoder(source.tokenizer, max_tokens=128)
    task = PolicyTask(
        policy=trunk.add_role("policy"),
        reference=trunk.reference(),
        scorer=count_vowels,
        prompts=PROMPTS,
        encoder=encoder,
        seed=0,
    )
    with pytest.raises(ConfigError, match="300 tokens"):
        PolicyTraining(task, PPO(PPOConfig(), value))
