"""A PPO step against TRL 1.12.0's PPOTrainer, the last TRL that has PPO: 16 prompts, 64 tokens a reply.

Four full models on both sides (policy, reference, value, preference model), the same weights, prompts and settings;
the policy is nudged off the reference, so that the KL is not nothing. Before the race both measure the same given
replies: log-ratios and whitened advantages of every token must agree. Nobody ends a reply early. TRL without bf16 and
checkpointing, whole batch in a forward pass. The step is split into sampling and the rest.

    python -m benchmarks.ppo --hh hh_harmless_base.jsonl.gz --epochs 1 4
"""

import argparse
import copy
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from benchmarks.common import DTYPES, arguments, machine, prepare, race, report, say
from benchmarks.trl_trainers import language_model_like, scorer_like
from benchmarks.workload import load_items, load_model, source_of, word_tokenizer
from preflab.data.dialogue import Dialogue
from preflab.models.roles import Role, Trunk
from preflab.models.row_attention.row_support import body_of
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.generate import Rollout, SamplingConfig
from preflab.rollouts.score import PreferenceScorer
from preflab.training.optimiser import OptimiserConfig
from preflab.training.policy_gradient.ppo import PPO, PPOConfig
from preflab.training.policy_gradient.task import PolicyTask
from preflab.training.policy_gradient.training import PolicyTraining

OURS, PEER = "preflab", "trl"


@dataclass(frozen=True)
class Setting:
    """What both sides start from."""

    model: PreTrainedModel
    policy: PreTrainedModel
    """The model with its weights nudged."""
    heads: dict[str, Tensor]
    """Of the value model and the preference model."""
    prompts: list[tuple[int, ...]]
    replies: list[tuple[int, ...]]
    """Given ones, for the check."""
    options: argparse.Namespace


def setting_of(options: argparse.Namespace) -> Setting:
    """Weights, prompts of at most ``--prompt-tokens``, and replies of random words."""
    model = load_model(options.shape, seed=options.seed, device=options.device)
    vocab, generator = model.config.vocab_size, torch.Generator().manual_seed(options.seed)
    policy = copy.deepcopy(model)
    with torch.no_grad():
        for weight in policy.parameters():
            weight.add_((0.002 * torch.randn(weight.shape, generator=generator)).to(weight.device))
    hidden = model.config.hidden_size
    heads = {name: torch.randn(1, hidden, generator=generator) / hidden**0.5 for name in ("value", "pm")}
    pool = load_items(options.hh, n=20 * options.prompts, vocab=vocab, seed=options.seed)
    fitting = list(dict.fromkeys(i.prefix for i in pool if len(i.prefix) <= options.prompt_tokens))
    rng = random.Random(options.seed)
    replies = [tuple(rng.randrange(vocab - 2) for _ in range(options.tokens)) for _ in range(options.prompts)]
    return Setting(model, policy, heads, fitting[: options.prompts], replies, options)


def our_training(setting: Setting, *, epochs: int) -> PolicyTraining:
    """Four full models behind roles, ready to take one step."""
    options = setting.options
    trunk = Trunk(source_of(copy.deepcopy(setting.model).to(DTYPES[options.dtype]), options.shape), None)
    policy, value, pm = (trunk.add_role(name, head=name != "policy") for name in ("policy", "value", "pm"))
    policy.load_state({k: v.float() for k, v in setting.policy.named_parameters()})
    with torch.no_grad():
        value.head.weight.copy_(setting.heads["value"])
        pm.head.weight.copy_(setting.heads["pm"])
    encoder = Encoder(trunk.source.tokenizer, max_tokens=4096)
    encoder.stop_ids = ()  # every reply runs to its full length
    rate = OptimiserConfig(learning_rate=3e-6, betas=(0.9, 0.999), schedule="constant")
    config = PPOConfig(
        steps=1,
        prompts_per_step=len(setting.prompts),
        epochs=epochs,
        minibatches=1,
        missing_eos_penalty=0.0,
        max_tokens=options.max_tokens,
        sampling=SamplingConfig(max_new_tokens=options.tokens, max_batch=len(setting.prompts)),
        policy=rate,
        value=rate,
    )
    prompts = [Dialogue.of(" ".join(f"w{i}" for i in prompt)) for prompt in setting.prompts]
    scorer = PreferenceScorer(pm, encoder, max_tokens=options.max_tokens)
    task = PolicyTask(
        policy=policy,
        reference=trunk.reference(),
        scorer=scorer,
        prompts=prompts,
        encoder=encoder,
        seed=options.seed,
    )
    return PolicyTraining(task, PPO(config, value))


