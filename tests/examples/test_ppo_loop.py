"""The teaching file runs, learns, stays short, and does what the full trainer does."""

import importlib.util
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from preflab.data.dialogue import Dialogue
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.generate import Rollout, SamplingConfig
from preflab.training.optimiser import OptimiserConfig
from preflab.training.policy_gradient.ppo import PPO, PPOConfig
from preflab.training.policy_gradient.task import PolicyTask
from preflab.training.policy_gradient.training import PolicyTraining

FILE = Path(__file__).parents[2] / "examples" / "ppo_loop.py"
PROMPTS = [Dialogue.of(text) for text in ("hi", "name a colour", "why?", "sing a song")]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ppo_loop", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def count_vowels(dialogues: Sequence[Dialogue]) -> Tensor:
    """A reward that anyone can check: vowels in the reply."""
    return torch.tensor([float(sum(letter in "aeiou" for letter in dialogue.reply)) for dialogue in dialogues])


class Parts:
    """The tiny model as policy, reference and value model."""

    def __init__(self) -> None:
        model = load_language_model("tiny", precision="fp32", device="cpu")
        self.encoder, trunk = Encoder(model.tokenizer, max_tokens=128), Trunk(model, None, seed=0)
        self.policy, self.value = trunk.add_role("policy"), trunk.add_role("value", head=True)
        self.reference = trunk.reference()


def test_it_fits_in_150_lines() -> None:
    assert len(FILE.read_text(encoding="utf-8").splitlines()) <= 150


def test_the_score_rises_under_a_known_reward(example: ModuleType) -> None:
    parts = Parts()
    settings = example.Settings(steps=8, prompts_per_step=4, learning_rate=1e-2)
    steps = list(
        example.ppo_loop(parts.policy, parts.reference, parts.value, count_vowels, PROMPTS, parts.encoder, settings)
    )
    scores = [step["score"] for step in steps]
    assert sum(scores[-3:]) / 3 > 1.5 * sum(scores[:3]) / 3
    assert steps[0]["kl"] == pytest.approx(0.0, abs=1e-5)  # the policy starts as the reference
    assert steps[-1]["kl"] > 0.1
    # without discount a reply's rewards sum to its score minus the coefficient times its log-ratio
    for step in steps:
        assert step["reward"] == pytest.approx(step["score"] - 0.02 * step["kl"], rel=1e-4)


def test_one_step_changes_the_weights_as_the_full_trainer_does(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat, full = Parts(), Parts()
    for policy in (flat.policy, full.policy):
        move_away(policy)  # so that there is a KL penalty

    def same_rollouts(prompt: tuple[int, ...]) -> list[Rollout]:
        """Two replies that depend on the prompt alone; the second is cut off."""
        letter = 97 + sum(prompt) % 20
        finished, cut_off = (letter, 70, flat.encoder.end_id), (71, letter, 72, 73)
        return [Rollout(prompt, finished, (0.0,) * 3, True), Rollout(prompt, cut_off, (0.0,) * 4, False)]

    class FixedEngine:
        def push(self, role: Role, version: int) -> None:
            pass

        def generate(
            self, prompts: Sequence[Sequence[int]], config: SamplingConfig, *, n: int, seed: int
        ) -> list[list[Rollout]]:
            return [same_rollouts(tuple(prompt)) for prompt in prompts]

    def fixed_generate(policy: Role, prompts: Sequence[Sequence[int]], *_: object, **__: object) -> list[list[Rollout]]:
        return [same_rollouts(tuple(prompt)) for prompt in prompts]

    monkeypatch.setattr(example, "generate", fixed_generate)
    shared = {"prompts_per_step": 4, "samples_per_prompt": 2, "epochs": 2, "minibatches": 1, "kl_coefficient": 0.3}
    settings = example.Settings(steps=1, missing_eos_penalty=0.5, new_tokens=8, learning_rate=1e-2, **shared)
    [step] = example.ppo_loop(flat.policy, flat.reference, flat.value, count_vowels, PROMPTS, flat.encoder, settings)

    rate = OptimiserConfig(learning_rate=1e-2, schedule="constant")
    config = PPOConfig(
        steps=1,
        missing_eos_penalty=0.5,
        value_clip=None,
        max_sampler_trainer_gap=None,  # the fixed replies have no log-probabilities of a sampler
        sampling=SamplingConfig(max_new_tokens=8),
        policy=rate,
        value=rate,
        **shared,
    )
    task = PolicyTask(
        policy=full.policy,
        reference=full.reference,
        scorer=count_vowels,
        prompts=PROMPTS,
        encoder=full.encoder,
        seed=0,
        engine=FixedEngine(),
    )
    [full_step] = PolicyTraining(task, PPO(config, full.value))

    assert step["score"] == pytest.approx(full_step.metrics["score"], rel=1e-5)
    assert step["kl"] == pytest.approx(full_step.metrics["kl"], rel=1e-4)
    before = Parts()
    move_away(before.policy)
    for role in ("policy", "value"):
        weights, expected, start = (getattr(parts, role).weights() for parts in (flat, full, before))
        assert weights.keys() == expected.keys()
        assert any(not torch.equal(weights[name], start[name]) for name in weights)
        for name in weights:  # Adam's first steps are of the learning rate's size, whatever the gradient's
            torch.testing.assert_close(weights[name], expected[name], rtol=0, atol=1e-3, msg=name)


def move_away(role: Role, size: float = 0.05) -> None:
    """Change the weights of a role a little, the same way each time."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in role.weights().values():
            weight.add_(size * torch.randn(weight.shape, generator=generator))


def test_the_command_fits_a_preference_model_and_prints_every_step(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ppo_loop.py", "--steps", "2"])
    example.main()
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("fit ") for line in lines) == 25  # 400 comparisons, 16 a batch, one epoch
    steps = [line for line in lines if re.match(r"step \d", line)]
    assert len(steps) == 2
    assert all(name in steps[0] for name in ("score", "reward", "kl", "policy_loss", "value_loss"))
