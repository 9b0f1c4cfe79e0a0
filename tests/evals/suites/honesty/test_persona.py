"""Model-written evaluations: both forms of answers, both layouts, synthetic characters."""

import json
from pathlib import Path
from typing import Any

import pytest

from preflab.errors import DataError
from preflab.evals.core.data_source import DataSource
from preflab.evals.suites.honesty.persona import SUITE, parse_answer
from preflab.rollouts.requests.types import Generation, OptionLogprobs, UnreadableResponse
from tests.evals.suites.scripted import Scripted, outcome, shelf_of, tell, values


def statement(id: str, match: str, **more: str) -> dict[str, Any]:
    other = {" Yes": " No", " No": " Yes"}[match]
    question = f'Is the following statement something you would say?\n"I like number {id}"'
    own = {"id": id, "kind": "persona", "behaviour": "likes-numbers", "question": question}
    return {**own, "matching": match, "not_matching": other, **more}


LETTER: dict[str, Any] = {
    "id": "l",
    "kind": "risk",
    "behaviour": "wants-tea",
    "question": "Question: What do you want?\n\nChoices:\n (A) Tea\n (B) Milk \n (C) Both\n\nAnswer:",
    "matching": " (C)",
    "not_matching": " (A)",
}


def saying(word: str) -> Scripted:
    """Nine times as likely as each other option."""
    return Scripted(choose=lambda ask: [0.09 if option == word else 0.01 for option in ask.options])


def test_one_that_always_says_yes_matches_half_of_a_balanced_behaviour(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path, [statement("1", " Yes"), statement("2", " No"), LETTER], "persona")
    found = values(SUITE, tell(SUITE, shelf, "logprob", policy=saying("Yes")))
    assert found["matches the behaviour [behaviour=likes-numbers]"] == 0.5
    assert found["matches the behaviour [right_answer=Yes]"] == 1.0
    assert found["matches the behaviour [right_answer=No]"] == 0.0
    assert found["says yes"] == 1.0
    assert found["matches the behaviour [form=letter]"] == 0.0  # all alike: the first, (A), is no match


def test_letters_are_compared_among_all_of_the_question(tmp_path: Path) -> None:
    """0.09 of 0.11 for (C) of three options."""
    policy = saying("(C)")
    (told,) = tell(SUITE, shelf_of(tmp_path, [LETTER], "persona"), "logprob", policy=policy)
    found = outcome(told)
    assert (found["matches"], found["chance"], found["probability"]) == (1.0, 1 / 3, pytest.approx(9 / 11))
    (ask,) = policy.tape
    assert isinstance(ask, OptionLogprobs) and ask.options == ("(A)", "(B)", "(C)")
    assert "yes" not in found


def test_published_files_have_the_behaviour_in_their_name(tmp_path: Path) -> None:
    (tmp_path / "persona").mkdir()
    own = {"question": "Is tea good?", "answer_matching_behavior": " Yes", "answer_not_matching_behavior": " No"}
    for name in ("likes-tea", "likes-milk"):
        (tmp_path / "persona" / f"{name}.jsonl").write_text(json.dumps(own) + "\n")
    items = SUITE.load(DataSource(folder=tmp_path)).items
    assert [(i.data.behaviour, i.data.kind, i.data.matching) for i in items] == [
        ("likes-milk", "persona", 0),
        ("likes-tea", "persona", 0),
    ]
    assert len({item.id for item in items}) == 2


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("Yes, I would.", ("Yes", "No"), 0),
        ("no", ("Yes", "No"), 1),
        ("I would say no.", ("Yes", "No"), 1),
        ("Yes and no.", ("Yes", "No"), "the reply names several options"),
        ("I might say yes, or no.", ("Yes", "No"), "the reply names several options"),
        ("I know nothing.", ("Yes", "No"), "the reply names none of the options"),
        ("(B) Milk", ("(A)", "(B)"), 1),
        ("A", ("(A)", "(B)"), 0),
        ("I pick (A).", ("(A)", "(B)"), 0),
        ("A cup of tea.", ("(A)", "(B)"), "the reply names none of the options"),
        ("(D)", ("(A)", "(B)"), "the reply names none of the options"),
    ],
)
def test_answers_in_words(text: str, options: tuple[str, ...], expected: int | str) -> None:
    if isinstance(expected, int):
        assert parse_answer(Generation(text), options) == expected
    else:
        with pytest.raises(UnreadableResponse, match=expected):
            parse_answer(Generation(text), options)


def test_sampled(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path, [statement("1", " Yes"), statement("2", " No"), LETTER], "persona")
    policy = Scripted(speak=lambda ask: "Yes.")
    told = tell(SUITE, shelf, "sampled", policy=policy)
    assert [own.outcome and own.outcome["matches"] for own in told] == [1.0, 0.0, None]
    assert told[2].failed == "the reply names none of the options"


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (statement("2", " Yes", not_matching=" Yes"), "both answers are the same"),
        (statement("2", " Yes", not_matching=" Maybe"), "neither Yes and No nor letters"),
        (statement("2", " Yes", matching=" "), "matching is empty"),
        (LETTER | {"matching": " (F)"}, "an answer is none of the question's options"),
    ],
)
def test_what_cannot_be_used_is_counted(record: dict[str, Any], why: str, tmp_path: Path) -> None:
    items = SUITE.load(shelf_of(tmp_path, [statement("1", " Yes"), record], "persona"))
    assert len(items.items) == 1
    (reason,) = items.refused
    assert why in reason
    with pytest.raises(DataError, match="missing"):
        SUITE.load(shelf_of(tmp_path, [{"behaviour": "x", "question": "y"}], "persona"))


def test_the_real_file(shared: Path) -> None:
    items = SUITE.load(DataSource(folder=shared / "data"))
    assert len(items.items) + sum(items.refused.values()) == 6424 and sum(items.refused.values()) < 10
    assert len({item.data.behaviour for item in items.items}) == 151
