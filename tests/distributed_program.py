"""What tests/test_distributed.py runs under torchrun: jobs on a tiny model, their numbers saved by the first rank."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from preflab import distributed
from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.models.adapters import AdapterConfig
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.rollouts.encode import encode_comparisons
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.generate import SamplingConfig, generate
from preflab.rollouts.score import logprob_rows, score_rows
from preflab.run import Run
from preflab.training.dpo import DPOConfig, DPOTraining
from preflab.training.optimiser import OptimiserConfig
from preflab.training.policy_gradient.ppo import PPO, PPOConfig
from preflab.training.policy_gradient.ptx import PtxConfig
from preflab.training.policy_gradient.task import PolicyTask
from preflab.training.policy_gradient.training import PolicyTraining
from preflab.training.preference import PreferenceConfig, PreferenceTraining
from preflab.training.sft import SFTConfig, SFTTraining

ADAM = OptimiserConfig(learning_rate=3e-3, schedule="constant", weight_decay=0.1)
WORDS = ["yes", "no, not at all", "it depends on the day", "ask me later", "why?", "a", "well then", "never mind it"]
COMPARISONS = [
    Comparison.chosen_rejected(Dialogue.of(f"question {i} " + i * "long "), WORDS[i % 8], WORDS[(3 * i + 1) % 8])
    for i in range(7)
]
PROMPTS = [Dialogue.of(text) for text in ("hi", "name a colour", "why?")]


def setting(adapters: AdapterConfig | None) -> tuple[Trunk, Encoder]:
    source = load_language_model("tiny", precision="fp32")
    return Trunk(source, adapters), Encoder(source.tokenizer, max_tokens=256)


def weights(role: Role) -> Tensor:
    return torch.cat([distributed.full_tensor(w).flatten() for _, w in sorted(role.state().items())])


def count_vowels(dialogues: Sequence[Dialogue]) -> Tensor:
    return torch.tensor([float(sum(ch in "aeiou" for ch in d.reply)) for d in dialogues])


def fit(kind: str, adapters: AdapterConfig | None) -> dict[str, Any]:
    """Four steps over seven comparisons, three at a time: the last batch has one, for two processes to share."""
    trunk, encoder = setting(adapters)
    encoded = encode_comparisons(encoder, COMPARISONS)
    role = trunk.add_role("r", head=kind == "preference")
    training: Any
    if kind == "preference":
        config = PreferenceConfig(batch_comparisons=3, epochs=2, max_tokens=64, optimiser=ADAM)
        training = PreferenceTraining(role, encoded.rows, encoded.comparisons, config, seed=1)
    elif kind == "dpo":
        dpo = DPOConfig(batch_comparisons=3, epochs=2, max_tokens=64, optimiser=ADAM)
        training = DPOTraining(role, trunk.reference(), encoded.rows, encoded.comparisons, dpo, seed=1)
    else:
        sft = SFTConfig(batch_rows=3, epochs=2, max_tokens=64, optimiser=ADAM)
        training = SFTTraining(role, encoded.rows, sft, seed=1)
    steps = [vars(step) for step in training]
    found = {"steps": steps, "weights": weights(role)}
    found["logprobs"] = torch.cat([lp for row in logprob_rows(role, encoded.rows, max_tokens=64) for lp in row])
    if kind == "preference":
        found["scores"] = torch.cat(score_rows(role, encoded.rows, max_tokens=64))
        value = trunk.add_role("value", head=True, start_from="r")
        found["copied"] = weights(value)
    prompts = [row.segments[0][-20:] for row in encoded.rows]
    greedy = generate(role, prompts, encoder, SamplingConfig(max_new_tokens=5, temperature=0))
    drawn = generate(
        role, prompts, encoder, SamplingConfig(max_new_tokens=5), n=2, rng=torch.Generator().manual_seed(3)
    )
    found["texts"] = [r.tokens for rs in (*greedy, *drawn) for r in rs]
    return found


def reinforce(adapters: AdapterConfig | None) -> dict[str, Any]:
    """PPO with pretraining and a moving average: a whole value model on full weights, a head on adapters."""
    trunk, encoder = setting(adapters)
    policy = trunk.add_role("policy")
    pm = trunk.add_role("pm", head=True)
    value = trunk.add_head("value", on="pm") if adapters else trunk.add_role("value", head=True, start_from="pm")
    assert isinstance(pm, Role)
    config = PPOConfig(
        steps=2,
        prompts_per_step=3,
        samples_per_prompt=2,
        epochs=2,
        minibatches=2,
        max_tokens=80,
        value_head_updates=3,
        ema_decay=0.5,
        ptx=PtxConfig(coefficient=0.5, ratio=1),
        sampling=SamplingConfig(max_new_tokens=6, temperature=0.9),
        policy=ADAM,
        value=ADAM,
    )
    text = [Row.of([5 + i], range(20, 26 + i)) for i in range(4)]
    task = PolicyTask(
        policy=policy,
        reference=trunk.reference(),
        scorer=count_vowels,
        prompts=PROMPTS,
        encoder=encoder,
        seed=1,
        pretraining=text,
    )
    training = PolicyTraining(task, PPO(config, value))
    steps = [
        {k: v for k, v in step.metrics.items() if "seconds" not in k} | {"texts": [r[1] for r in step.rollouts]}
        for step in training
    ]
    ema = torch.cat([distributed.full_tensor(w).flatten() for _, w in sorted(training.ema_state().items())])
    return {"steps": steps, "weights": torch.cat([weights(policy), weights(value)]), "ema": ema}


def resumed(folder: Path, adapters: AdapterConfig | None, *, die_after: int) -> None:
    """A run with a checkpoint after every step; the last rank kills itself after some of them (0: never)."""
    trunk, encoder = setting(adapters)
    encoded = encode_comparisons(encoder, COMPARISONS)
    role = trunk.add_role("r", head=True)
    config = PreferenceConfig(batch_comparisons=3, epochs=2, max_tokens=64, optimiser=ADAM)
    training = PreferenceTraining(role, encoded.rows, encoded.comparisons, config, seed=1)

    def work() -> dict[str, Any]:
        if (state := run.resume("fit")) is not None:
            training.load_state(state)
        for step in training:
            run.log("fit", **vars(step))
            run.checkpoint("fit", training.state)
            if step.step == die_after and distributed.rank() == distributed.world_size() - 1:
                os.kill(os.getpid(), signal.SIGKILL)
        run.save_weights("r", role.state())
        return {"steps": training.total_steps}

    with Run(folder, config, recipe="test", checkpoint_seconds=0.0, quiet=True) as run:
        run.stage("fit", work)


def main(job: str, where: str, *more: str) -> None:
    torch.set_num_threads(1)
    low = AdapterConfig(rank=2, alpha=4.0)
    with distributed.process_group(timeout_seconds=60):
        if job == "resume":
            resumed(Path(where), None if more[0] == "full" else low, die_after=int(more[1]))
            distributed.shutdown()
            return
        found = {
            "preference adapters": fit("preference", low),
            "preference full": fit("preference", None),
            "dpo full": fit("dpo", None),
            "sft adapters": fit("sft", low),
            "ppo adapters": reinforce(low),
            "ppo full": reinforce(None),
        }
        if distributed.is_rank_zero():
            torch.save(found, where)
        distributed.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
