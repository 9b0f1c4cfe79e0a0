"""What may not grow: tokens run on a fixed set of comparisons, and bytes held for log-probabilities.

Seconds vary, these do not; they are what the races' times come from (docs/performance.md).
"""

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F

from benchmarks.common import peak_bytes
from benchmarks.ppo import TokenCount
from benchmarks.workload import Item, load_items, random_model, source_of
from preflab.data.dialogue import Dialogue
from preflab.models.heads import token_logprobs
from preflab.models.roles import Role, Trunk
from preflab.models.row_attention.row_support import body_of
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.generate import SamplingConfig
from preflab.rollouts.score import score_rows
from preflab.training.dpo import DPOConfig, DPOTraining
from preflab.training.policy_gradient.ppo import PPO, PPOConfig
from preflab.training.policy_gradient.task import PolicyTask
from preflab.training.policy_gradient.training import PolicyTraining
from preflab.training.preference import PreferenceConfig, PreferenceTraining

VOCAB, BATCH = 512, 8


@dataclass
class Counts:
    """Of a set of comparisons."""

    once: int
    """Each prefix once."""
    apart: int
    """Each reply with its prefix, nothing padded."""
    padded: int
    """Every pair of a ranking, both sides of a batch of pairs padded to its longest, as trainers of pairs do."""

    @classmethod
    def of(cls, items: list[Item], *, pairs_at_once: int) -> "Counts":
        pairs = [pair for item in items for pair in item.pairs()]
        batches = [pairs[i : i + pairs_at_once] for i in range(0, len(pairs), pairs_at_once)]
        longest = [max(len(side) for pair in batch for side in pair) for batch in batches]
        return cls(
            once=sum(len(i.prefix) + sum(map(len, i.replies)) for i in items),
            apart=sum(len(side) for pair in pairs for side in pair),
            padded=sum(2 * len(batch) * n for batch, n in zip(batches, longest, strict=True)),
        )


class Run:
    """Roles on the tiny shape, and a count of what runs through it."""

    def __init__(self) -> None:
        self.trunk = Trunk(source_of(random_model("tiny", seed=0), "tiny"), None)

    def role(self, name: str, *, head: bool = False) -> Role:
        return self.trunk.add_role(name, head=head)

    def counting(self) -> TokenCount:
        bodies = [body_of(self.trunk.model)]
        for name in self.trunk.names:
            with self.trunk.activate(name) as backbone:
                bodies.append(body_of(backbone.model))
        return TokenCount(bodies)


@pytest.mark.parametrize(("replies", "pairs_at_once", "less"), [(2, 8, 3.0), (4, 6, 6.0), (9, 36, 15.0)])
def test_preference_training_runs_every_prefix_once(replies: int, pairs_at_once: int, less: float) -> None:
    items = load_items(None, n=16, vocab=VOCAB, seed=0, k=replies)
    counts, run = Counts.of(items, pairs_at_once=pairs_at_once), Run()
    role = run.role("pm", head=True)
    training = PreferenceTraining(
        role, [i.row for i in items], [i.comparison for i in items], PreferenceConfig(batch_comparisons=BATCH), seed=0
    )
    with run.counting() as count:
        told = sum(step.n_tokens for step in training)
    assert count.tokens == told == counts.once
    assert counts.padded / count.tokens >= less


def test_dpo_runs_policy_and_reference_over_every_prefix_once() -> None:
    items = load_items(None, n=16, vocab=VOCAB, seed=0)
    counts, run = Counts.of(items, pairs_at_once=BATCH), Run()
    policy = run.role("policy")
    training = DPOTraining(
        policy,
        run.trunk.reference(),
        [i.row for i in items],
        [i.comparison for i in items],
        DPOConfig(batch_comparisons=BATCH, epochs=2),
        seed=0,
    )
    with run.counting() as count:
        told = sum(step.n_tokens for step in training)
    assert told == 2 * counts.once
    assert count.tokens == 3 * counts.once  # two epochs, and the reference but once
    assert 2 * 2 * counts.padded / count.tokens >= 3.0  # a trainer of pairs runs both models in both epochs


@pytest.mark.parametrize("epochs", [1, 4])
def test_a_ppo_step_measures_with_the_pass_that_it_trains_on(epochs: int) -> None:
    samples, tokens, run = 4, 6, Run()
    policy, value, pm = (run.role(name, head=name != "policy") for name in ("policy", "value", "pm"))
    encoder = Encoder(run.trunk.source.tokenizer, max_tokens=512)
    encoder.stop_ids = ()
    prompts = [Dialogue.of(" ".join(["w7"] * n)) for n in (20, 30, 40)]

    def scorer(dialogues: list[Dialogue]) -> torch.Tensor:
        return torch.zeros(len(dialogues))

    config = PPOConfig(
        steps=1,
        prompts_per_step=3,
        samples_per_prompt=samples,
        epochs=epochs,
        minibatches=1,
        missing_eos_penalty=0.0,
        sampling=SamplingConfig(max_new_tokens=tokens),
    )
    task = PolicyTask(
        policy=policy, reference=run.trunk.reference(), scorer=scorer, prompts=prompts, encoder=encoder, seed=0
    )
    training = PolicyTraining(task, PPO(config, value))
    with run.counting() as count:
        (step,) = training
    prompt_tokens = sum(map(len, (encoder.prompt(p) for p in prompts)))
    rows = prompt_tokens + 3 * samples * tokens
    # policy and value model once an epoch, the first of them while measuring; the reference once
    assert step.metrics["trained_tokens"] == 2 * epochs * rows
    assert step.metrics["measured_tokens"] == rows
    sampling = count.tokens - (2 * epochs + 1) * rows
    assert sampling <= 3 * 40 + 3 * samples * (
        tokens - 1
    )  # each prompt once (padded to the longest), then token by token
    assert pm is not None


def test_scoring_runs_every_prefix_once() -> None:
    items = load_items(None, n=16, vocab=VOCAB, seed=0)
    run = Run()
    role = run.role("pm", head=True)
    with run.counting() as count:
        score_rows(role, [i.row for i in items])
    assert count.tokens == Counts.of(items, pairs_at_once=8).once


@pytest.mark.parametrize("trained", [True, False])
def test_log_probabilities_hold_less_than_two_fifths_of_the_bytes_of_whole_logits(trained: bool) -> None:
    items, hidden, vocab = 512, 16, 49_152
    states = torch.randn(items, hidden, requires_grad=True)
    output = torch.randn(vocab, hidden, requires_grad=trained)
    targets = torch.randint(vocab, (items,))

    def plain() -> None:
        F.cross_entropy(states @ output.T, targets).backward()

    def ours() -> None:
        (-token_logprobs(states, targets, output)[0].mean()).backward()  # type: ignore[no-untyped-call]

    assert peak_bytes(ours) <= 0.4 * peak_bytes(plain)
