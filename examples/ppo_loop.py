"""PPO on comparisons, flat: load, fit a preference model, then sample, score, estimate advantages, update, print.

    OMP_NUM_THREADS=1 python examples/ppo_loop.py                       # a random two-layer model: seconds on a CPU
    python examples/ppo_loop.py --policy smollm2 --learning-rate 2e-4   # a real one

The method is that of Stiennon et al. 2020 and Ouyang et al. 2022. The library gives encoder, roles, sampler, formulas.
The loop stands here, to be read and changed. Left out, and in ``preflab.training.policy_gradient``: resuming, passes
split by ``max_tokens``, schedules, value clip, PPO-ptx, KL limits. ``preflab align`` adds a held-out preference model.

Axes: sample = one reply; token = a position in a reply, padded right; item = a sampled token, all samples end to end.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from preflab.data.dialogue import Dialogue
from preflab.data.load import load_comparisons
from preflab.data.prompts import distinct_prompts
from preflab.data.rows import Row, collate
from preflab.interfaces import Scorer
from preflab.maths.policy import masked_whiten, ppo_policy_loss, value_loss
from preflab.maths.returns import gae, token_rewards
from preflab.models.adapters import AdapterConfig
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.rollouts.encode import encode_comparisons
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.generate import SamplingConfig, generate
from preflab.rollouts.score import PreferenceScorer
from preflab.training.optimiser import Optimiser, OptimiserConfig
from preflab.training.preference import PreferenceConfig, PreferenceTraining


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Defaults are for the random two-layer model."""

    steps: int = 20
    prompts_per_step: int = 16
    samples_per_prompt: int = 8
    epochs: int = 2  # passes over each batch of rollouts
    minibatches: int = 2
    learning_rate: float = 3e-3  # of every model
    kl_coefficient: float = 0.02
    missing_eos_penalty: float = 0.0
    clip: float = 0.2
    gae_lambda: float = 0.95
    new_tokens: int = 12
    seed: int = 0


def ppo_loop(
    policy: Role, reference: Role, value: Role, scorer: Scorer, prompts: list[Dialogue], encoder: Encoder, s: Settings
) -> Iterator[dict[str, float]]:
    """The whole of PPO. Yields each step's means: ``score`` and ``reward`` [nats], ``kl`` [nats per reply], losses."""
    device, updates = policy.device, s.steps * s.epochs * s.minibatches
    adam = OptimiserConfig(learning_rate=s.learning_rate, schedule="constant")
    policy_optimiser = Optimiser(policy.weights(), adam, total_steps=updates)
    value_optimiser = Optimiser(value.weights(), adam, total_steps=updates)
    sampling = SamplingConfig(max_new_tokens=s.new_tokens)
    rng = torch.Generator().manual_seed(s.seed)

    for step in range(1, s.steps + 1):
        # 1. Sample several replies to each prompt, with the policy as it is now. A prompt and its replies are a row.
        batch = [prompts[i] for i in torch.randperm(len(prompts), generator=rng)[: s.prompts_per_step].tolist()]
        tokens = [encoder.prompt(prompt) for prompt in batch]
        rollouts = generate(policy, tokens, encoder, sampling, n=s.samples_per_prompt, rng=rng)
        replies = [reply for samples in rollouts for reply in samples]
        rows = [Row.of(samples[0].prompt, *(reply.tokens for reply in samples)) for samples in rollouts]
        lengths = torch.tensor([len(reply.tokens) for reply in replies])  # [sample]
        mask = (torch.arange(int(lengths.max())) < lengths[:, None]).to(device)  # [sample token], True = sampled

        # 2. Score each reply with one number in nats. A reply that was cut off pays a penalty.
        reply_prompts = [prompt for prompt in batch for _ in range(s.samples_per_prompt)]
        texts = [encoder.text(reply.tokens) for reply in replies]
        scores = scorer([p.with_reply(text) for p, text in zip(reply_prompts, texts, strict=True)]).to(device)
        cut_off = torch.tensor([not reply.finished for reply in replies], device=device)  # [sample]
        final_rewards = scores - s.missing_eos_penalty * cut_off.float()

        # 3. Log-probability under policy and reference, and value, of every sampled token.
        logp, ref_logp, values = torch.zeros(3, *mask.shape, device=device)  # each [sample token]
        with torch.no_grad():
            all_rows = collate(rows)
            logp[mask] = policy.logprobs(all_rows)[0].float()  # items fill the grid in its own order
            ref_logp[mask] = reference.logprobs(all_rows)[0].float()
            values[mask] = value.values(all_rows).float()

        # 4. Rewards: minus the KL penalty at every token, plus the score at the last one. Advantages by GAE.
        rewards = token_rewards(logp, ref_logp, final_rewards, mask, s.kl_coefficient)
        advantages, returns = gae(rewards, values, mask, discount=1.0, trace=s.gae_lambda)
        advantages = masked_whiten(advantages, mask)

        # 5. Update policy and value model: several epochs over the batch, in minibatches of prompts.
        for _ in range(s.epochs):
            for part in torch.randperm(len(rows), generator=rng).tensor_split(s.minibatches):
                n = s.samples_per_prompt
                samples = (part[:, None] * n + torch.arange(n)).flatten().to(device)  # of these prompts, in row order
                items = mask[samples]
                some_rows = collate([rows[i] for i in part.tolist()])
                new_logp, _ = policy.logprobs(some_rows)  # [item]
                policy_losses = ppo_policy_loss(new_logp, logp[samples][items], advantages[samples][items], clip=s.clip)
                policy_losses.mean().backward()
                policy_optimiser.step()
                new_values = value.values(some_rows)  # [item]
                value_losses = value_loss(new_values, values[samples][items], returns[samples][items], clip=None)
                value_losses.mean().backward()
                value_optimiser.step()

        kl = ((logp - ref_logp) * mask).sum(-1)  # [sample], nats per reply
        metrics = {"score": scores, "reward": rewards.sum(-1), "kl": kl}
        metrics |= {"policy_loss": policy_losses.detach(), "value_loss": value_losses.detach()}  # of the last minibatch
        yield {"step": float(step)} | {name: float(numbers.mean()) for name, numbers in metrics.items()}


