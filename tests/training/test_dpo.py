"""DPO against a float64 oracle that runs every reply apart, however batches are split, over trees and resumes."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.errors import ConfigError, DataError
from preflab.models.adapters import AdapterConfig
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.rollouts.encode import encode_comparisons, encode_conversations
from preflab.rollouts.encoder import Encoder
from preflab.training.dpo import DPOConfig, DPOStep, DPOTraining
from preflab.training.optimiser import OptimiserConfig
from tests.training.oracle import close, dpo_pair, float64_model, ipo_pair, mean_over_comparisons, token_logps

COMPARISONS = [
    Comparison(prompt=Dialogue.of("name a colour"), replies=("red", "no", "maybe blue"), ranks=(0, 2, 1)),
    Comparison(prompt=Dialogue.of("hi"), replies=("hello there", "go away"), ranks=(0, 1)),
    Comparison(prompt=Dialogue.of("add one and one"), replies=("two", "2", "five", "x"), ranks=(0, 0, 1, 2)),
    Comparison(prompt=Dialogue.of("sing"), replies=("la la la la la la", "la"), ranks=(0, 1), prob_first=0.8),
    Comparison(prompt=Dialogue.of("why", "because", "why again"), replies=("so", "no"), ranks=(1, 0)),
]
CONVERSATION = [
    Comparison(prompt=Dialogue.of("hi"), replies=("hello", "what"), ranks=(0, 1)),
    Comparison(prompt=Dialogue.of("hi", "hello", "sing"), replies=("la la", "no", "oh"), ranks=(0, 2, 1)),
    Comparison(prompt=Dialogue.of("hi", "hello", "sing", "la la", "more"), replies=("la", "stop"), ranks=(1, 0)),
]
ADAPTERS = AdapterConfig(rank=4, alpha=8.0)
CONFIG = DPOConfig(batch_comparisons=2, epochs=2, beta=0.3, optimiser=OptimiserConfig(learning_rate=1e-2))
Judged = list[tuple[Comparison, ...]]


def make(adapters: AdapterConfig | None = None, *, moved: bool = True) -> tuple[Role, Role, Encoder]:
    """A policy that has moved away from its reference, so that log-ratios are not all zero."""
    source = load_language_model("tiny", precision="fp32")
    trunk = Trunk(source, adapters)
    role = trunk.add_role("policy")
    if moved:
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for weight in role.weights().values():
                weight += 0.02 * torch.randn(weight.shape, generator=generator)
    return role, trunk.reference(), Encoder(source.tokenizer, max_tokens=256)


def data(encoder: Encoder, *, tree: bool) -> tuple[list[Row], Judged]:
    if tree:
        trees = encode_conversations(encoder, [CONVERSATION, COMPARISONS[:1]])
        return trees.rows, trees.comparisons
    encoded = encode_comparisons(encoder, COMPARISONS)
    return encoded.rows, [(c,) for c in encoded.comparisons]


def first_step(
    config: DPOConfig, rows: Sequence[Row], judged: Judged, adapters: AdapterConfig | None = None
) -> tuple[DPOStep, dict[str, torch.Tensor]]:
    """One step over everything, and the gradient it took."""
    role, reference, _ = make(adapters)
    training = DPOTraining(role, reference, rows, judged, replace(config, batch_comparisons=len(rows)), seed=3)
    caught: dict[str, torch.Tensor] = {}
    take = training.optimiser.step

    def catch() -> dict[str, float]:
        caught.update({k: p.grad.clone() for k, p in role.weights().items() if p.grad is not None})
        return take()

    training.optimiser.step = catch  # type: ignore[method-assign]
    return next(iter(training)), caught


# against the oracle ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tree", [False, True])
@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        replace(CONFIG, label_smoothing=0.1, ties=False),
        replace(CONFIG, loss="ipo", beta=0.5),
        replace(CONFIG, loss="ipo", per_token=False, label_smoothing=0.2),
        replace(CONFIG, per_token=True, beta=2.0),
    ],
    ids=["dpo", "smoothed", "ipo", "ipo-summed", "dpo-averaged"],
)
def test_loss_metrics_and_gradient_equal_an_oracle_that_runs_every_reply_apart(config: DPOConfig, tree: bool) -> None:
    role, _, encoder = make()
    rows, judged = data(encoder, tree=tree)
    step, found = first_step(config, rows, judged)

    policy, reference = float64_model(), float64_model()
    policy.load_state_dict({k: w.double() for k, w in role.weights().items()}, strict=False)
    own = token_logps(policy, rows)
    with torch.no_grad():
        ref = token_logps(reference, rows, left=True)
    average = config.loss == "ipo" if config.per_token is None else config.per_token
    ratio = [(a - b).mean() if average else (a - b).sum() for a, b in zip(own, ref, strict=True)]
    pair = ipo_pair if config.loss == "ipo" else dpo_pair

    def pair_loss(a: int, b: int, prob: float) -> torch.Tensor:
        return pair(ratio[a] - ratio[b], prob, beta=config.beta, smoothing=config.label_smoothing)

    loss = mean_over_comparisons(judged, pair_loss, ties=config.ties)
    loss.backward()
    own, ratio = ([t.detach() for t in own], [r.detach() for r in ratio])
    assert step.loss == pytest.approx(loss.item(), rel=1e-4)
    close(found, {k: p.grad for k, p in policy.named_parameters() if p.grad is not None})

    clear: list[tuple[int, int]] = []  # better, worse
    mean_over_comparisons(
        judged, lambda a, b, p: clear.append((a, b) if p > 0.5 else (b, a)) or torch.zeros(()), ties=False
    )
    rewards = [config.beta * float(r) for r in ratio]
    n = len(clear)
    assert step.chosen_reward == pytest.approx(sum(rewards[a] for a, _ in clear) / n, abs=1e-4)
    assert step.rejected_reward == pytest.approx(sum(rewards[b] for _, b in clear) / n, abs=1e-4)
    assert step.margin == pytest.approx(step.chosen_reward - step.rejected_reward)
    assert step.accuracy == sum(rewards[a] > rewards[b] for a, b in clear) / n
    assert step.chosen_logp == pytest.approx(sum(float(own[a].sum()) for a, _ in clear) / n, rel=1e-5)
    assert step.rejected_logp == pytest.approx(sum(float(own[b].sum()) for _, b in clear) / n, rel=1e-5)
    assert step.n_tokens == sum(len(row) for row in rows)


@pytest.mark.parametrize("tree", [False, True])
@pytest.mark.parametrize("max_tokens", [1, 60, 150])
@pytest.mark.parametrize("loss", ["dpo", "ipo"])
def test_the_step_does_not_depend_on_how_the_batch_is_split(max_tokens: int, tree: bool, loss: str) -> None:
    rows, judged = data(make()[2], tree=tree)
    config = replace(CONFIG, loss=loss)  # type: ignore[arg-type]
    whole, expected = first_step(replace(config, max_tokens=10_000), rows, judged, ADAPTERS)
    split, found = first_step(replace(config, max_tokens=max_tokens), rows, judged, ADAPTERS)
    for name, value in vars(whole).items():
        assert getattr(split, name) == pytest.approx(value, rel=1e-4, abs=1e-5)
    close(found, expected)


def test_the_order_of_replies_does_not_matter_when_the_labels_go_with_them() -> None:
    encoder = make()[2]
    swapped = encode_comparisons(encoder, [c.swap() for c in COMPARISONS])
    rows, judged = data(encoder, tree=False)
    step, expected = first_step(CONFIG, rows, judged)
    mirrored, found = first_step(CONFIG, swapped.rows, [(c,) for c in swapped.comparisons])
    for name, value in vars(step).items():
        assert getattr(mirrored, name) == pytest.approx(value, rel=1e-4, abs=1e-5)
    close(found, expected)


def test_a_tree_gives_the_loss_and_gradient_of_its_turns_one_by_one() -> None:
    encoder = make()[2]
    trees = encode_conversations(encoder, [CONVERSATION])
    assert len(trees.rows) == 1
    apart = encode_comparisons(encoder, CONVERSATION)
    tree, found = first_step(CONFIG, trees.rows, trees.comparisons)
    single, expected = first_step(CONFIG, apart.rows, [(c,) for c in apart.comparisons])
    assert tree.loss == pytest.approx(single.loss, rel=1e-5)
    close(found, expected)
    assert tree.n_tokens < single.n_tokens < sum(row.path_tokens for row in apart.rows)


# the reference ---------------------------------------------------------------------------------------------


def test_a_policy_that_is_its_reference_knows_nothing() -> None:
    role, reference, encoder = make(ADAPTERS, moved=False)
    rows, judged = data(encoder, tree=False)
    step = next(iter(DPOTraining(role, reference, rows, judged, replace(CONFIG, ties=False), seed=0)))
    assert step.loss == pytest.approx(0.693147, abs=1e-5)
    assert step.margin == pytest.approx(0.0, abs=1e-5)


def test_the_reference_is_run_once_for_all_epochs_and_not_again_after_a_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    role, reference, encoder = make(ADAPTERS)
    rows, judged = data(encoder, tree=False)
    asked: list[int] = []
    plain = Role.logprobs

    def counted(self: Role, batch: object, **more: object) -> object:
        if self is reference:
            asked.append(batch.n_tokens)  # type: ignore[attr-defined]
        return plain(self, batch, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Role, "logprobs", counted)
    training = DPOTraining(role, reference, rows, judged, CONFIG, seed=3)
    heard: list[int] = []
    assert training.prepare(heard.append) == sum(len(row) for row in rows) == sum(asked)
    assert sum(heard) == training.n_replies == 13
    assert training.prepare() == 0
    list(training)
    assert sum(asked) == sum(len(row) for row in rows)
    again = DPOTraining(role, reference, rows, judged, CONFIG, seed=3)
    again.load_state(training.state())
    assert again.prepare() == 0  # what the reference said came with the state
    assert list(again) == []  # it was at its end
    assert sum(asked) == sum(len(row) for row in rows)


def test_another_role_may_be_the_reference() -> None:
    source = load_language_model("tiny", precision="fp32")
    trunk = Trunk(source, ADAPTERS)
    sft = trunk.add_role("sft")
    with torch.no_grad():
        for weight in sft.weights().values():
            weight += 0.05
    policy = trunk.add_role("policy", start_from="sft")
    rows, judged = data(Encoder(source.tokenizer, max_tokens=256), tree=False)
    own = next(iter(DPOTraining(policy, sft, rows, judged, CONFIG, seed=3)))
    assert own.chosen_reward == pytest.approx(0.0, abs=1e-5)


def test_a_state_of_other_rows_is_refused() -> None:
    role, reference, encoder = make(ADAPTERS)
    rows, judged = data(encoder, tree=False)
    training = DPOTraining(role, reference, rows, judged, CONFIG, seed=3)
    training.prepare()
    other = DPOTraining(role, reference, rows[:2], judged[:2], CONFIG, seed=3)
    with pytest.raises(DataError, match="knows 13 replies, these rows have 5"):
        other.load_state(training.state())


# the fit ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adapters", [ADAPTERS, None])
@pytest.mark.parametrize("cut", [0, 1, 4])
@pytest.mark.parametrize("tree", [False, True])
def test_a_resumed_fit_ends_bit_for_bit_where_the_unbroken_one_ends(
    cut: int, adapters: AdapterConfig | None, tree: bool
) -> None:
    config = replace(CONFIG, batch_comparisons=1 if tree else 2)

    def fresh() -> tuple[Role, DPOTraining]:
        role, reference, encoder = make(adapters, moved=False)
        return role, DPOTraining(role, reference, *data(encoder, tree=tree), config, seed=3)

    straight, training = fresh()
    steps = list(training)
    assert len(steps) == (4 if tree else 6)
    _, first = fresh()
    first.prepare()
    for _ in zip(range(cut), first, strict=False):
        pass
    assert first.optimiser.step_count == cut
    role, second = fresh()
    second.load_state(first.state())
    assert list(second) == steps[cut:]
    for name, weight in straight.state().items():
        torch.testing.assert_close(role.state()[name], weight, rtol=0, atol=0)


@pytest.mark.parametrize("loss", ["dpo", "ipo"])
def test_a_preference_that_can_be_learned_is_learned(loss: str) -> None:
    role, reference, encoder = make(ADAPTERS, moved=False)
    config = replace(CONFIG, loss=loss, epochs=30, batch_comparisons=5)  # type: ignore[arg-type]
    steps = list(DPOTraining(role, reference, *data(encoder, tree=False), config, seed=3))
    assert steps[-1].accuracy == 1.0
    assert steps[-1].loss < steps[0].loss
    assert steps[-1].margin > 0 > steps[-1].rejected_reward


def test_comparisons_with_nothing_but_ties_are_counted_not_divided_by() -> None:
    role, reference, encoder = make(ADAPTERS)
    tied = Comparison(prompt=Dialogue.of("x"), replies=("a", "b"), ranks=(0, 0))
    encoded = encode_comparisons(encoder, [tied, COMPARISONS[1]])
    config = replace(CONFIG, ties=False)
    training = DPOTraining(role, reference, encoded.rows, encoded.comparisons, config, seed=0)
    assert (training.n_without_pairs, len(training.rows)) == (1, 1)
    with pytest.raises(DataError, match="no comparison has a pair"):
        DPOTraining(role, reference, encoded.rows[:1], encoded.comparisons[:1], config, seed=0)


def test_a_batch_of_ties_alone_reports_no_accuracy() -> None:
    role, reference, encoder = make(ADAPTERS)
    tied = Comparison(prompt=Dialogue.of("x"), replies=("a", "b"), ranks=(0, 0))
    encoded = encode_comparisons(encoder, [tied])
    step = next(iter(DPOTraining(role, reference, encoded.rows, encoded.comparisons, CONFIG, seed=0)))
    assert step.accuracy != step.accuracy  # nan
    assert step.n_pairs == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"beta": 0.0}, "beta must be above 0"),
        ({"label_smoothing": 0.5}, r"\[0, 0\.5\)"),
        ({"epochs": 0}, "at least 1"),
        ({"batch_comparisons": 0}, "at least 1"),
    ],
)
def test_impossible_settings_are_refused_before_anything_runs(change: dict[str, float], message: str) -> None:
    role, reference, encoder = make(ADAPTERS)
    with pytest.raises(ConfigError, match=message):
        DPOTraining(role, reference, *data(encoder, tree=False), replace(CONFIG, **change), seed=0)  # type: ignore


def test_rows_and_comparisons_that_do_not_fit_together_are_refused() -> None:
    role, reference, encoder = make(ADAPTERS)
    rows, _ = data(encoder, tree=False)
    with pytest.raises(DataError, match="a row of 3 replies was given comparisons of 2"):
        DPOTraining(role, reference, rows[:1], [COMPARISONS[1]], CONFIG, seed=0)
