"""One step of TRL's own PPOTrainer on given models and given replies. Run in an environment with TRL 1.12.0.

    python trl_ppo_step.py FOLDER

FOLDER holds ``policy``, ``reference``, ``value`` and ``scorer`` as saved models and ``job.json``: prompts and replies
as tokens, and settings. Nothing of preflab is imported; TRL's training loop runs as it is, but for the sampler, which
is replaced by the given replies, and for taps that note what passes by. Results: ``trl.safetensors``, ``trl.json``.
"""

import json
import sys
from pathlib import Path

import torch
from datasets import Dataset
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer

folder = Path(sys.argv[1])
job = json.loads((folder / "job.json").read_text())
tokenizer = AutoTokenizer.from_pretrained(folder / "policy", padding_side="left")
policy, reference = (AutoModelForCausalLM.from_pretrained(folder / n) for n in ("policy", "reference"))
value, scorer = (AutoModelForSequenceClassification.from_pretrained(folder / n) for n in ("value", "scorer"))
prompts, replies = job["prompts"], job["replies"]  # one reply a prompt; prompts differ
length = max(map(len, replies))
found: dict[str, torch.Tensor] = {}
numbers: dict[str, list[float]] = {"policy_loss": [], "value_loss": []}
order: list[int] = []


def given_replies(model, queries, batch, pad, settings):  # type: ignore[no-untyped-def]
    """In place of sampling: the given replies padded on the right, and their logits as generate returns them."""
    order[:] = [prompts.index([t for t in q.tolist() if t != pad]) for q in queries]
    rows = [replies[i] + [pad] * (length - len(replies[i])) for i in order]
    together = torch.cat([queries, torch.tensor(rows)], dim=1)
    logits = ppo_trainer.forward(model, together, pad).logits[:, queries.shape[1] - 1 : -1]
    return together, logits / settings.temperature


def tapped_whiten(values, mask, shift_mean=True):  # type: ignore[no-untyped-def]
    """Advantages before and after whitening."""
    out = whiten(values, mask, shift_mean)
    if shift_mean:
        found.update({"advantages_raw": values, "advantages": out, "counts": mask})
    return out


def tapped_mean(values, mask, axis=None):  # type: ignore[no-untyped-def]
    """Of the means of an update, those with a gradient: of the value loss (to be halved), then of the policy loss."""
    out = mean(values, mask, axis)
    if out.requires_grad:
        first = len(numbers["value_loss"]) == len(numbers["policy_loss"])
        numbers["value_loss" if first else "policy_loss"].append(float(out.detach()) * (0.5 if first else 1.0))
    return out


def tapped_softmax(logits, index):  # type: ignore[no-untyped-def]
    """Log-probabilities: first the policy's, then the reference's, then those of each update."""
    out = softmax(logits, index)
    name = next((n for n in ("logp", "ref_logp") if n not in found), "logp_new")
    found[name] = out
    return out


def tapped_reward(model, *arguments):  # type: ignore[no-untyped-def]
    """Values and scores."""
    out = reward(model, *arguments)
    if model is scorer:
        found["scores"] = out[1]
    else:
        found["values"] = out[0][:, arguments[2] - 1 : -1].squeeze(-1)
    return out


class Plain(torch.optim.SGD):
    """Gradient descent that notes its first gradients."""

    def step(self, closure=None):  # type: ignore[no-untyped-def]
        """Note, then descend."""
        for part, module in (("policy", policy), ("value", value)):
            for name, weight in module.named_parameters():
                if weight.grad is not None:
                    found.setdefault(f"{part}_gradient/{name}", weight.grad.clone())
        return super().step(closure)


whiten, mean = ppo_trainer.masked_whiten, ppo_trainer.masked_mean
softmax, reward = ppo_trainer.selective_log_softmax, ppo_trainer.get_reward
ppo_trainer.batch_generation = given_replies
ppo_trainer.masked_whiten, ppo_trainer.masked_mean = tapped_whiten, tapped_mean
ppo_trainer.selective_log_softmax, ppo_trainer.get_reward = tapped_softmax, tapped_reward
settings = PPOConfig(
    output_dir=str(folder / "out"),
    per_device_train_batch_size=len(prompts),
    gradient_accumulation_steps=1,
    num_mini_batches=1,
    num_ppo_epochs=job["epochs"],
    total_episodes=len(prompts),
    local_rollout_forward_batch_size=len(prompts),
    num_sample_generations=0,
    response_length=length,
    stop_token="eos",
    temperature=job["temperature"],
    missing_eos_penalty=job["missing_eos_penalty"],
    kl_coef=job["kl_coefficient"],
    lam=job["gae_lambda"],
    whiten_rewards=job["whiten_rewards"],
    vf_coef=job["value_weight"],
    max_grad_norm=None,
    bf16=False,
    report_to=[],
    save_strategy="no",
    use_cpu=True,
    disable_tqdm=True,
)
weights = [*policy.parameters(), *value.parameters()]
sgd = Plain(weights, lr=job["learning_rate"])
trainer = PPOTrainer(
    settings,
    tokenizer,
    policy,
    reference,
    scorer,
    Dataset.from_list([{"input_ids": p} for p in prompts]),
    value,
    optimizers=(sgd, torch.optim.lr_scheduler.LambdaLR(sgd, lambda _: 1.0)),
)
logged: dict[str, float] = {}
trainer.log = logged.update
trainer.train()
back = torch.tensor([order.index(i) for i in range(len(prompts))])
shaped = {k: v.detach()[back] if "gradient" not in k else v for k, v in found.items()}
save_file({k: v.contiguous() for k, v in shaped.items()}, folder / "trl.safetensors")
(folder / "trl.json").write_text(json.dumps({"logged": logged, **numbers}))
