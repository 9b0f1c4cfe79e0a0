"""Preference-model training against TRL 1.16's RewardTrainer: pairs, and rankings of K replies.

Full weights on both sides, the same ids in the same order, AdamW with the same settings and a constant learning
rate. TRL at its defaults (bf16, checkpointing), and tuned: fp32, no checkpointing, no length limit, and the number
of pairs in a forward pass that is fastest here (accumulated to the same batch).

    python -m benchmarks.preference --hh hh_harmless_base.jsonl.gz
    python -m benchmarks.preference --hh hh_harmless_base.jsonl.gz --replies 4 --batches 8 --comparisons 16
"""

import argparse
import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from benchmarks.common import DTYPES, Timing, arguments, machine, matmul_rate, peak_bytes, prepare, race, report, say
from benchmarks.workload import Item, body_parameters, load_items, load_model, source_of
from preflab.models.roles import Trunk
from preflab.training.preference import PreferenceConfig, PreferenceTraining
from preflab.training.step import OptimiserConfig

OURS = "preflab"


def ours(
    model: PreTrainedModel, items: Sequence[Item], options: argparse.Namespace, *, batch: int
) -> Callable[[], Callable[[], Mapping[str, Any]]]:
    """The contestant of this repository."""
    optimiser = OptimiserConfig(
        learning_rate=options.learning_rate, betas=(0.9, 0.999), clip_norm=1.0, schedule="constant"
    )
    config = PreferenceConfig(batch_comparisons=batch, optimiser=optimiser, max_tokens=options.max_tokens)

    def set_up() -> Callable[[], Mapping[str, Any]]:
        role = new_role(model, options)

        def run() -> Mapping[str, Any]:
            training = PreferenceTraining(
                role, [i.row for i in items], [i.comparison for i in items], config, seed=options.seed
            )
            steps = list(training)
            return {"tokens": sum(s.n_tokens for s in steps), "losses": [s.loss for s in steps]}

        return run

    return set_up


def new_role(model: PreTrainedModel, options: argparse.Namespace) -> Any:
    """A preference model with fresh weights: a full copy and a head."""
    source = source_of(copy.deepcopy(model).to(DTYPES[options.dtype]), options.shape)
    return Trunk(source, None, seed=options.seed).add_role("pm", head=True)


def in_order(items: Sequence[Item], *, seed: int) -> list[Item]:
    """The order in which our training draws them: what a sequential trainer must be given."""
    order = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed * 10_007))
    return [items[i] for i in order.tolist()]


def check(contestants: Mapping[str, Any], *, tolerance: float) -> dict[str, Mapping[str, Any]]:
    """Run each once: losses step by step must agree; counts and peak bytes are read here, untimed."""
    found = {}
    for name, set_up in contestants.items():
        run, told = set_up(), {}
        peak = peak_bytes(lambda run=run, told=told: told.update(run()))
        found[name] = {**told, "peak_bytes": peak}
    for name, told in found.items():
        gap = max(abs(a - b) for a, b in zip(told["losses"], found[OURS]["losses"], strict=True))
        told["loss_gap"] = gap
        if gap > tolerance:
            raise SystemExit(f"{name} and {OURS} differ by {gap:.2e} in a step's loss: no race")
    return found


def fastest_at_once(make: Callable[[int], Any], sizes: Sequence[int]) -> int:
    """TRL's best number of pairs in a forward pass, by one run each."""
    seconds = {}
    for size in sizes:
        timing = race({"trl": make(size)}, repeats=1)["trl"]
        seconds[size] = timing.wall[0]
    say(tuning="pairs in a forward pass of TRL -> seconds", seconds={k: round(v, 2) for k, v in seconds.items()})
    return min(seconds, key=lambda size: seconds[size])


def without_losses(set_up: Any) -> Any:
    """What is timed need not carry losses into the report."""

    def again() -> Callable[[], Mapping[str, float]]:
        run = set_up()
        return lambda: {"tokens": run()["tokens"]}

    return again


def one(options: argparse.Namespace, *, batch: int) -> dict[str, Timing]:
    """The race at one batch size."""
    from benchmarks.trl_reward import trl_reward

    model = load_model(options.shape, seed=options.seed, device=options.device)
    items = load_items(
        options.hh, n=options.comparisons, vocab=model.config.vocab_size, seed=options.seed, k=options.replies
    )
    if options.sorted:
        items.sort(key=lambda item: -max(len(c) for pair in item.pairs() for c in pair))
        places = torch.randperm(len(items), generator=torch.Generator().manual_seed(options.seed * 10_007)).tolist()
        items = [item for _, item in sorted(zip(places, items, strict=True), key=lambda placed: placed[0])]
    role = new_role(model, options)
    model.load_state_dict(role.trunk.model.state_dict())  # rounded to bf16 where that is asked for
    head, pairs = role.head.weight.detach().clone(), options.replies * (options.replies - 1) // 2
    ordered = in_order(items, seed=options.seed)
    shared = {"pairs_per_step": batch * pairs}

    def trl(at_once: int, **more: Any) -> Any:
        return trl_reward(model, head, ordered, options, pairs_at_once=at_once, **shared, **more)

    whole = batch * pairs if options.replies == 2 else pairs
    sizes = [s for s in (whole, whole // 2, whole // 4) if s >= 1 and shared["pairs_per_step"] % s == 0]
    best = fastest_at_once(trl, sizes) if options.tune else whole
    contestants = {"trl tuned": trl(best), OURS: ours(model, items, options, batch=batch)}
    checked = check(contestants, tolerance=1e-5 if options.dtype == "fp32" else 2e-2)
    if options.defaults:
        contestants["trl as shipped"] = trl(batch, as_shipped=True)
    timings = race(
        {name: without_losses(set_up) for name, set_up in contestants.items()},
        repeats=options.repeats,
        device=options.device,
    )
    once = sum(len(i.row) for i in items)
    flops = 6.0 * body_parameters(model) * once
    rate = matmul_rate(options.device, DTYPES[options.dtype])
    for name, timing in timings.items():
        told = dict(checked.get(name, {}))
        told.pop("losses", None)
        seconds = min(timing.wall)
        report(
            "preference",
            {OURS: timings[OURS], name: timing} if name != OURS else {OURS: timing},
            ours=OURS,
            only=name,
            batch=batch,
            replies=options.replies,
            comparisons=len(items),
            pairs_at_once=best if name != OURS else None,
            sorted=options.sorted,
            once_tokens=once,
            comparisons_per_second=round(len(items) / seconds, 3),
            share_of_matrix_rate=round(flops / seconds / rate, 4),
            **told,
        )
    return timings


def main() -> None:
    """Race at every batch size asked for."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--comparisons", type=int, default=64, help="comparisons of one run")
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 16, 32], help="comparisons per step")
    parser.add_argument("--replies", type=int, default=2, help="K replies to a prompt; TRL gets all K(K-1)/2 pairs")
    parser.add_argument("--learning-rate", type=float, default=1e-5)
    parser.add_argument("--max-tokens", type=int, default=2048, help="ours: tokens in a forward pass")
    parser.add_argument("--no-tune", dest="tune", action="store_false", help="TRL: the whole batch in a forward pass")
    parser.add_argument("--defaults", action="store_true", help="also TRL as it is shipped, at the first batch size")
    parser.add_argument("--sorted", action="store_true", help="all comparisons sorted by length, for both sides")
    options = parser.parse_args()
    prepare(options)
    for batch in options.batches:
        one(options, batch=batch)
        options.defaults = False
    say(machine=machine(options.device))


if __name__ == "__main__":
    main()
