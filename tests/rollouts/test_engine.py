"""Sampling in this process as an engine: versions, seeds, the live weights."""

import torch

from preflab.data.dialogue import Dialogue
from preflab.models.load import load_language_model
from preflab.models.roles import Trunk
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.engine import Engine, InProcess
from preflab.rollouts.generate import SamplingConfig, generate

CONFIG = SamplingConfig(max_new_tokens=5)


def test_rollouts_are_those_of_generate_and_name_the_version_that_was_pushed() -> None:
    source = load_language_model("tiny")
    encoder = Encoder(source.tokenizer, max_tokens=120)
    role = Trunk(source, None).reference()
    engine = InProcess(role, encoder)
    assert isinstance(engine, Engine)
    prompts = [encoder.prompt(Dialogue.of(text)) for text in ("hi", "what now?")]
    drawn = engine.generate(prompts, CONFIG, n=2, seed=3)
    assert {rollout.version for rollouts in drawn for rollout in rollouts} == {0}
    same = generate(role, prompts, encoder, CONFIG, n=2, rng=torch.Generator().manual_seed(3))
    assert drawn == same
    engine.push(role, 7)
    again = engine.generate(prompts, CONFIG, n=2, seed=3)
    assert {rollout.version for rollouts in again for rollout in rollouts} == {7}
    assert [[r.tokens for r in rollouts] for rollouts in again] == [[r.tokens for r in rollouts] for rollouts in same]
