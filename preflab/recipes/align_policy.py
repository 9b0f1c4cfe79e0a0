"""What trains the policy in the main job: PPO, RLOO or REINFORCE against the first preference model (see ``align``)."""

from dataclasses import replace
from typing import TYPE_CHECKING

from preflab.data.prompts import distinct_prompts
from preflab.data.rows import Row
from preflab.data.texts import load_texts
from preflab.models.roles import Role
from preflab.training.policy_gradient import PolicyGradient
from preflab.training.ppo import PPOTraining
from preflab.training.ptx import rows_of_text
from preflab.training.reinforce import ReinforceTraining
from preflab.training.rloo import RLOOTraining

if TYPE_CHECKING:
    from preflab.recipes.align_stages import Stages

METHODS = {"ppo": "PPO", "rloo": "RLOO", "reinforce": "REINFORCE"}
"""What each algorithm is called."""


def policy_training(stages: "Stages", policy: Role) -> PolicyGradient:
    """The chosen algorithm, ready to run on the prompts of train and judge."""
    config, encoder, scorer, reference = stages.config, stages.encoder, stages.scorer("pm"), stages.trunk.reference()
    prompts = distinct_prompts([*stages.parts["train"], *stages.parts["judge"]])
    seed, offset = stages.run.seed_of("ppo"), stages.run.result("best_of_n")["centre"]["pm"]
    rows = pretraining_rows(stages)
    if config.algorithm == "rloo":
        rloo = replace(config.rloo, sampling=config.sampling)
        return RLOOTraining(
            policy, reference, scorer, prompts, encoder, rloo, seed=seed, score_offset=offset, pretraining=rows
        )
    if config.algorithm == "reinforce":
        plain = replace(config.reinforce, sampling=config.sampling)
        value = value_role(stages) if plain.baseline == "value" else None
        return ReinforceTraining(
            policy, reference, value, scorer, prompts, encoder, plain, seed=seed, score_offset=offset, pretraining=rows
        )
    ppo, value = replace(config.ppo, sampling=config.sampling), value_role(stages)
    return PPOTraining(
        policy, reference, value, scorer, prompts, encoder, ppo, seed=seed, score_offset=offset, pretraining=rows
    )


def value_role(stages: "Stages") -> Role:
    """The value model: a head on the frozen preference model, or a model of its own that starts from it."""
    trunk = stages.trunk
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
    rows = rows_of_text(stages.encoder, texts, example_tokens=stages.config.training.ptx.example_tokens)
    stages.run.record("pretraining", documents=len(texts), rows=len(rows), tokens=sum(len(row) for row in rows))
    return rows
