"""What may not grow: tokens run to score multiple choice, beside the fewest that lm-evaluation-harness can run.

Its tokens are counted as its model class makes them: each option with its whole context, the last token left out, one
pass for all options of one token (``logits_cache``), no padding, as at one sequence a batch. Larger batches pad.
"""

from pathlib import Path

import pytest
import torch

from benchmarks.scoring import Question, Tokens, bbq_form, largest_gap, mmlu_form, ours
from benchmarks.workload import random_model
from preflab.models.load import LanguageModel, load_language_model
from preflab.rollouts.encoder import Encoder


def lm_eval_tokens(source: LanguageModel, questions: list[Question]) -> int:
    """The fewest that it runs."""
    encoder = Encoder(source.tokenizer, max_tokens=10**6)
    runs = {}
    for question in questions:
        for option in question.options:
            whole = encoder.plain(question.text + option)
            runs[whole[:-1]] = len(whole) - 1
    return sum(runs.values())


@pytest.fixture(scope="module")
def source() -> LanguageModel:
    found = load_language_model("tiny", precision="fp32")
    found.model.config.max_position_embeddings = 4096
    return found


def test_answers_written_out_cost_less_than_a_third(source: LanguageModel) -> None:
    questions = bbq_form(None, 24, seed=0)
    assert {len(question.options) for question in questions} == {3}
    _, tokens = ours(source, questions)()
    assert tokens <= lm_eval_tokens(source, questions) / 3


def test_letters_behind_shared_examples_cost_less_than_half(source: LanguageModel) -> None:
    shared, letters = bbq_form(None, 4, seed=0)[1].text, (" A", " B", " C", " D")
    questions = [Question(f"{shared} {own.text[:100]}", letters) for own in bbq_form(None, 32, seed=1)[::4]]
    _, tokens = ours(source, questions)()
    assert tokens <= lm_eval_tokens(source, questions) / 2


def test_what_is_counted_is_what_the_body_runs() -> None:
    model = random_model("tiny", seed=0)
    tokens = Tokens(model)
    model(torch.tensor([[5, 6, 7], [8, 9, 9]]))
    assert tokens.count == 6


def test_forms_are_the_same_for_the_same_seed_and_blocks_share_their_context() -> None:
    first, again, other = (bbq_form(None, 8, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    short = first[0].text.split("\n\n")[0]
    assert all(question.text.startswith(short) for question in first[:4])
    assert len(mmlu_form(None, 6, subjects=3, seed=0)) == 6


def test_gaps_are_of_single_options() -> None:
    assert largest_gap([(1.0, 2.0), (3.0,)], [(1.0, 2.5), (2.75,)]) == 0.5


def test_files_of_bbq_are_read_in_blocks(shared: Path) -> None:
    path = shared / "data" / "bias" / "bbq_official_six_categories.jsonl.gz"
    questions = bbq_form(str(path), 8, seed=0)
    for block in (questions[:4], questions[4:]):
        assert len({frozenset(question.options) for question in block}) == 1
