"""A trunk and its roles: made once, loaded from the run, refused when the weights changed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from preflab.data.dialogue import Dialogue
from preflab.errors import RunError
from preflab.recipes.common.configs import ModelConfig
from preflab.recipes.common.model_roles import ModelRoles
from preflab.run import Run

TINY = ModelConfig(policy="tiny", precision="fp32")
DIALOGUE = Dialogue.of("Hello?").with_reply("Yes.")


def test_a_role_is_made_once_and_trained_weights_come_from_the_run(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        models = ModelRoles(run, TINY)
        role = models.role("pm", head=True)
        with torch.no_grad():
            for weight in role.weights().values():
                weight.add_(0.1)
        run.save_weights("pm", role.state())
        scores = models.scorer("pm")([DIALOGUE])
        assert models.role("pm", head=True).name == role.name
        assert list(models.trunk.names).count("pm") == 1
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        torch.testing.assert_close(ModelRoles(run, TINY).scorer("pm")([DIALOGUE]), scores, rtol=0, atol=0)


def test_the_context_is_the_settings_or_the_models_own(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        own_limit = ModelRoles(run, TINY).trunk.source.context_tokens
        for setting, expected in ((16, 16), (10 * own_limit, own_limit)):
            models = ModelRoles(run, ModelConfig(policy="tiny", precision="fp32", max_context_tokens=setting))
            assert models.encoder.max_tokens == expected


def test_other_weights_than_the_run_began_with_are_refused(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        run.record("model", sha256="0" * 64)
        with pytest.raises(RunError, match=r"its weights changed since it began: .* was 000000000000\.\.\., and is"):
            _ = ModelRoles(run, TINY).trunk


def test_another_chat_template_than_the_run_began_with_is_refused(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        _ = ModelRoles(run, TINY).encoder
        again = ModelRoles(run, TINY)
        again.trunk.source.tokenizer.chat_template += "{# the same text, another template #}"
        with pytest.raises(RunError, match="its chat template changed since it began"):
            _ = again.encoder


DATED = "<|system|>{{ strftime_now('%d %b %Y') }}<|end|>"


def test_a_template_tells_the_day_on_which_the_run_began_also_when_it_goes_on_later(tmp_path: Path) -> None:
    prompts = []
    for _ in range(2):
        with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
            write_started(run, "2024-02-29T23:59:00Z")
            models = ModelRoles(run, TINY)
            tokenizer = models.trunk.source.tokenizer
            tokenizer.chat_template = DATED + str(tokenizer.chat_template)
            prompts.append(models.encoder.prompt(DIALOGUE.prompt))
            assert run.recorded("model")["template_moment"] == "2024-02-29T23:59:00"
    assert prompts[0] == prompts[1]
    assert "29 Feb 2024" in tokenizer.decode(prompts[0])


def write_started(run: Run, moment: str) -> None:
    """As if the run had begun then."""
    run.record("made_by", started=moment)


def test_what_helps_where_dialogues_are_too_long_depends_on_whose_limit_it_is(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        long, short = (ModelRoles(run, replace(TINY, max_context_tokens=n)) for n in (8192, 512))
        too_long = "2 x a prompt exceeds 9 tokens"
        assert long.context_advice(too_long) == (
            "; the model itself reads no more than 4096 tokens, so long dialogues need another model"
        )
        assert short.context_advice(too_long) == (
            "; where they are too long, raise model.max_context_tokens (512 now, 4096 at most)"
        )
        assert short.context_advice("2 x the chat template refuses this dialogue") == ""
