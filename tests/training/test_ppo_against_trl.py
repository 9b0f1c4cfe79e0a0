"""The same fixed replies through TRL 1.12.0's own PPO training loop and through ours.

Needs an environment with TRL: set PREFLAB_TRL_PYTHON to its python. TRL's loop runs unchanged in a process of its own
(``trl_ppo_step.py``) on the same weights. Where the two define the same thing, they agree: log-probabilities, KL,
scores, advantages, losses and gradients. By definition they differ in this:

- TRL whitens with the sample variance (n - 1), we with the population's (papers/02 sec. 3.3): one factor.
- TRL puts the score of a reply that ended early one position *behind* its end token, reads a value there and trains it
  (``padding_mask_p1``); we put it at the end token, as papers/02 sec. 3.2 says. With lambda 1 the advantages agree all
  the same, with a smaller lambda only for replies of full length; the value losses only for those.
- TRL divides logits by temperature + 1e-7.
- TRL trains both networks with one optimiser on ``policy loss + vf_coef * value loss``; we with two. The gradients
  agree up to vf_coef.
- TRL reads a reply that never ends at its last token; a ``PreferenceScorer`` closes it first. Scores are given here.
- TRL samples every reply to its full length and cuts afterwards; pad == eos shifts its masks. Both tokens differ here.
"""

import json
import os
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.maths.returns import gae, token_rewards
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.models.save import save_policy, save_preference_model
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.generate import Rollout, SamplingConfig
from preflab.rollouts.score import score_rows
from preflab.training.policy_gradient.ppo import PPO, PPOConfig
from preflab.training.policy_gradient.task import PolicyTask
from preflab.training.policy_gradient.training import PolicyTraining

TRL = os.environ.get("PREFLAB_TRL_PYTHON", "")
pytestmark = pytest.mark.skipif(not TRL, reason="set PREFLAB_TRL_PYTHON to a python that has TRL 1.12.0")
SCRIPT = Path(__file__).with_name("trl_ppo_step.py")
PROMPTS = [Dialogue.of(t) for t in ("hi", "a colour", "why?", "sing", "one and one", "so?", "where to", "now")]
FULL = [(70, 71, 72, 1), (80, 81, 82, 83), (90, 91, 92, 1), (75, 74, 73, 72), (99, 98, 97, 1), (66, 67, 68, 69)]
FULL += [(101, 102, 103, 1), (104, 105, 106, 107)]
N_FULL = 4 * len(FULL)
UNEVEN = [(70, 71, 72, 1), (80, 1), (90, 91, 1), (75, 74, 73, 72), (1,), (66, 67, 68, 69), (101, 1), (104, 105, 106, 1)]
JOB: dict[str, Any] = {
    "temperature": 0.8,
    "missing_eos_penalty": 0.7,
    "kl_coefficient": 0.3,
    "gae_lambda": 0.95,
    "whiten_rewards": False,
    "value_weight": 0.5,
    "learning_rate": 0.05,
    "epochs": 2,
}


def nudged(role: Role, seed: int) -> Role:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in role.weights().values():
            weight.add_(0.02 * torch.randn(weight.shape, generator=generator))
    return role


class Ours:
    """Our run on full weights of the tiny model, with plain gradient descent in place of Adam."""

    def __init__(self, replies: list[tuple[int, ...]], job: dict[str, Any]) -> None:
        source = load_language_model("tiny", precision="fp32")
        self.trunk = Trunk(source, None)
        self.encoder = Encoder(source.tokenizer, max_tokens=128)
        self.roles = {name: nudged(self.trunk.add_role(name, head=name != "policy"), i) for i, name in enumerate(NAMES)}
        config = PPOConfig(
            prompts_per_step=len(PROMPTS),
            epochs=job["epochs"],
            minibatches=1,
            kl_coefficient=job["kl_coefficient"],
            missing_eos_penalty=job["missing_eos_penalty"],
            gae_lambda=job["gae_lambda"],
            whiten_rewards=job["whiten_rewards"],
            sampling=SamplingConfig(max_new_tokens=4, temperature=job["temperature"]),
        )
        policy, value = self.roles["policy"], self.roles["value"]
        prompts = [self.encoder.prompt(p) for p in PROMPTS]
        rollouts = [[Rollout(p, r, (-1.0,) * len(r), r[-1] == 1)] for p, r in zip(prompts, replies, strict=True)]
        rows = [Row.of(p, r) for p, r in zip(prompts, replies, strict=True)]
        self.scores = torch.cat(score_rows(self.roles["scorer"], rows))
        self.saved = {"prompts": [list(p) for p in prompts], "replies": [list(r) for r in replies], **job}
        task = PolicyTask(
            policy=policy,
            reference=self.trunk.reference(),
            scorer=lambda _: self.scores,
            prompts=PROMPTS,
            encoder=self.encoder,
            seed=0,
        )
        self.method = PPO(config, value)
        self.training = PolicyTraining(task, self.method)
        self.gradients: dict[str, Tensor] = {}
        plan = [[list(range(len(PROMPTS)))]] * job["epochs"]
        self.batch, self.advantages, self.metrics = self.training.evaluate_rollouts(rollouts, self.scores, plan)

        def descend(part: str, role: Role, rate: float) -> dict[str, float]:
            for name, weight in role.weights().items():
                if weight.grad is not None:
                    self.gradients.setdefault(f"{part}_gradient/{name}", weight.grad.clone())
                    weight.data -= rate * weight.grad
                    weight.grad = None
            return {"gradient_norm": 0.0, "learning_rate": rate}

        rate = job["learning_rate"]
        self.training.update.optimiser.step = partial(descend, "policy", policy, rate)  # type: ignore[method-assign]
        own = partial(descend, "value", value, rate * job["value_weight"])
        self.method.value_fit.optimiser.step = own  # type: ignore[method-assign]

    def update(self) -> list[dict[str, float]]:
        """Losses of each epoch."""
        rows = list(range(len(PROMPTS)))
        passes = [self.batch.cached, *[None] * (self.method.epochs - 1)]
        update = self.training.update
        return [update.minibatch(self.batch, self.advantages, rows, 0, cached=cached) for cached in passes]


