"""Log-probabilities of continuations: against one forward pass each, however prefixes are shared."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from preflab.data.dialogue import Dialogue
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.option_loglikelihood import (
    Continuations,
    encode_continuations,
    score_continuations,
    share_prefixes,
)


@pytest.fixture(scope="module")
def role() -> Role:
    return Trunk(load_language_model("tiny"), None).reference()


@pytest.fixture(scope="module")
def encoder(role: Role) -> Encoder:
    return Encoder(role.trunk.source.tokenizer, max_tokens=256)


def one_by_one(role: Role, item: Continuations) -> list[float]:
    """The oracle: a plain forward pass over each whole sequence, the log-probabilities of its last tokens summed."""
    found = []
    for branch, n in zip(item.branches, item.scored, strict=True):
        ids = torch.tensor([item.prefix + branch])
        model = load_language_model("tiny").model
        with torch.no_grad():
            logps = torch.log_softmax(model(input_ids=ids).logits[0, :-1].double(), dim=-1)
        own = logps.gather(-1, ids[0, 1:, None])[:, 0]
        found.append(float(own[-n:].sum()))
    return found


def some_items(seed: int) -> list[Continuations]:
    """Items whose prefixes begin with parts of one stem, so that sharing has something to do."""
    draw = random.Random(seed)

    def tokens(least: int, most: int) -> tuple[int, ...]:
        return tuple(draw.randint(5, 90) for _ in range(draw.randint(least, most)))

    stem, found = tokens(20, 40), []
    for _ in range(draw.randint(1, 5)):
        prefix = stem[: draw.randint(1, len(stem))] + tokens(0, 6)
        branches = tuple(tokens(1, 6) for _ in range(draw.randint(1, 3)))
        found.append(Continuations(prefix, branches, tuple(draw.randint(1, len(b)) for b in branches)))
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 60, 1024]))
def test_sharing_changes_nothing_but_the_cost(seed: int, row_tokens: int) -> None:
    own, role = some_items(seed), Trunk(load_language_model("tiny"), None).reference()
    found = score_continuations(role, own, row_tokens=row_tokens)
    for item, numbers in zip(own, found, strict=True):
        assert numbers == pytest.approx(one_by_one(role, item), abs=2e-4)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 60, 1024]))
def test_every_branch_stands_in_one_row_behind_its_prefix(seed: int, row_tokens: int) -> None:
    own, seen = some_items(seed), []
    for row, owners in share_prefixes(own, row_tokens=row_tokens):
        for reply, (i, b) in zip(row.replies, owners, strict=True):
            path = [t for s in row.lineage(reply) for t in row.segments[s]]
            assert tuple(path) == own[i].prefix + own[i].branches[b]
            seen.append((i, b))
    assert sorted(seen) == [(i, b) for i, item in enumerate(own) for b in range(len(item.branches))]


def test_few_shot_questions_share_their_exemplars(encoder: Encoder) -> None:
    shots = "one and one are two. two and two are four. "
    own = [encode_continuations(encoder, f"{shots}{n} and {n} are", "", (" five", " nine")) for n in "abcdefgh"]
    rows = list(share_prefixes([item for item in own if item is not None]))
    assert len(rows) == 1
    apart = sum(len(item.prefix) + sum(map(len, item.branches)) for item in own if item is not None)
    assert len(rows[0][0]) < apart / 2


def test_the_blank_before_an_option_is_part_of_it(encoder: Encoder) -> None:
    ours = encode_continuations(encoder, "the answer is ", "", ("yes", "no"))
    theirs = encode_continuations(encoder, "the answer is", "", (" yes", " no"))
    assert ours == theirs
    assert ours is not None
    assert ours.scored == tuple(len(encoder.plain(f" {word}")) for word in ("yes", "no"))


def test_a_lead_is_held_and_an_option_follows_it(encoder: Encoder) -> None:
    dialogue = Dialogue.of("Which?")
    found = encode_continuations(encoder, dialogue, "I take", (" this", " that one"), closed=True)
    assert found is not None
    assert found.prefix[: len(encoder.prompt(dialogue))] == encoder.prompt(dialogue)
    wholes = [found.prefix + branch for branch in found.branches]
    assert wholes == [encoder.prompt(dialogue) + encoder.reply(f"I take{option}") for option in (" this", " that one")]
    assert found.scored == tuple(len(encoder.words(f" {w}".replace("  ", " "))) + 1 for w in ("this", "that one"))


def test_without_a_lead_a_reply_begins_without_a_blank(encoder: Encoder) -> None:
    dialogue = Dialogue.of("Which?")
    blank = encode_continuations(encoder, dialogue, "", (" A", " B"))
    assert blank == encode_continuations(encoder, dialogue, "", ("A", "B"))


def test_plain_text_without_a_beginning_starts_after_a_special_token(role: Role, encoder: Encoder) -> None:
    found = encode_continuations(encoder, "", "", ("the dog runs", "the cat"))
    assert found is not None
    assert found.prefix[:1] == encoder.plain("")
    assert [found.prefix + branch for branch in found.branches] == [
        encoder.plain("") + encoder.plain(text) for text in ("the dog runs", "the cat")
    ]
    assert score_continuations(role, [found])[0] == pytest.approx(one_by_one(role, found), abs=2e-4)


def test_a_long_text_loses_its_beginning_and_says_so(role: Role, encoder: Encoder) -> None:
    text = "word " * 400
    found = encode_continuations(encoder, text, "", (" yes", " no and again"))
    assert found is not None
    assert found.shortened
    assert len(found.prefix) + max(map(len, found.branches)) <= encoder.max_tokens
    whole = encode_continuations(Encoder(encoder.tokenizer, max_tokens=10_000), text, "", (" yes", " no and again"))
    assert whole is not None
    assert not whole.shortened
    assert (found.prefix + found.branches[0])[-9:] == (whole.prefix + whole.branches[0])[-9:]


def test_what_cannot_fit_is_refused(encoder: Encoder) -> None:
    assert encode_continuations(encoder, Dialogue.of("word " * 400), "", ("yes",)) is None
    assert encode_continuations(encoder, "Which?", "", ("word " * 400,)) is None
    assert encode_continuations(encoder, "Which?", "", ("",)) is None


def test_an_end_token_whose_number_is_0_closes_plain_text(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some tokenizers number their end of text 0, which is no lack of one."""
    monkeypatch.setattr(type(encoder.tokenizer), "eos_token_id", 0, raising=False)
    closed = encode_continuations(encoder, "a", "", (" b",), closed=True)
    assert closed is not None
    assert closed.branches[0][-1] == 0
