"""What the races of trainers of pairs share: equal losses first, the peer's best batch, then the timed turns."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transformers import PreTrainedModel

from benchmarks.common import DTYPES, matmul_rate, peak_bytes, race, report, say
from benchmarks.workload import Item, body_parameters, load_items
from preflab.training.batch_order import BatchOrder

OURS = "preflab"


def comparisons(options: argparse.Namespace, *, vocab: int, k: int = 2) -> list[Item]:
    """The comparisons of one run, in an order drawn by the seed, or by length where the options say so."""
    items = load_items(options.hh, n=options.comparisons, vocab=vocab, seed=options.seed, k=k)
    if options.sorted:  # so that our training, which shuffles, meets them longest first
        longest = sorted(items, key=lambda item: -len(item.prefix) - max(map(len, item.replies)))
        order = in_order(range(len(items)), seed=options.seed)
        items = [item for _, item in sorted(zip(order, longest, strict=True), key=lambda placed: placed[0])]
    return items


def in_order(items: Sequence[Any], *, seed: int) -> list[Any]:
    """As our training draws them: what a trainer that goes through a list must be given."""
    return [items[i] for i in BatchOrder(n_items=len(items), batch=len(items), epochs=1, seed=seed).at(0)]


def passes_to_try(whole: int, *, per_step: int) -> list[int]:
    """Pairs in a forward pass for the peer to try, the whole batch (or all pairs of one prompt) first."""
    sizes = dict.fromkeys([whole, whole // 2, whole // 4, 2, 1])
    return [size for size in sizes if size and per_step % size == 0]


def check(contestants: Mapping[str, Any], *, tolerance: float) -> dict[str, dict[str, Any]]:
    """Run each once: losses step by step must agree; counts and peak bytes are read here, untimed."""
    found: dict[str, dict[str, Any]] = {}
    for name, set_up in contestants.items():
        run, told = set_up(), dict[str, Any]()

        def once(run: Any = run, told: dict[str, Any] = told) -> None:
            told.update(run())

        told["peak_bytes"] = peak_bytes(once)
        found[name] = told
    for name, told in found.items():
        told["loss_gap"] = max(abs(a - b) for a, b in zip(told["losses"], found[OURS]["losses"], strict=True))
        if not told["loss_gap"] <= tolerance:
            raise SystemExit(f"{name} and {OURS} differ by {told['loss_gap']:.2e} in a step's loss: no race")
    for told in found.values():
        losses = told.pop("losses")
        told["first_and_last_loss"] = [round(losses[0], 6), round(losses[-1], 6)]
    return found


def fastest_at_once(make: Callable[[int], Any], sizes: Sequence[int], *, device: str) -> int:
    """The peer's best number of pairs in a forward pass, by one run each; the gradient is of the same batch."""
    timings = race({str(size): make(size) for size in sizes}, repeats=1, device=device)
    seconds = {size: min(timings[str(size)].wall) for size in sizes}
    say(tuning="pairs in a forward pass of the peer -> seconds", seconds={k: round(v, 2) for k, v in seconds.items()})
    return min(seconds, key=lambda size: seconds[size])


def without_losses(set_up: Any) -> Any:
    """The same contestant, of whose account the tokens alone are kept."""

    def again() -> Callable[[], Mapping[str, float]]:
        run = set_up()
        return lambda: {"tokens": run()["tokens"]}

    return again


def run_race(
    question: str,
    model: PreTrainedModel,
    items: Sequence[Item],
    options: argparse.Namespace,
    *,
    ours: Any,
    peer: Callable[..., Any],
    sizes: Sequence[int],
    batch: int,
    passes: float,
    **facts: Any,
) -> None:
    """Tune the peer, check losses, take turns, report.

    The peer runs twice: with the batch in one forward pass, and in the smaller passes that are fastest here, whose
    gradients add up to the same batch and which pad less.

    Args:
        peer    makes the peer of some comparisons with ``at_once`` pairs in a forward pass.
        sizes   pairs in a forward pass to try, the first as it would be untuned.
        passes  forward passes a needed token costs, the backward pass as two: 3 for training, 4 with a reference.
    """
    ordered = in_order(items, seed=options.seed)
    few, best = ordered[: max(batch, 16 // batch * batch)], sizes[0]
    if options.tune:
        best = fastest_at_once(lambda size: peer(few, at_once=size), sizes, device=options.device)
    contestants = {"trl": peer(ordered, at_once=sizes[0])}
    if best != sizes[0]:
        contestants["trl in small passes"] = peer(ordered, at_once=best)
    contestants[OURS] = ours
    checked = check(contestants, tolerance=1e-5 if options.dtype == "fp32" else 2e-2)
    if options.defaults:
        contestants["trl as shipped"] = peer(ordered, at_once=sizes[0], as_shipped=True)
    turns = {name: without_losses(set_up) for name, set_up in contestants.items()}
    timings = race(turns, repeats=options.repeats, device=options.device)
    once = sum(len(i.row) for i in items)
    flops = 2.0 * passes * body_parameters(model) * once
    rate = matmul_rate(options.device, DTYPES[options.dtype])
    for name, timing in timings.items():
        report(
            question,
            timings,
            ours=OURS,
            only=name,
            shape=options.shape,
            dtype=options.dtype,
            device=options.device,
            batch=batch,
            comparisons=len(items),
            sorted=options.sorted,
            once_tokens=once,
            pairs_at_once={OURS: None, "trl in small passes": best}.get(name, sizes[0]),
            comparisons_per_second=round(len(items) / min(timing.wall), 3),
            matrix_rate=rate,
            share_of_matrix_rate=round(flops / min(timing.wall) / rate, 4),
            **facts,
            **checked.get(name, {}),
        )