NAMES = ("policy", "value", "scorer")


def by_trl(ours: Ours, folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Save the models, run TRL's step on them, read back what passed by."""
    pad = ours.encoder.pad_id
    save_policy(ours.roles["policy"], folder / "policy")
    ours.trunk.source.model.save_pretrained(folder / "reference")
    for name in ("value", "scorer"):
        save_preference_model(ours.roles[name], folder / name, pad_id=pad)
    (folder / "job.json").write_text(json.dumps(ours.saved))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [TRL, str(SCRIPT), str(folder)], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return load_file(folder / "trl.safetensors"), json.loads((folder / "trl.json").read_text())


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_replies_of_full_length_give_the_same_numbers_throughout(tmp_path: Path) -> None:
    ours = Ours(FULL, JOB)
    theirs, numbers = by_trl(ours, tmp_path)
    batch, advantages, bessel = ours.batch, ours.advantages, ((N_FULL - 1) / N_FULL) ** 0.5
    assert batch.ref_logp is not None
    assert advantages.targets is not None
    close(batch.logp, theirs["logp"])
    close(batch.ref_logp, theirs["ref_logp"])
    close(batch.scores, theirs["scores"])
    close(advantages.targets.old, theirs["values"])
    assert ours.metrics["kl"] == pytest.approx(numbers["logged"]["objective/kl"], abs=1e-5)
    assert ours.metrics["reward"] == pytest.approx(numbers["logged"]["objective/rlhf_reward"], abs=1e-5)
    close(advantages.targets.returns - advantages.targets.old, theirs["advantages_raw"])
    close(advantages.advantages * bessel, theirs["advantages"])
    advantages.advantages.mul_(bessel)
    epochs = ours.update()
    assert epochs[1]["clip_fraction"] > 0  # the second epoch's ratios are off one
    for name in ("policy_loss", "value_loss"):
        assert [own[name] for own in epochs] == pytest.approx(numbers[name], abs=1e-5), name
    assert len(ours.gradients) > 40
    for name, gradient in ours.gradients.items():
        weight = JOB["value_weight"] if name.startswith("value") else 1.0
        wanted = theirs[name.replace("head.weight", "score.weight")]
        torch.testing.assert_close(gradient * weight, wanted, rtol=1e-4, atol=1e-5)


def test_whitened_rewards_differ_by_the_sample_variance_alone(tmp_path: Path) -> None:
    ours = Ours(FULL, JOB | {"whiten_rewards": True})
    theirs, _ = by_trl(ours, tmp_path)
    batch = ours.batch
    assert batch.ref_logp is not None
    assert ours.advantages.targets is not None
    final = batch.scores - 0.7 * (~batch.finished).float()
    rewards = token_rewards(batch.logp, batch.ref_logp, final, batch.mask, 0.3)
    bessel = ((N_FULL - 1) / N_FULL) ** 0.5
    for factor, wanted in (
        (1.0, ours.advantages.targets.returns),
        (bessel, theirs["advantages_raw"] + theirs["values"]),
    ):
        white = (rewards - rewards.mean()) / rewards.std(correction=0) * factor + rewards.mean()
        returns = gae(white, ours.advantages.targets.old, batch.mask, discount=1.0, trace=0.95)[1]
        close(returns, wanted)


def test_replies_that_end_early_give_the_same_advantages_and_policy_loss_at_lambda_one(tmp_path: Path) -> None:
    ours = Ours(UNEVEN, JOB | {"gae_lambda": 1.0})
    theirs, numbers = by_trl(ours, tmp_path)
    mask, n = ours.batch.mask, sum(map(len, UNEVEN))
    assert torch.equal(mask, theirs["counts"])
    assert ours.advantages.targets is not None
    close(ours.batch.logp[mask], theirs["logp"][mask])
    close((ours.advantages.targets.returns - ours.advantages.targets.old)[mask], theirs["advantages_raw"][mask])
    bessel = ((n - 1) / n) ** 0.5
    close(ours.advantages.advantages[mask] * bessel, theirs["advantages"][mask])
    ours.advantages.advantages.mul_(bessel)
    assert ours.metrics["kl"] == pytest.approx(numbers["logged"]["objective/kl"], abs=1e-5)
    assert ours.update()[0]["policy_loss"] == pytest.approx(numbers["policy_loss"][0], abs=1e-5)
