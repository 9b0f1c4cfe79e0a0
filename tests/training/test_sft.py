"""SFT against a float64 oracle that runs every reply apart, however batches are split, over dialogues and resumes."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.errors import ConfigError, DataError
from preflab.models.adapters import AdapterConfig
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.rollouts.encode import encode_dialogues
from preflab.rollouts.encoder import Encoder
from preflab.training.optimiser import OptimiserConfig
from preflab.training.sft import SFTConfig, SFTStep, SFTTraining
from tests.training.oracle import close, float64_model, token_logps

DIALOGUES = [
    Dialogue.of("hi", "hello", "sing", "la la la"),
    Dialogue.of("name a colour", "red"),
    Dialogue.of("why", "because", "why again", "because I said so", "oh", "yes"),
    Dialogue.of("count", "one two three four five"),
    Dialogue.of("x", "y", system="be short"),
]
ADAPTERS = AdapterConfig(rank=4, alpha=8.0)
CONFIG = SFTConfig(batch_rows=2, epochs=2, optimiser=OptimiserConfig(learning_rate=1e-2))


def make(adapters: AdapterConfig | None = None) -> tuple[Role, list[Row]]:
    """A role, five dialogues, and a prompt with three replies as branches."""
    source = load_language_model("tiny", precision="fp32")
    encoder = Encoder(source.tokenizer, max_tokens=256)
    rows = encode_dialogues(encoder, DIALOGUES).rows
    several = Row.of(encoder.prompt(Dialogue.of("say something")), *map(encoder.reply, ("one", "two", "three hundred")))
    return Trunk(source, adapters).add_role("policy"), [*rows, several]


def first_step(
    config: SFTConfig, rows: Sequence[Row] | None = None, adapters: AdapterConfig | None = None
) -> tuple[SFTStep, dict[str, torch.Tensor]]:
    """One step over everything, and the gradient it took."""
    role, own_rows = make(adapters)
    rows = own_rows if rows is None else rows
    training = SFTTraining(role, rows, replace(config, batch_rows=len(rows)), seed=3)
    caught: dict[str, torch.Tensor] = {}
    take = training.optimiser.step

    def catch() -> dict[str, float]:
        caught.update({k: p.grad.clone() for k, p in role.weights().items() if p.grad is not None})
        return take()

    training.optimiser.step = catch  # type: ignore[method-assign]
    return next(iter(training)), caught


@pytest.mark.parametrize("left", [False, True])
def test_loss_and_gradient_equal_an_oracle_that_runs_every_reply_apart(left: bool) -> None:
    """One mean over all reply tokens of the batch: a long reply weighs more than a short one."""
    step, found = first_step(CONFIG)
    _, rows = make()
    policy = float64_model()
    logps = torch.cat(token_logps(policy, rows, left=left))
    loss = -logps.sum() / len(logps)
    loss.backward()
    assert step.loss == pytest.approx(loss.item(), rel=1e-5)
    close(found, {k: p.grad for k, p in policy.named_parameters() if p.grad is not None})
    assert step.reply_tokens == len(logps)
    assert step.n_replies == 2 + 1 + 3 + 1 + 1 + 3
    assert step.n_tokens == sum(len(row) for row in rows) < sum(row.path_tokens for row in rows)


@pytest.mark.parametrize("max_tokens", [1, 60, 150])
def test_the_step_does_not_depend_on_how_the_batch_is_split(max_tokens: int) -> None:
    whole, expected = first_step(replace(CONFIG, max_tokens=10_000), adapters=ADAPTERS)
    split, found = first_step(replace(CONFIG, max_tokens=max_tokens), adapters=ADAPTERS)
    for name, value in vars(whole).items():
        assert getattr(split, name) == pytest.approx(value, rel=1e-4, abs=1e-6)
    close(found, expected)


def test_a_dialogue_in_one_row_gives_what_its_turns_give_one_by_one() -> None:
    _, rows = make()
    assert [len(row.replies) for row in rows] == [2, 1, 3, 1, 1, 3]
    together, expected = first_step(CONFIG)
    apart, found = first_step(CONFIG, [row.isolate(k) for row in rows for k in range(len(row.replies))])
    assert apart.loss == pytest.approx(together.loss, rel=1e-5)
    assert apart.n_tokens > together.n_tokens
    close(found, expected)


def test_nothing_but_reply_tokens_counts() -> None:
    """The loss is that of the replies, and does not change with what a user says behind them."""
    source = load_language_model("tiny", precision="fp32")
    encoder = Encoder(source.tokenizer, max_tokens=256)
    step, _ = first_step(CONFIG, encode_dialogues(encoder, [Dialogue.of("hi", "hello")]).rows)
    longer, _ = first_step(CONFIG, encode_dialogues(encoder, [Dialogue.of("hi", "hello", "sing a song")]).rows)
    assert longer.loss == pytest.approx(step.loss, rel=1e-6)
    assert step.reply_tokens == longer.reply_tokens == 6  # five bytes and the end of the turn


@pytest.mark.parametrize("adapters", [ADAPTERS, None])
@pytest.mark.parametrize("cut", [1, 4])
def test_a_resumed_fit_ends_bit_for_bit_where_the_unbroken_one_ends(cut: int, adapters: AdapterConfig | None) -> None:
    straight, rows = make(adapters)
    steps = list(SFTTraining(straight, rows, CONFIG, seed=3))
    assert len(steps) == 6
    first = SFTTraining(*make(adapters), CONFIG, seed=3)
    for _ in zip(range(cut), first, strict=False):
        pass
    assert first.optimiser.step_count == cut
    role, rows = make(adapters)
    second = SFTTraining(role, rows, CONFIG, seed=3)
    second.load_state(first.state())
    assert list(second) == steps[cut:]
    for name, weight in straight.state().items():
        torch.testing.assert_close(role.state()[name], weight, rtol=0, atol=0)


def test_what_is_shown_is_learned() -> None:
    role, rows = make(ADAPTERS)
    steps = list(SFTTraining(role, rows, replace(CONFIG, epochs=20, batch_rows=6), seed=3))
    assert steps[-1].loss < 0.7 * steps[0].loss


def test_rows_without_a_reply_are_counted() -> None:
    role, rows = make(ADAPTERS)
    assert SFTTraining(role, [Row.of([1]), *rows], CONFIG, seed=0).n_without_replies == 1
    with pytest.raises(DataError, match="no row has a reply"):
        SFTTraining(role, [Row.of([1])], CONFIG, seed=0)
    with pytest.raises(ConfigError, match="at least 1"):
        SFTTraining(role, rows, replace(CONFIG, batch_rows=0), seed=0)
