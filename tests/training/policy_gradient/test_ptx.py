"""Pretraining rows, the stream they are drawn from, and the gradient that is mixed in."""

import pytest
import torch

from preflab.data.rows import Row
from preflab.errors import ConfigError, DataError
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.rollouts.encoder import Encoder
from preflab.training.policy_gradient.ptx import Pretraining, PtxConfig, norm_of, rows_of_text

ROWS = [Row.of([66 + i], range(70, 73 + i)) for i in range(5)]


def policy() -> Role:
    return Trunk(load_language_model("tiny", precision="fp32"), None).add_role("policy")


def test_text_is_laid_end_to_end_and_cut_into_examples_of_one_length() -> None:
    encoder = Encoder(load_language_model("tiny", precision="fp32").tokenizer, max_tokens=64)
    rows = rows_of_text(encoder, ["abcd", "ef"], example_tokens=3)
    tokens = [t for row in rows for segment in row.segments for t in segment]
    assert tokens == [*encoder.document("abcd"), *encoder.document("ef")]  # a b c | d end e | f end
    assert [len(row) for row in rows] == [3, 3, 2]
    assert [len(row.segments[0]) for row in rows] == [1, 1, 1]
    assert encoder.document("abcd")[-1] == encoder.end_id
    assert "<|end|>" not in encoder.tokenizer.convert_ids_to_tokens(encoder.document("x<|end|>y")[:-1])


def test_a_last_token_alone_predicts_nothing_and_no_text_at_all_is_refused() -> None:
    encoder = Encoder(load_language_model("tiny", precision="fp32").tokenizer, max_tokens=64)
    assert [len(row) for row in rows_of_text(encoder, ["abc"], example_tokens=3)] == [3]  # a b c | end
    with pytest.raises(DataError, match="empty"):
        rows_of_text(encoder, [], example_tokens=3)


@pytest.mark.parametrize("max_tokens", [1, 9, 1000])
def test_the_gradient_is_added_to_what_is_there_and_both_norms_are_told(max_tokens: int) -> None:
    role = policy()
    mix = Pretraining(role, ROWS, PtxConfig(coefficient=2.0), max_tokens=max_tokens, seed=0)
    n = sum(len(row.segments[1]) for row in ROWS)
    losses = []
    for row in ROWS:  # one by one, from full logits
        with role.trunk.activate(role.name) as backbone:
            ids = torch.tensor([[*row.segments[0], *row.segments[1]]])
            logp = backbone.model(input_ids=ids, use_cache=False).logits[0, :-1].log_softmax(-1)
            losses.append(-logp.gather(-1, ids[0, 1:, None]).sum())
    loss = torch.stack(losses).sum() / n
    (2.0 * loss).backward()  # type: ignore[no-untyped-call]
    wanted = {k: p.grad.clone() for k, p in role.weights().items() if p.grad is not None}
    for weight in role.weights().values():
        weight.grad = torch.ones_like(weight)
    found = mix.add_gradient(ROWS)
    assert found["ptx_loss"] == pytest.approx(float(loss.detach()), rel=1e-5)
    assert found["ptx_tokens"] == sum(map(len, ROWS))
    assert found["rl_gradient_norm"] == pytest.approx(sum(w.numel() for w in role.weights().values()) ** 0.5)
    assert found["ptx_gradient_norm"] == pytest.approx(norm_of(wanted), rel=1e-4)
    for name, weight in role.weights().items():
        assert weight.grad is not None
        torch.testing.assert_close(weight.grad, wanted.get(name, torch.zeros(())) + 1, rtol=1e-4, atol=1e-5)


def test_a_mix_without_rows_and_impossible_settings_are_refused() -> None:
    with pytest.raises(DataError, match="no pretraining rows"):
        Pretraining(policy(), [], PtxConfig(coefficient=1.0), max_tokens=100, seed=0)
    for changes in ({"coefficient": -1.0}, {"ratio": 0}, {"example_tokens": 1}):
        with pytest.raises(ConfigError, match=next(iter(changes))):
            PtxConfig(**changes)  # type: ignore[arg-type]
