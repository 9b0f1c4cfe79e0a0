"""Preference training against a pair-by-pair oracle, however the batch is split, and over a resume."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.data.rows import collate
from preflab.errors import ConfigError, DataError
from preflab.models.adapters import AdapterConfig
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.rollouts.encode import Encoded, encode_comparisons, encode_conversations
from preflab.rollouts.encoder import Encoder
from preflab.training.optimiser import OptimiserConfig
from preflab.training.preference import PreferenceConfig, PreferenceStep, PreferenceTraining, count_right

COMPARISONS = [
    Comparison(prompt=Dialogue.of("name a colour"), replies=("red", "no", "maybe blue"), ranks=(0, 2, 1)),
    Comparison(prompt=Dialogue.of("hi"), replies=("hello there", "go away"), ranks=(0, 1)),
    Comparison(prompt=Dialogue.of("add one and one"), replies=("two", "2", "five", "x"), ranks=(0, 0, 1, 2)),
    Comparison(prompt=Dialogue.of("sing"), replies=("la la la la la la", "la"), ranks=(0, 1), prob_first=0.8),
    Comparison(prompt=Dialogue.of("why", "because", "why again"), replies=("so", "no"), ranks=(1, 0)),
]
CONFIG = PreferenceConfig(batch_comparisons=2, epochs=2, optimiser=OptimiserConfig(learning_rate=1e-2))


ADAPTERS = AdapterConfig(rank=4, alpha=8.0)


def make(adapters: AdapterConfig | None = ADAPTERS) -> tuple[Role, Encoder, Encoded]:
    source = load_language_model("tiny", precision="fp32")
    role = Trunk(source, adapters).add_role("pm", head=True)
    encoder = Encoder(source.tokenizer, max_tokens=256)
    return role, encoder, encode_comparisons(encoder, COMPARISONS)


def training(role: Role, encoder: Encoder, encoded: Encoded, config: PreferenceConfig = CONFIG) -> PreferenceTraining:
    return PreferenceTraining(role, encoded.rows, encoded.comparisons, config, seed=3)


def gradients(max_tokens: int, config: PreferenceConfig) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradient of one step over all five comparisons."""
    role, encoder, encoded = make()
    config = replace(config, batch_comparisons=5, max_tokens=max_tokens)
    own = training(role, encoder, encoded, config)
    caught: dict[str, torch.Tensor] = {}
    step = own.optimiser.step

    def catch() -> dict[str, float]:
        caught.update({k: p.grad.clone() for k, p in role.weights().items() if p.grad is not None})
        return step()

    own.optimiser.step = catch  # type: ignore[method-assign]
    return next(iter(own)).loss, caught


RANKED = Comparison(prompt=Dialogue.of("hi"), replies=("a", "b", "c", "d"), ranks=(1, 2, 3, 4))
TIED = replace(RANKED, ranks=(1, 2, 2, 4))
SCORES = torch.tensor([2.0, 1.0, 0.5, -1.0])


@pytest.mark.parametrize(
    ("comparison", "changes", "nats"),
    [
        # log(1 + exp(-gap)) for gaps 1, 1.5, 3, 0.5, 2, 1.5: .313262 .201413 .048587 .474077 .126928 .201413
        (RANKED, {}, 0.227613),  # mean of the six
        (RANKED, {"ties": False, "divide_by": "all"}, 0.227613),  # no tie: nothing is left out
        (TIED, {"ties": False}, 0.178321),  # mean of the five without gap 0.5
        (TIED, {"ties": False, "divide_by": "all"}, 0.148601),  # their sum over C(4, 2) = 6
        # the tied pair with probability one half: (.474077 + log(1 + exp(0.5)) = .974077) / 2 = .724077
        (TIED, {}, 0.269280),  # (.891603 + .724077) / 6
    ],
)
def test_the_loss_of_a_ranking_by_hand(comparison: Comparison, changes: dict[str, Any], nats: float) -> None:
    """Ouyang et al. 2022, sec. 3.5: scores 2, 1, 0.5, -1 in the order of their ranks, perhaps the middle two tied."""
    role, encoder, encoded = make()
    fit = training(role, encoder, encoded, replace(CONFIG, **changes))
    assert float(fit._loss(SCORES, comparison)) == pytest.approx(nats, abs=2e-6)


@pytest.mark.parametrize("changes", [{"lapse": 0.1}, {"margin": 0.5}, {"ties": False}])
def test_what_a_ranking_loss_does_not_read_is_refused(changes: dict[str, Any]) -> None:
    ((name, value),) = changes.items()
    with pytest.raises(ConfigError, match=f"{name}={value} would change nothing with loss=plackett-luce"):
        PreferenceConfig(loss="plackett-luce", **changes)
    PreferenceConfig(**changes)


def test_a_divisor_that_changes_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="divide_by=all would change nothing with ties=true"):
        PreferenceConfig(divide_by="all")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lapse": 5.0}, r"lapse must be in \[0, 1\), got 5.0"),
        ({"batch_comparisons": 0}, "batch_comparisons must be at least 1, got 0"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"margin": -1.0}, "margin must be at least 0, got -1.0"),
        ({"centre": float("inf")}, "centre must be a number, got inf"),
        ({"max_tokens": 0}, "max_tokens must be at least 1, got 0"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PreferenceConfig(**changes)


@pytest.mark.parametrize("lapse", [0.0, 0.1])
def test_loss_and_gradient_equal_an_oracle_that_runs_every_pair_apart(lapse: float) -> None:
    """Mean over comparisons of the mean over their pairs, each reply run on its own."""
    loss, found = gradients(10_000, replace(CONFIG, lapse=lapse))
    role, _, encoded = make()
    total = torch.zeros(())
    for row, comparison in zip(encoded.rows, encoded.comparisons, strict=True):
        scores = [role.scores(collate([row.isolate(k)]))[0] for k in range(len(row.replies))]
        own = []
        for pair in comparison.pairs():
            p = torch.sigmoid(scores[pair.a] - scores[pair.b]) * (1 - lapse) + lapse / 2
            own.append(-(pair.prob_a * p.log() + (1 - pair.prob_a) * (1 - p).log()))
        total = total + torch.stack(own).mean() / 5
    total.backward()
    assert loss == pytest.approx(float(total.detach()), abs=1e-6)
    for name, weight in role.weights().items():
        assert weight.grad is not None
        torch.testing.assert_close(found[name], weight.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, loss="plackett-luce"), replace(CONFIG, centre=0.1)])