def ours(setting: Setting, *, epochs: int) -> Callable[[], Callable[[], Mapping[str, float]]]:
    """The contestant of this repository."""

    def set_up() -> Callable[[], Mapping[str, float]]:
        training = our_training(setting, epochs=epochs)
        trunk = training.task.policy.trunk
        bodies = [body_of(trunk.model)]
        for name in trunk.names:
            with trunk.activate(name) as backbone:
                bodies.append(body_of(backbone.model))

        def run() -> Mapping[str, float]:
            with TokenCount(bodies) as count:
                (step,) = training
            return _split(step.metrics["sampling_seconds"], step.metrics["seconds"], count.tokens)

        return run

    return set_up


def _split(sampling: float, step: float, tokens: int) -> dict[str, float]:
    return {"sampling_seconds": sampling, "other_seconds": step - sampling, "tokens": tokens}


class TokenCount:
    """Counts the tokens that run through some transformer bodies, padding included."""

    def __init__(self, bodies: Sequence[Any]) -> None:
        self.bodies, self.tokens, self._stack = bodies, 0, ExitStack()

    def __enter__(self) -> "TokenCount":
        for body in self.bodies:
            hook = body.register_forward_pre_hook(self._note, with_kwargs=True)
            self._stack.callback(hook.remove)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _note(self, _body: Any, arguments_: tuple[Any, ...], named: dict[str, Any]) -> None:
        ids = named.get("input_ids")
        ids = named.get("inputs_embeds") if ids is None else ids
        self.tokens += int(ids.shape[0] * ids.shape[1]) if ids is not None else arguments_[0].numel()


def trl_trainer(setting: Setting, *, epochs: int) -> tuple[Any, list[Any]]:
    """TRL's trainer with four models of its own, and their bodies."""
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl.experimental.ppo import PPOConfig as TrlConfig
    from trl.experimental.ppo import PPOTrainer

    options = setting.options
    tokenizer = word_tokenizer(setting.model.config.vocab_size)
    tokenizer.padding_side = "left"
    policy, reference = language_model_like(setting.policy), language_model_like(setting.model)
    value, pm = (scorer_like(setting.model, setting.heads[name]) for name in ("value", "pm"))
    n = len(setting.prompts)
    settings = TrlConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=n,
        gradient_accumulation_steps=1,
        num_mini_batches=1,
        num_ppo_epochs=epochs,
        total_episodes=n,
        local_rollout_forward_batch_size=n,
        num_sample_generations=0,
        response_length=options.tokens,
        temperature=1.0,
        kl_coef=0.05,
        learning_rate=3e-6,
        bf16=options.dtype == "bf16",
        gradient_checkpointing=False,
        report_to=[],
        save_strategy="no",
        use_cpu=options.device == "cpu",
        disable_tqdm=True,
        seed=options.seed,
    )
    data = Dataset.from_list([{"input_ids": list(prompt)} for prompt in setting.prompts])
    trainer = PPOTrainer(settings, tokenizer, policy, reference, pm, data, value, eval_dataset=data)
    trainer.remove_callback(PrinterCallback)
    return trainer, [m.base_model for m in (policy, reference, value, pm)]


def trl(setting: Setting, *, epochs: int) -> Callable[[], Callable[[], Mapping[str, float]]]:
    """The peer; its sampling is timed where its own loop calls it."""
    from trl.experimental.ppo import ppo_trainer

    sample = ppo_trainer.batch_generation

    def set_up() -> Callable[[], Mapping[str, float]]:
        trainer, bodies = trl_trainer(setting, epochs=epochs)
        spent = [0.0]

        def timed(*arguments_: Any) -> Any:
            started = time.perf_counter()
            replies = sample(*arguments_)
            spent[0] += time.perf_counter() - started
            return replies

        def run() -> Mapping[str, float]:
            started = time.perf_counter()
            ppo_trainer.batch_generation = timed
            try:
                with TokenCount(bodies) as count:
                    trainer.train()
            finally:
                ppo_trainer.batch_generation = sample
            return _split(spent[0], time.perf_counter() - started, count.tokens)

        return run

    return set_up


