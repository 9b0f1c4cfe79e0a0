"""Preference-model training against TRL 1.16's RewardTrainer: pairs, and rankings of K replies.

Full weights on both sides, the same ids in the same order, AdamW with the same settings and a constant learning
rate. TRL at its defaults (bf16, checkpointing), and tuned: fp32, no checkpointing, no length limit, and the number
of pairs in a forward pass that is fastest here (accumulated to the same batch). TRL gets every pair of a ranking.

    python -m benchmarks.preference --hh hh_harmless_base.jsonl.gz --defaults
    python -m benchmarks.preference --hh hh_harmless_base.jsonl.gz --replies 4 --batches 8 --comparisons 16
"""

import argparse
import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transformers import PreTrainedModel

from benchmarks.common import DTYPES, arguments, machine, prepare, say
from benchmarks.pair_race import comparisons, passes_to_try, run_race
from benchmarks.workload import Item, load_model, source_of
from preflab.models.roles import Role, Trunk
from preflab.training.optimiser import OptimiserConfig
from preflab.training.preference import PreferenceConfig, PreferenceTraining


def new_role(model: PreTrainedModel, options: argparse.Namespace) -> Role:
    """A preference model with fresh weights: a full copy and a head."""
    source = source_of(copy.deepcopy(model).to(DTYPES[options.dtype]), options.shape)
    return Trunk(source, None, seed=options.seed).add_role("pm", head=True)


def ours(
    model: PreTrainedModel, items: Sequence[Item], options: argparse.Namespace, *, batch: int
) -> Callable[[], Callable[[], Mapping[str, Any]]]:
    """The contestant of this repository."""
    config = PreferenceConfig(batch_comparisons=batch, optimiser=optimiser_of(options), max_tokens=options.max_tokens)

    def set_up() -> Callable[[], Mapping[str, Any]]:
        role = new_role(model, options)
        rows, judged = [i.row for i in items], [i.comparison for i in items]

        def run() -> Mapping[str, Any]:
            steps = list(PreferenceTraining(role, rows, judged, config, seed=options.seed))
            return {"tokens": sum(s.n_tokens for s in steps), "losses": [s.loss for s in steps]}

        return run

    return set_up


def optimiser_of(options: argparse.Namespace) -> OptimiserConfig:
    """AdamW as transformers' Trainer has it by default, at a constant rate."""
    return OptimiserConfig(learning_rate=options.learning_rate, betas=(0.9, 0.999), clip_norm=1.0, schedule="constant")


def one(options: argparse.Namespace, *, batch: int) -> None:
    """The race at one batch size."""
    from benchmarks.trl_trainers import trl_reward

    model = load_model(options.shape, seed=options.seed, device=options.device)
    items = comparisons(options, vocab=model.config.vocab_size, k=options.replies)
    role = new_role(model, options)
    model.load_state_dict(role.trunk.model.state_dict())  # rounded to bf16 where that is asked for
    head, pairs = role.head.weight.detach().clone(), options.replies * (options.replies - 1) // 2
    del role
    per_step, whole = batch * pairs, batch if options.replies == 2 else pairs
    run_race(
        "preference",
        model,
        items,
        options,
        ours=ours(model, items, options, batch=batch),
        peer=lambda some, **more: trl_reward(model, head, some, options, per_step=per_step, **more),
        sizes=passes_to_try(whole, per_step=per_step),
        batch=batch,
        passes=3,
        replies=options.replies,
    )


def main() -> None:
    """Race at every batch size asked for."""
    assert __doc__
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--replies", type=int, default=2, help="K replies to a prompt; TRL gets all K(K-1)/2 pairs")
    options = parser.parse_args()
    prepare(options)
    for batch in options.batches:
        one(options, batch=batch)
        options.defaults = False
    say(machine=machine(options.device))


if __name__ == "__main__":
    main()
