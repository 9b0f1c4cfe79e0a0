"""The models of a finished run, before and after, to talk to."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError, RunError
from preflab.recipes.align import smoke
from preflab.recipes.align.chat import open_models
from preflab.recipes.align.results import BestOfNResult, MeasureResult
from preflab.run import Run, read_result
from preflab.runner.launch import reopen


def evaluation_prompts(folder: Path) -> list[Dialogue]:
    measure = read_result(folder, "measure", MeasureResult)
    assert measure is not None
    return [Dialogue.from_json(replies.prompt) for replies in measure.examples]


def test_the_preference_model_scores_as_it_did_in_the_run(finished: Path) -> None:
    result = read_result(finished, "best_of_n", BestOfNResult)
    assert result is not None
    with open_models(finished, temperature=None, max_new_tokens=None) as models:
        prompts = evaluation_prompts(finished)
        dialogues = [prompt.with_reply(text) for prompt, text in zip(prompts, result.base.texts, strict=True)]
        assert models.scorer(dialogues).tolist() == pytest.approx(result.base.training_pm, abs=1e-4)


def test_before_is_the_policy_as_it_was_loaded_and_after_the_one_that_was_trained(finished: Path) -> None:
    trained = load_file(finished / "checkpoints" / "policy.safetensors")
    with open_models(finished, temperature=0.5, max_new_tokens=3) as models:
        assert (models.before.role.name, models.after.role.name) == (None, "policy")
        state = models.after.role.state()
        assert state.keys() == trained.keys()
        assert all(torch.equal(state[name], trained[name]) for name in trained)
        assert models.before.config == models.after.config
        assert (models.after.config.temperature, models.after.config.max_new_tokens) == (0.5, 3)


def test_a_run_is_held_while_its_models_are_in_use(finished: Path) -> None:
    with open_models(finished, temperature=None, max_new_tokens=None), pytest.raises(RunError, match="in use"):
        reopen(finished)


def test_replies_must_leave_room_for_a_prompt(finished: Path) -> None:
    models = open_models(finished, temperature=None, max_new_tokens=1_000_000)
    with pytest.raises(ConfigError, match="must leave room in the context"), models:
        pass


def test_a_run_without_a_policy_has_nothing_to_talk_to(tmp_path: Path) -> None:
    Run(tmp_path / "run", smoke(), recipe="align", quiet=True).close()
    models = open_models(tmp_path / "run", temperature=None, max_new_tokens=None)
    with pytest.raises(RunError, match="has no aligned policy yet"), models:
        pass
