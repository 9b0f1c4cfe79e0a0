"""Log-probabilities of reply tokens against plain cross-entropy over whole logits: peak bytes and time.

8 x 256 tokens, forward and backward, gradients for hidden states and output layer. Bytes are those of new tensors
alive at once (on a GPU also the allocator's own count), gradients included, inputs not.

    python -m benchmarks.logprob_memory --hidden 256 576
"""

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.common import DTYPES, arguments, machine, peak_bytes, prepare, race, report, say
from preflab.models.heads import token_logprobs

OURS, PLAIN = "preflab", "plain cross-entropy"
Logprobs = Callable[[Tensor, Tensor, Tensor], Tensor]


def plain(hidden: Tensor, targets: Tensor, output: Tensor) -> Tensor:
    """Whole logits."""
    return -F.cross_entropy(hidden @ output.T, targets, reduction="none")


def ours(hidden: Tensor, targets: Tensor, output: Tensor) -> Tensor:
    """Block by block over the vocabulary."""
    return token_logprobs(hidden, targets, output)[0]


def one(options: argparse.Namespace, *, hidden: int, frozen: bool) -> None:
    """The race at one width; ``frozen`` gives the output layer no gradient, as with adapters."""
    generator = torch.Generator().manual_seed(options.seed)
    place = {"device": options.device, "dtype": DTYPES[options.dtype]}
    states = torch.randn(options.tokens, hidden, generator=generator).to(**place)
    output = (0.1 * torch.randn(options.vocab, hidden, generator=generator)).to(**place)
    targets = torch.randint(options.vocab, (options.tokens,), generator=generator).to(options.device)
    weights = torch.rand(options.tokens, generator=generator).to(options.device)

    def contestant(logprobs: Logprobs) -> Callable[[], Callable[[], dict[str, float]]]:
        def set_up() -> Callable[[], dict[str, float]]:
            own = states.clone().requires_grad_(), output.clone().requires_grad_(not frozen)

            def run() -> dict[str, float]:
                (logprobs(own[0], targets, own[1]).float() * weights).sum().backward()
                return {}

            return run

        return set_up

    contestants = {PLAIN: contestant(plain), OURS: contestant(ours)}
    values, bytes_ = {}, {}
    for name, logprobs in ((PLAIN, plain), (OURS, ours)):
        own = states.clone().requires_grad_(), output.clone().requires_grad_(not frozen)
        loss = (logprobs(own[0], targets, own[1]).float() * weights).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        values[name] = [loss.detach(), *(t.grad for t in own if t.grad is not None)]
        bytes_[name] = peak_bytes(contestants[name]())
    gaps = [float((a - b).abs().max() / a.abs().max()) for a, b in zip(values[PLAIN], values[OURS], strict=True)]
    if not max(gaps) <= (1e-5 if options.dtype == "fp32" else 5e-2):
        raise SystemExit(f"loss or gradients differ by {gaps}, relative to the largest")
    timings = race(contestants, repeats=options.repeats, device=options.device)
    for name in timings:
        report(
            "logprob_memory",
            timings,
            ours=OURS,
            only=name,
            tokens=options.tokens,
            vocab=options.vocab,
            hidden=hidden,
            output_layer="frozen" if frozen else "trained",
            dtype=options.dtype,
            device=options.device,
            peak_bytes=bytes_[name],
            share_of_plain_bytes=round(bytes_[name] / bytes_[PLAIN], 4),
            loss_and_gradient_gaps=gaps,
        )


def main() -> None:
    """Race at every width."""
    assert __doc__
    parser = arguments(__doc__.splitlines()[0], repeats=7)
    parser.add_argument("--tokens", type=int, default=8 * 256)
    parser.add_argument("--vocab", type=int, default=49_152)
    parser.add_argument("--hidden", type=int, nargs="+", default=[256, 576])
    options = parser.parse_args()
    prepare(options)
    for hidden in options.hidden:
        for frozen in (False, True):
            one(options, hidden=hidden, frozen=frozen)
    say(machine=machine(options.device))


if __name__ == "__main__":
    main()
