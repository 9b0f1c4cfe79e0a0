"""What trains the policy in the main job: PPO, RLOO or REINFORCE against the first preference model (see ``align``)."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from preflab.data.prompts import distinct_prompts
from preflab.data.rows import Row
from preflab.data.text_corpus import load_texts
from preflab.models.roles import Role
from preflab.rollouts.engine import IN_PROCESS, Engine, InProcess
from preflab.rollouts.servers.vllm import VLLMEngine
from preflab.training.policy_gradient.ppo import PPOTraining
from preflab.training.policy_gradient.ptx import rows_of_text
from preflab.training.policy_gradient.reinforce import ReinforceTraining
from preflab.training.policy_gradient.rloo import RLOOTraining
from preflab.training.policy_gradient.training import PolicyGradient

if TYPE_CHECKING:
    from preflab.recipes.align.stages import Stages

METHODS = {"ppo": "PPO", "rloo": "RLOO", "reinforce": "REINFORCE"}
"""What each algorithm is called."""


def policy_training(stages: "Stages", policy: Role, engine: Engine) -> PolicyGradient:
    """The chosen algorithm, ready to run on the prompts of train and judge."""
    config, encoder = stages.config, stages.models.encoder
    scorer, reference = stages.models.scorer("pm"), stages.models.reference
    prompts = distinct_prompts([*stages.comparisons.parts["train"], *stages.comparisons.parts["judge"]])
    common: dict[str, Any] = {
        "seed": stages.run.seed_of("ppo"),
        "score_offset": stages.run.result("best_of_n")["centre"]["pm"],
        "pretraining": pretraining_rows(stages),
        "engine": engine,
    }
    if config.algorithm == "rloo":
        rloo = replace(config.rloo, sampling=config.sampling)
        return RLOOTraining(policy, reference, scorer, prompts, encoder, rloo, **common)
    if config.algorithm == "reinforce":
        plain = replace(config.reinforce, sampling=config.sampling)
        value = value_role(stages) if plain.baseline == "value" else None
        return ReinforceTraining(policy, reference, value, scorer, prompts, encoder, plain, **common)
    ppo = replace(config.ppo, sampling=config.sampling)
    return PPOTraining(policy, reference, value_role(stages), scorer, prompts, encoder, ppo, **common)


@contextmanager
def sampling_engine(stages: "Stages", role: Role, purpose: str, *, max_staleness: int = 0) -> Iterator[Engine]:
    """Where this role is sampled; which it was stands in the record."""
    config, run = stages.config, stages.run
    run.record("samplers", **{purpose: config.sampler})
    if config.sampler == IN_PROCESS:
        yield InProcess(role, stages.models.encoder)
        return
    settings = replace(config.vllm, max_staleness=max_staleness)
    with closing(VLLMEngine(config.sampler, stages.models.encoder, run.folder / "pushed", settings)) as server:
        yield server


def value_role(stages: "Stages") -> Role:
    """The value model: a head on the frozen preference model, or a model of its own that starts from it."""
    trunk = stages.models.trunk
    if "value" in trunk.names:
        return Role(trunk, "value")
    if stages.config.value_model == "head":
        return trunk.add_head("value", on="pm")
    return trunk.add_role("value", head=True, start_from="pm")


def pretraining_rows(stages: "Stages") -> list[Row]:
    """Text to mix in, as rows; none where it is not asked for."""
    path = stages.config.pretraining
    if path is None:
        return []
    texts = list(load_texts(path))
    rows = rows_of_text(stages.models.encoder, texts, example_tokens=stages.config.training.ptx.example_tokens)
    stages.run.record("pretraining", documents=len(texts), rows=len(rows), tokens=sum(len(row) for row in rows))
    return rows
