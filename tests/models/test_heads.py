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
        max_logits=chunk * VOCAB,
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


@pytest.mark.parametrize("max_logits", [VOCAB, 50, 10_000])
@pytest.mark.parametrize(
    ("temperature", "softcap", "scale"), [(1.0, None, 1.0), (0.7, None, 8.0), (1.0, 2.0, 1.0), (0.7, 2.0, 0.25)]
)
@pytest.mark.parametrize("frozen", ["hidden", "unembedding"])
@pytest.mark.parametrize("with_entropy", [True, False])
def test_gradients_are_the_same_when_one_side_is_frozen(
    frozen: str, temperature: float, softcap: float | None, scale: float, max_logits: int, with_entropy: bool
) -> None:
    weights = torch.linspace(-1, 1, ITEMS)
    hidden, targets, unembedding = inputs()
    full = oracle(hidden, unembedding, temperature, softcap, scale)
    (full.gather(-1, targets[:, None]).squeeze(-1) * weights).sum().backward()

    own_hidden, _, own_unembedding = inputs()
    (own_hidden if frozen == "hidden" else own_unembedding).requires_grad_(False)
    shape = {"temperature": temperature, "softcap": softcap, "scale": scale}
    logp, _ = token_logprobs(
        own_hidden, targets, own_unembedding, max_logits=max_logits, with_entropy=with_entropy, **shape
    )
    (logp * weights).sum().backward()
    for own, expected in ((own_hidden, hidden), (own_unembedding, unembedding)):
        if own.requires_grad:
            torch.testing.assert_close(own.grad, expected.grad, rtol=1e-4, atol=1e-6)
        else:
            assert own.grad is None


def test_float64_gradients_equal_finite_differences() -> None:
    """The sums are kept in fp32, so the tolerance is fp32's."""
    hidden, targets, unembedding = inputs()
    hidden, unembedding = (t.detach()[:, :3].requires_grad_() for t in (hidden, unembedding))
    weights = torch.linspace(-1, 1, ITEMS)

    def loss() -> Tensor:
        return (token_logprobs(hidden, targets, unembedding, softcap=3.0, max_logits=40)[0] * weights).sum()

    loss().backward()
    for weight in (hidden, unembedding):
        assert weight.grad is not None
        for at in [(0, 0), (5, 1), (10, 2)]:
            with torch.no_grad():
                weight[at] += 1e-2
                up = float(loss())
                weight[at] -= 2e-2
                down = float(loss())
                weight[at] += 1e-2
            assert float(weight.grad[at]) == pytest.approx((up - down) / 2e-2, rel=2e-2, abs=2e-3)


@pytest.mark.parametrize("max_logits", [2, 4, 100])
def test_extreme_logits_stay_finite_block_by_block(max_logits: int) -> None:
    # logits 300, -300, 299, 0, in any order of blocks: P(first) = e / (e + 1), all others nothing
    unembedding = torch.tensor([[300.0], [-300.0], [299.0], [0.0]])
    for order in ([0, 1, 2, 3], [1, 3, 2, 0], [3, 2, 1, 0]):
        hidden = torch.ones(2, 1, requires_grad=True)
        targets = torch.tensor([order.index(0), order.index(1)])
        logp, entropy = token_logprobs(
            hidden, targets, unembedding[order].requires_grad_(), max_logits=max_logits, with_entropy=True
        )
        p = math.e / (math.e + 1)
        assert entropy is not None
        torch.testing.assert_close(logp, torch.tensor([math.log(p), math.log(p) - 600]))
        torch.testing.assert_close(entropy, torch.full((2,), -p * math.log(p) - (1 - p) * math.log(1 - p)))
        logp.sum().backward()
        assert hidden.grad is not None
        # d/dh: (300 - mean) + (-300 - mean), mean = 300 p + 299 (1 - p)
        torch.testing.assert_close(
            hidden.grad[0], torch.tensor([300 - (300 * p + 299 * (1 - p))]), rtol=1e-4, atol=1e-3
        )


@pytest.mark.parametrize("trained", ["hidden", "unembedding", "both"])
def test_no_logits_are_held_between_forward_and_backward(trained: str) -> None:
    items, vocab = 64, 500
    hidden, unembedding = torch.randn(items, HIDDEN), torch.randn(vocab, HIDDEN)
    hidden.requires_grad_(trained != "unembedding")
    unembedding.requires_grad_(trained != "hidden")
    held: list[int] = []

    def note(t: Tensor) -> Tensor:
        held.append(t.numel())
        return t

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        token_logprobs(hidden, torch.zeros(items, dtype=torch.long), unembedding)
    # hidden states, output layer, and a few numbers an item (or a vector, if the output layer is frozen)
    assert sum(held) <= unembedding.numel() + items * (2 * HIDDEN + 3)


def test_bf16_weights_give_gradients_close_to_full_precision() -> None:
    hidden, targets, unembedding = inputs()
    token_logprobs(hidden, targets, unembedding)[0].sum().backward()
    low = [t.detach().bfloat16().requires_grad_() for t in (hidden, unembedding)]
    token_logprobs(low[0], targets, low[1], max_logits=100)[0].sum().backward()
    for own, exact in zip(low, (hidden, unembedding), strict=True):
        assert own.grad is not None
        assert own.grad.dtype == torch.bfloat16
        assert exact.grad is not None
        torch.testing.assert_close(own.grad.float(), exact.grad, rtol=0.05, atol=0.05)


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
