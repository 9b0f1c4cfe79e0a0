"""Log-probabilities against a full log-softmax, in value, gradient and memory."""

import math

import pytest
import torch
from torch import Tensor

from preflab.models.heads import ScalarHead, token_logprobs

ITEMS, HIDDEN, VOCAB = 11, 6, 37


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    hidden = torch.randn(ITEMS, HIDDEN, generator=g).requires_grad_()
    unembedding = torch.randn(VOCAB, HIDDEN, generator=g).requires_grad_()
    return hidden, torch.randint(VOCAB, (ITEMS,), generator=g), unembedding


def oracle(hidden: Tensor, unembedding: Tensor, temperature: float, softcap: float | None, scale: float) -> Tensor:
    logits = hidden @ unembedding.T * scale
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    return torch.log_softmax(logits / temperature, dim=-1)


@pytest.mark.parametrize("chunk", [1, 4, 11, 1000])
@pytest.mark.parametrize(
    ("temperature", "softcap", "scale"),
    [(1.0, None, 1.0), (0.7, None, 1.0), (1.0, 2.0, 1.0), (0.7, 2.0, 0.25), (2.0, None, 8.0)],
)
def test_values_and_gradients_equal_the_full_log_softmax(
    chunk: int, temperature: float, softcap: float | None, scale: float
) -> None:
    weights = torch.linspace(-1, 1, ITEMS)  # another gradient for every item
    hidden, targets, unembedding = inputs()
    full = oracle(hidden, unembedding, temperature, softcap, scale)
    expected = full.gather(-1, targets[:, None]).squeeze(-1)
    (expected * weights).sum().backward()

    own_hidden, _, own_unembedding = inputs()
    logp, entropy = token_logprobs(
        own_hidden,
        targets,
        own_unembedding,
        temperature=temperature,
        softcap=softcap,
        scale=scale,
        chunk=chunk,
        with_entropy=True,
    )
    (logp * weights).sum().backward()
    torch.testing.assert_close(logp, expected)
    torch.testing.assert_close(own_hidden.grad, hidden.grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(own_unembedding.grad, unembedding.grad, rtol=1e-4, atol=1e-6)
    assert entropy is not None
    torch.testing.assert_close(entropy, -(full.exp() * full).sum(-1).detach(), rtol=1e-4, atol=1e-5)
    assert not entropy.requires_grad


def test_two_tokens_by_hand() -> None:
    # logits ln 3 and 0: probabilities 3/4 and 1/4; entropy ln 4 - 3/4 ln 3
    logp, entropy = token_logprobs(
        torch.tensor([[1.0]]), torch.tensor([0]), torch.tensor([[math.log(3)], [0.0]]), with_entropy=True
    )
    assert entropy is not None
    assert logp.item() == pytest.approx(math.log(0.75), abs=1e-6)
    assert entropy.item() == pytest.approx(math.log(4) - 0.75 * math.log(3), abs=1e-6)


@pytest.mark.parametrize("trained", ["hidden", "unembedding"])
def test_no_logits_are_held_between_forward_and_backward(trained: str) -> None:
    items, chunk = 64, 8
    hidden, unembedding = torch.randn(items, HIDDEN), torch.randn(500, HIDDEN)
    (hidden if trained == "hidden" else unembedding).requires_grad_()
    held: list[int] = []

    def note(t: Tensor) -> Tensor:
        held.append(t.numel())
        return t

    targets = torch.zeros(items, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        token_logprobs(hidden, targets, unembedding, chunk=chunk)[0].sum().backward()
    # the backward pass makes them again, a chunk at a time; nothing as large as [items, vocab] ever is
    assert max(held) <= max(chunk * 500, unembedding.numel())

    held.clear()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        token_logprobs(hidden, targets, unembedding, chunk=chunk)
    assert sum(n for n in held if n != unembedding.numel()) < items * 500  # the chunks together neither


def test_without_gradients_nothing_is_recorded() -> None:
    hidden, targets, unembedding = inputs()
    with torch.no_grad():
        logp, entropy = token_logprobs(hidden, targets, unembedding)
    assert not logp.requires_grad
    assert entropy is None


@pytest.mark.parametrize("with_entropy", [True, False])
def test_no_items_give_no_numbers(with_entropy: bool) -> None:
    logp, entropy = token_logprobs(
        torch.zeros(0, HIDDEN), torch.zeros(0, dtype=torch.long), torch.zeros(VOCAB, HIDDEN), with_entropy=with_entropy
    )
    assert logp.shape == (0,)
    assert (entropy is not None) == with_entropy


def test_bf16_weights_give_fp32_numbers() -> None:
    hidden, targets, unembedding = inputs()
    logp, _ = token_logprobs(hidden.detach().bfloat16(), targets, unembedding.detach().bfloat16())
    assert logp.dtype == torch.float32


def test_a_head_begins_as_stiennon_says_and_reads_one_number_in_full_precision() -> None:
    head = ScalarHead(4095, generator=torch.Generator().manual_seed(0))
    assert float(head.weight.detach().std()) == pytest.approx(1 / 64, rel=0.05)  # sqrt(4095 + 1)
    assert [n for n, _ in head.named_parameters()] == ["weight"]
    out = head(torch.ones(3, 4095, dtype=torch.bfloat16))
    assert out.dtype == torch.float32
    assert out.shape == (3,)
    torch.testing.assert_close(out, head.weight.sum().expand(3))
