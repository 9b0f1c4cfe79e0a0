"""Scoring many rows: the order given, the numbers each would have alone, each prompt once."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row, collate
from preflab.errors import DataError
from preflab.models.adapters import AdapterConfig
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.rollouts import score
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.score import PreferenceScorer, logprob_rows, score_rows

ROWS = [Row.of([5, 6], [7]), Row.of([5] * 9, [8, 9], [10]), Row.of([5], [6, 7, 8], [9], [10, 11]), Row.of([5, 6], [9])]


def make() -> tuple[Role, Encoder]:
    source = load_language_model("tiny")
    role = Trunk(source, AdapterConfig(rank=2, alpha=4.0)).add_role("pm", head=True)
    g = torch.Generator().manual_seed(0)
    role.load_state({k: 0.1 * torch.randn(w.shape, generator=g) for k, w in role.state().items()})
    return role, Encoder(source.tokenizer, max_tokens=100)


ROLE, ENCODER = make()


@pytest.mark.parametrize("max_tokens", [1, 13, 10_000])
def test_scores_come_in_the_order_of_the_rows_whatever_the_batch(max_tokens: int) -> None:
    heard: list[int] = []
    found = score_rows(ROLE, ROWS, max_tokens=max_tokens, progress=heard.append)
    assert [len(f) for f in found] == [1, 2, 3, 1]
    assert sum(heard) == 7
    with torch.no_grad():
        for row, scores in zip(ROWS, found, strict=True):
            alone = [ROLE.scores(collate([row.isolate(k)]))[0] for k in range(len(row.replies))]
            torch.testing.assert_close(scores, torch.stack(alone), rtol=1e-5, atol=1e-5)
    assert not found[0].requires_grad


@pytest.mark.parametrize("max_tokens", [1, 13, 10_000])
@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_log_probabilities_too(max_tokens: int, temperature: float) -> None:
    found = logprob_rows(ROLE, ROWS, max_tokens=max_tokens, temperature=temperature)
    assert [[len(r) for r in f] for f in found] == [[1], [2, 1], [3, 1, 2], [1]]
    with torch.no_grad():
        for row, replies in zip(ROWS, found, strict=True):
            for k, logp in enumerate(replies):
                alone, _ = ROLE.logprobs(collate([row.isolate(k)]), temperature=temperature)
                torch.testing.assert_close(logp, alone, rtol=1e-5, atol=1e-5)


def test_no_rows_no_numbers() -> None:
    assert score_rows(ROLE, []) == []
    assert logprob_rows(ROLE, []) == []
    assert PreferenceScorer(ROLE, ENCODER)([]).shape == (0,)


def rows_scored(monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    seen: list[Row] = []
    inner = score.score_rows

    def spy(role: Role, rows: list[Row], **more: object) -> list[torch.Tensor]:
        seen.extend(rows)
        return inner(role, rows, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(score, "score_rows", spy)
    return seen


def test_neighbours_with_one_prompt_share_its_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = rows_scored(monkeypatch)
    p, q = Dialogue.of("p"), Dialogue.of("q")
    dialogues = [p.with_reply("a"), p.with_reply("bb"), q.with_reply("a"), p.with_reply("a")]
    found = PreferenceScorer(ROLE, ENCODER)(dialogues)
    prompt = ENCODER.prompt(p)
    assert [row.segments for row in seen] == [
        (prompt, ENCODER.reply("a"), ENCODER.reply("bb")),
        (ENCODER.prompt(q), ENCODER.reply("a")),
        (prompt, ENCODER.reply("a")),
    ]
    assert found[0] == pytest.approx(float(found[3]), abs=1e-5)


@given(st.permutations(range(6)), st.sampled_from([1, 40, 4096]))
@settings(max_examples=15, deadline=None)
def test_a_score_depends_on_its_dialogue_alone(order: list[int], max_tokens: int) -> None:
    dialogues = [
        Dialogue.of(p).with_reply(r) for p in ("hi", "and a longer one") for r in ("yes", "no, not at all", "")
    ]
    whole = PreferenceScorer(ROLE, ENCODER)(dialogues)
    found = PreferenceScorer(ROLE, ENCODER, max_tokens=max_tokens)([dialogues[i] for i in order])
    torch.testing.assert_close(found, whole[list(order)], rtol=1e-5, atol=1e-5)


def test_a_long_sister_does_not_cost_a_short_reply_its_context() -> None:
    prompt = Dialogue.of("x" * 40, "y", "z")
    short, long = prompt.with_reply("ok"), prompt.with_reply("w" * 60)
    score_of = PreferenceScorer(ROLE, ENCODER)
    assert float(score_of([short, long])[0]) == pytest.approx(float(score_of([short])[0]), abs=1e-5)
    torch.testing.assert_close(score_of([long, short])[:1], score_of([long]), rtol=1e-5, atol=1e-5)


def test_many_replies_to_one_prompt_do_not_make_one_endless_row(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = rows_scored(monkeypatch)
    dialogues = [Dialogue.of("p").with_reply("a" * 9) for _ in range(20)]  # prompt 4 tokens, each reply 10
    found = PreferenceScorer(ROLE, ENCODER, max_tokens=64)(dialogues)
    assert [len(row.replies) for row in seen] == [6, 6, 6, 2]  # 4 + 6 * 10 = 64
    torch.testing.assert_close(found, found[:1].expand(20), rtol=1e-5, atol=1e-5)


def test_progress_counts_dialogues() -> None:
    heard: list[int] = []
    PreferenceScorer(ROLE, ENCODER, max_tokens=30)(
        [Dialogue.of(p).with_reply("a") for p in "ppqrr"], progress=heard.append
    )
    assert sum(heard) == 5


def test_a_dialogue_that_cannot_be_scored_is_refused() -> None:
    with pytest.raises(DataError, match="exceeds 100 tokens: 'xxx"):
        PreferenceScorer(ROLE, ENCODER)([Dialogue.of("x" * 100).with_reply("a")])
    with pytest.raises(DataError, match="still awaits"):
        PreferenceScorer(ROLE, ENCODER)([Dialogue.of("x")])
