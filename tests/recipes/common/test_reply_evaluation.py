"""Replies to held-out prompts: drawn once, kept over a kill, scored and compared in place."""

from pathlib import Path

import numpy as np
import pytest
import torch

from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError
from preflab.recipes.common.configs import ModelConfig
from preflab.recipes.common.model_roles import ModelRoles
from preflab.recipes.common.reply_evaluation import SAMPLING_CHUNK, ReplyEvaluation
from preflab.rollouts.generate import SamplingConfig
from preflab.run import Run

N_PROMPTS = SAMPLING_CHUNK + 2
PROMPTS = [(Dialogue.of(f"question {i}"), "even" if i % 2 == 0 else "odd") for i in range(20)]


def evaluation_of(run: Run) -> ReplyEvaluation:
    models = ModelRoles(run, ModelConfig(policy="tiny", precision="fp32"))
    return ReplyEvaluation(run, models, lambda: PROMPTS, SamplingConfig(max_new_tokens=4), N_PROMPTS)


def test_prompts_are_drawn_by_the_seed_with_their_categories(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        evaluation = evaluation_of(run)
        assert len(evaluation.prompts) == N_PROMPTS == len(evaluation.prompt_tokens)
        assert all((prompt.dialogue, prompt.category) in PROMPTS for prompt in evaluation.prompts)
        assert evaluation.prompts == evaluation_of(run).prompts
        assert [prompt.dialogue for prompt in evaluation.prompts] != [dialogue for dialogue, _ in PROMPTS[:N_PROMPTS]]


def test_prompts_that_the_template_refuses_are_left_out_and_counted(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        evaluation = evaluation_of(run)
        tokenizer = evaluation.models.trunk.source.tokenizer
        refuses = "{% if '7' in messages[0].content %}{{ raise_exception('no sevens') }}{% endif %}"
        tokenizer.chat_template = refuses + str(tokenizer.chat_template)
        evaluation.n_prompts = len(PROMPTS)
        assert {p.dialogue for p in evaluation.prompts} == {d for d, _ in PROMPTS if "7" not in d.messages[0].text}
        reasons = {"the chat template refuses this dialogue: no sevens": 2}  # 7 and 17
        assert run.recorded("evaluation")["prompts_left_out"] == reasons


def test_where_no_prompt_can_be_used_the_reason_is_named(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        evaluation = evaluation_of(run)
        evaluation.sampling = SamplingConfig(max_new_tokens=1020)
        with pytest.raises(ConfigError, match=r"no held-out prompt .*: 20 x a prompt exceeds 4 tokens"):
            _ = evaluation.prompts


def test_a_chunk_that_was_kept_is_not_drawn_again(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        evaluation = evaluation_of(run)
        rollouts = evaluation.rollouts("replies", evaluation.models.reference, 2, "base")
        lines = (tmp_path / "run" / "results" / "base.jsonl").read_text().splitlines()
        assert len(lines) == 2  # a chunk of SAMPLING_CHUNK prompts, and the two that are left
        (tmp_path / "run" / "results" / "base.jsonl").write_text(lines[0] + "\n")
        assert evaluation_of(run).rollouts("replies", evaluation.models.reference, 2, "base") == rollouts


def test_log_ratios_of_a_role_to_itself_are_zero_and_scores_have_the_grid_of_the_replies(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        evaluation = evaluation_of(run)
        reference = evaluation.models.reference
        rollouts = evaluation.rollouts("replies", reference, 2, "base")
        assert np.abs(evaluation.log_ratios(reference, reference, rollouts)).max() == 0
        pm = evaluation.models.role("pm", head=True)
        run.save_weights("pm", pm.state())
        texts = evaluation.texts(rollouts)
        grid = evaluation.scores("pm", texts)
        assert grid.shape == (N_PROMPTS, 2)
        prompt = evaluation.prompts[3].dialogue
        expected = evaluation.models.scorer("pm")([prompt.with_reply(texts[3][1])])
        assert grid[3, 1] == pytest.approx(float(expected[0]), abs=1e-5)
        assert torch.isfinite(expected).all()


def test_examples_hold_the_first_reply_of_each_policy_and_its_score(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        evaluation = evaluation_of(run)
        texts = {"before": [[f"b{i}", "?"] for i in range(N_PROMPTS)], "after": [[f"a{i}"] for i in range(N_PROMPTS)]}
        scores = {"after": np.arange(N_PROMPTS, dtype=float)[:, None]}
        examples = evaluation.examples(texts, scores)
        assert examples[4].replies == {"before": "b4", "after": "a4"}
        assert examples[4].scores == {"after": 4.0}
        assert examples[4].category == evaluation.prompts[4].category