@pytest.mark.parametrize("max_tokens", [1, 60, 150])
def test_the_gradient_does_not_depend_on_how_the_batch_is_split(config: PreferenceConfig, max_tokens: int) -> None:
    whole_loss, whole = gradients(10_000, config)
    loss, split = gradients(max_tokens, config)
    assert loss == pytest.approx(whole_loss, abs=1e-6)
    for name in whole:
        torch.testing.assert_close(split[name], whole[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("max_tokens", [1, 10_000])
def test_a_dialogue_judged_at_every_turn_is_one_row_and_gives_what_its_turns_give(max_tokens: int) -> None:
    turns = [
        Comparison(prompt=Dialogue.of("hi"), replies=("hello", "what"), ranks=(0, 1)),
        Comparison(prompt=Dialogue.of("hi", "hello", "sing"), replies=("la la", "no", "oh"), ranks=(0, 2, 1)),
        Comparison(prompt=Dialogue.of("hi", "hello", "sing", "no", "please"), replies=("la", "never"), ranks=(0, 0)),
    ]
    role, encoder, _ = make()
    trees, apart = encode_conversations(encoder, [turns, COMPARISONS[:1]]), encode_comparisons(encoder, turns)
    singles = Encoded([*apart.rows, trees.rows[1]], [*turns, COMPARISONS[0]])
    found: list[dict[str, torch.Tensor]] = []
    steps: list[PreferenceStep] = []
    for rows, judged in ((trees.rows, trees.comparisons), (singles.rows, singles.comparisons)):
        role, _, _ = make()
        config = replace(CONFIG, batch_comparisons=len(rows), max_tokens=max_tokens)
        own = PreferenceTraining(role, rows, judged, config, seed=3)
        steps.append(next(iter(own)))
        found.append(role.state())
    assert steps[0].loss == pytest.approx(steps[1].loss, abs=1e-6)
    assert steps[0].accuracy == steps[1].accuracy
    assert steps[0].n_pairs == steps[1].n_pairs == 8
    assert steps[0].n_tokens < steps[1].n_tokens
    assert steps[0].gradient_norm == pytest.approx(steps[1].gradient_norm, rel=1e-4)
    assert found[0].keys() == found[1].keys()


def test_every_epoch_sees_every_comparison_once_in_another_order() -> None:
    own = training(*make())
    assert own.total_steps == 6  # 2 epochs of ceil(5 / 2) steps
    epochs = [[i for step in range(e * 3, e * 3 + 3) for i in own.order.at(step)] for e in range(2)]
    assert [sorted(e) for e in epochs] == [[0, 1, 2, 3, 4]] * 2
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("adapters", [AdapterConfig(rank=4, alpha=8.0), None])
@pytest.mark.parametrize("cut", [1, 4])
def test_a_resumed_fit_ends_bit_for_bit_where_the_unbroken_one_ends(cut: int, adapters: AdapterConfig | None) -> None:
    straight, encoder, encoded = make(adapters)
    steps = list(training(straight, encoder, encoded))
    first = training(*make(adapters))
    for _ in zip(range(cut), first, strict=False):
        pass
    # zip pulls one step more than it yields unless the range ends first; it does
    assert first.optimiser.step_count == cut
    resumed_role, encoder, encoded = make(adapters)
    second = training(resumed_role, encoder, encoded)
    second.load_state(first.state())
    assert list(second) == steps[cut:]
    for name, weight in straight.state().items():
        torch.testing.assert_close(resumed_role.state()[name], weight, rtol=0, atol=0)


def test_a_preference_that_can_be_learned_is_learned() -> None:
    role, encoder, encoded = make()
    config = replace(CONFIG, epochs=30, batch_comparisons=5)
    steps = list(training(role, encoder, encoded, config))
    assert steps[0].accuracy < 1.0
    assert steps[-1].accuracy == 1.0
    assert steps[-1].loss < steps[0].loss


def test_comparisons_with_nothing_but_ties_are_counted_not_divided_by() -> None:
    role, encoder, _ = make()
    tied = Comparison(prompt=Dialogue.of("x"), replies=("a", "b"), ranks=(0, 0))
    encoded = encode_comparisons(encoder, [tied, COMPARISONS[1]])
    assert training(role, encoder, encoded, replace(CONFIG, ties=False)).n_without_pairs == 1
    with pytest.raises(DataError, match="no comparison has a pair"):
        training(role, encoder, encode_comparisons(encoder, [tied]), replace(CONFIG, ties=False))


def test_right_answers_are_counted_over_clear_pairs_and_equal_scores_count_half() -> None:
    # ranks 0, 0, 1, 2: pairs (0,2) (0,3) (1,2) (1,3) (2,3) are clear; scores rank 3 above 2 and tie 1 with 2
    assert count_right(torch.tensor([5.0, 1.0, 1.0, 3.0]), COMPARISONS[2]) == (1 + 1 + 0.5 + 0 + 0, 5)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        training(*make(), replace(CONFIG, epochs=0))
