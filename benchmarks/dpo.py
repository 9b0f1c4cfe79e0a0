"""Direct preference optimisation against TRL 1.16's DPOTrainer: full weights, a reference, beta 0.1.

The same ids in the same order, AdamW with the same settings. TRL at its defaults (bf16, checkpointing), and tuned:
fp32, no checkpointing, no length limit, and the number of pairs in a forward pass that is fastest here. The time
holds the reference on both sides: ours runs it before the first step, TRL's beside the policy, both once a pair.

    python -m benchmarks.dpo --hh hh_harmless_base.jsonl.gz --batches 8
"""

import argparse
import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transformers import PreTrainedModel

from benchmarks.common import DTYPES, arguments, machine, prepare, say
from benchmarks.pair_race import comparisons, passes_to_try, run_race
from benchmarks.preference import optimiser_of
from benchmarks.workload import Item, load_model, source_of
from preflab.models.roles import Trunk
from preflab.training.dpo import DPOConfig, DPOTraining


def ours(
    model: PreTrainedModel, items: Sequence[Item], options: argparse.Namespace, *, batch: int
) -> Callable[[], Callable[[], Mapping[str, Any]]]:
    """The contestant of this repository."""
    config = DPOConfig(
        batch_comparisons=batch, beta=options.beta, optimiser=optimiser_of(options), max_tokens=options.max_tokens
    )

    def set_up() -> Callable[[], Mapping[str, Any]]:
        source = source_of(copy.deepcopy(model).to(DTYPES[options.dtype]), options.shape)
        trunk = Trunk(source, None, seed=options.seed)
        policy, reference = trunk.add_role("policy"), trunk.reference()
        rows, judged = [i.row for i in items], [i.comparison for i in items]

        def run() -> Mapping[str, Any]:
            steps = list(DPOTraining(policy, reference, rows, judged, config, seed=options.seed))
            return {"tokens": sum(s.n_tokens for s in steps), "losses": [s.loss for s in steps]}

        return run

    return set_up


def one(options: argparse.Namespace, *, batch: int) -> None:
    """The race at one batch size."""
    from benchmarks.trl_trainers import trl_dpo

    model = load_model(options.shape, seed=options.seed, device=options.device)
    model = model.to(DTYPES[options.dtype]).float()  # rounded to bf16 where that is asked for
    items = comparisons(options, vocab=model.config.vocab_size)
    run_race(
        "dpo",
        model,
        items,
        options,
        ours=ours(model, items, options, batch=batch),
        peer=lambda some, **more: trl_dpo(model, some, options, per_step=batch, **more),
        sizes=passes_to_try(batch, per_step=batch),
        batch=batch,
        passes=4,
    )


def main() -> None:
    """Race at every batch size asked for."""
    assert __doc__
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--beta", type=float, default=0.1)
    options = parser.parse_args()
    prepare(options)
    for batch in options.batches:
        one(options, batch=batch)
        options.defaults = False
    say(machine=machine(options.device))


if __name__ == "__main__":
    main()