def main() -> None:
    """Load, fit, run PPO, print."""
    parser = argparse.ArgumentParser(description="PPO on comparisons in one flat file.")
    parser.add_argument("--policy", default="tiny", help="tiny, smollm2, a folder, a .gguf file, or a hub id")
    parser.add_argument("--comparisons", default="starter", help="starter, a file or folder, or a hub data set")
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--learning-rate", type=float, default=Settings.learning_rate)
    args = parser.parse_args()
    settings = Settings(steps=args.steps, learning_rate=args.learning_rate)

    # One trunk; each role is an adapter on it (a copy of the tiny one). The reference is the trunk as it was loaded.
    model = load_language_model(args.policy)
    encoder = Encoder(model.tokenizer, max_tokens=min(512, model.context_tokens))
    adapters = None if args.policy == "tiny" else AdapterConfig(rank=8, alpha=16.0)
    trunk = Trunk(model, adapters, seed=settings.seed)
    policy, preference_model = trunk.add_role("policy"), trunk.add_role("pm", head=True)

    # Fit the preference model: -log sigmoid(score of the better reply - score of the worse one).
    data = encode_comparisons(encoder, load_comparisons(args.comparisons, limit=400).comparisons)
    fit = PreferenceConfig(batch_comparisons=16, optimiser=OptimiserConfig(learning_rate=settings.learning_rate))
    for fit_step in PreferenceTraining(preference_model, data.rows, data.comparisons, fit, seed=settings.seed):
        print(f"fit {fit_step.step:3d}  loss {fit_step.loss:.3f} nats  accuracy {fit_step.accuracy:.2f}")

    value = trunk.add_role("value", head=True, start_from="pm")  # Stiennon et al. 2020, sec. 3.4
    scorer = PreferenceScorer(preference_model, encoder)
    room = encoder.max_tokens - settings.new_tokens
    prompts = [p for p in distinct_prompts(data.comparisons) if len(encoder.prompt(p)) <= room]
    for metrics in ppo_loop(policy, trunk.reference(), value, scorer, prompts, encoder, settings):
        print("  ".join(f"{name} {number:.4g}" for name, number in metrics.items()))


if __name__ == "__main__":
    main()
