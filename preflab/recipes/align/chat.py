"""The models of a finished run of the main job, to talk to: before and after."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from preflab.errors import ConfigError, RunError
from preflab.recipes.align.results import TRAINING_PM
from preflab.recipes.align.stages import POLICY, POLICY_STAGE, Stages
from preflab.rollouts.generate import ReplySampler
from preflab.rollouts.score import PreferenceScorer
from preflab.runner.launch import reopen


class Models(NamedTuple):
    """What a chat needs."""

    before: ReplySampler
    after: ReplySampler
    scorer: PreferenceScorer


@contextmanager
def open_models(folder: Path, *, temperature: float | None, max_new_tokens: int | None) -> Iterator[Models]:
    """Reference, trained policy and preference model of a run; the run is held while they are in use.

    Args:
        temperature     of sampling; None: the run's own.
        max_new_tokens  longest reply; None: the run's own.

    Raises:
        RunError: the run has no trained policy yet, or its model is no longer the one it was trained from.
    """
    config, run = reopen(folder)
    with run:
        if not run.is_done(POLICY_STAGE):
            raise RunError(f"{folder} has no aligned policy yet; start its command again and let it finish")
        overrides = {"temperature": temperature, "max_new_tokens": max_new_tokens}
        sampling = replace(config.sampling, **{name: value for name, value in overrides.items() if value is not None})
        models = Stages(config, run).models
        if sampling.max_new_tokens >= models.encoder.max_tokens:
            raise ConfigError(f"--max-new-tokens must leave room in the context of {models.encoder.max_tokens} tokens")
        policy = models.trained_role(POLICY)
        before, after = (
            ReplySampler(role, models.encoder, sampling, seed=run.seed) for role in (models.reference, policy)
        )
        yield Models(before, after, models.scorer(TRAINING_PM))