def check(setting: Setting) -> dict[str, float]:
    """Largest differences in log-ratio and whitened advantage over every token of the given replies."""
    from trl.experimental.ppo import ppo_trainer

    training = our_training(setting, epochs=1)
    rollouts = [[Rollout(p, r, (0.0,) * len(r), False)] for p, r in zip(setting.prompts, setting.replies, strict=True)]
    trainer, _ = trl_trainer(setting, epochs=1)
    order: list[int] = []
    tapped: dict[str, Tensor] = {}

    def given_replies(model: Any, queries: Tensor, _batch: int, pad: int, _settings: Any) -> tuple[Tensor, Tensor]:
        order[:] = [setting.prompts.index(tuple(t for t in q if t != pad)) for q in queries.tolist()]
        sequences = torch.cat(
            [queries, torch.tensor([setting.replies[i] for i in order], device=queries.device)], dim=1
        )
        return sequences, ppo_trainer.forward(model, sequences, pad).logits[:, queries.shape[1] - 1 : -1]

    names = iter(("logp", "ref_logp"))

    def softmax(logits: Tensor, index: Tensor) -> Tensor:
        tapped[next(names, "later")] = log_probs = trl_softmax(logits, index)
        return log_probs

    def whiten(values: Tensor, mask: Tensor, shift_mean: bool = True) -> Tensor:
        tapped["advantages"] = whitened = trl_whiten(values, mask, shift_mean)
        return whitened

    def reward(model: Any, *arguments_: Any) -> Any:
        rewards = trl_reward(model, *arguments_)
        tapped["scores"] = rewards[1]  # the preference model comes last
        return rewards

    taps = {"batch_generation": given_replies, "selective_log_softmax": softmax, "masked_whiten": whiten}
    taps["get_reward"] = reward
    before = {name: getattr(ppo_trainer, name) for name in taps}
    trl_softmax, trl_whiten, trl_reward = (before[k] for k in ("selective_log_softmax", "masked_whiten", "get_reward"))
    try:
        for name, tap in taps.items():
            setattr(ppo_trainer, name, tap)
        trainer.train()
    finally:
        for name, function in before.items():
            setattr(ppo_trainer, name, function)
    back = torch.tensor([order.index(i) for i in range(len(order))], device=tapped["logp"].device)
    trl_numbers = {name: tensor.detach()[back].float().cpu() for name, tensor in tapped.items()}
    batch, advantages, _ = training.evaluate_rollouts(rollouts, trl_numbers["scores"], [[list(range(len(rollouts)))]])
    assert batch.ref_logp is not None
    n = trl_numbers["logp"].numel()
    bessel = ((n - 1) / n) ** 0.5  # TRL whitens by the sample's deviation
    pairs = {
        "log_ratio": (batch.logp - batch.ref_logp, trl_numbers["logp"] - trl_numbers["ref_logp"]),
        "advantage": (advantages.advantages * bessel, trl_numbers["advantages"]),
        "score": (_scores(training.task.scorer, setting), trl_numbers["scores"]),
    }
    return {f"{name}_gap": float((ours_.cpu() - peer).abs().max()) for name, (ours_, peer) in pairs.items()}


def _scores(scorer: Any, setting: Setting) -> Tensor:
    """Our preference model at the last token of each given reply, as TRL reads it."""
    from preflab.data.rows import Row
    from preflab.rollouts.score import score_rows

    role: Role = scorer.role
    return torch.cat(score_rows(role, [Row.of(p, r) for p, r in zip(setting.prompts, setting.replies, strict=True)]))


def main() -> None:
    """Check, then race at each number of epochs."""
    assert __doc__
    parser = arguments(__doc__.splitlines()[0], max_tokens=16_384)
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 4], help="passes over each batch of replies")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--prompt-tokens", type=int, default=256, help="longest prompt")
    parser.add_argument("--tokens", type=int, default=64, help="of every reply")
    options = parser.parse_args()
    prepare(options)
    setting = setting_of(options)
    gaps = check(setting)
    tolerance = 1e-4 if options.dtype == "fp32" else 0.2
    if not max(gaps.values()) <= tolerance:
        raise SystemExit(f"the two do not measure the same: {gaps}")
    for epochs in options.epochs:
        contestants = {PEER: trl(setting, epochs=epochs), OURS: ours(setting, epochs=epochs)}
        timings = race(contestants, repeats=options.repeats, device=options.device)
        facts = {"shape": options.shape, "dtype": options.dtype, "device": options.device, "epochs": epochs, **gaps}
        prompt_tokens = sum(map(len, setting.prompts))
        report("ppo", timings, ours=OURS, prompt_tokens=prompt_tokens, reply_tokens=options.tokens, **facts)
    say(machine=machine(options.device))


if __name__ == "__main__":
    main()
