"""GSM8K: two rules of reading, worked problems that are not asked."""

from pathlib import Path
from typing import Any

import pytest

from preflab.errors import DataError
from preflab.evals.core.data_source import DataSource
from preflab.evals.suites.capabilities.gsm8k import SUITE, bare
from preflab.rollouts.requests.types import Generate
from tests.evals.suites.scripted import Scripted, asked, outcome, shelf_of, tell, values


def problem(n: int, **more: Any) -> dict[str, Any]:
    return {"id": f"p{n}", "question": f"What is {n} and {n}?", "answer": f"{n}+{n}={2 * n}\n#### {2 * n}", **more}


def test_numbers_are_compared_without_dress() -> None:
    assert [bare(x) for x in ("1,000", "$5", "12.", "3.50", " 7 ")] == ["1000", "5", "12", "3.50", "7"]


@pytest.mark.parametrize(
    ("reply", "strict", "flexible", "followed"),
    [
        ("600 and 600.\nAnswer: 1,200", 1.0, 1.0, 1.0),
        ("**Answer:** $1,200.", 1.0, 1.0, 1.0),
        ("The answer is 1200, that is 100 dozen.", 1.0, 0.0, 1.0),
        ("Answer: 7. No, wait. Answer: 1200", 1.0, 1.0, 1.0),  # the last one counts
        ("It makes 1200", 0.0, 1.0, 0.0),
        ("Answer: 1201", 0.0, 0.0, 1.0),
        ("Answer: many", 0.0, 0.0, 0.0),
        ("Answer: $1200.00", 1.0, 1.0, 1.0),  # equal in value
        ("Answer: 1.2 thousand boats", 1.0, 1.0, 1.0),
        ("Answer: -1200", 0.0, 0.0, 1.0),
    ],
)
def test_chat(reply: str, strict: float, flexible: float, followed: float, tmp_path: Path) -> None:
    policy = Scripted(speak=lambda _: reply)
    (told,) = tell(SUITE, shelf_of(tmp_path, [problem(600, answer="#### 1,200")], "gsm8k"), "chat", policy=policy)
    found = outcome(told)
    assert (found["strict"], found["flexible"], found["followed"]) == (strict, flexible, followed)


@pytest.mark.parametrize(
    ("reply", "strict", "flexible"),
    [
        ("6+6=12\n#### 12", 1.0, 1.0),
        ("#### 12. Then #### 13", 1.0, 0.0),  # strict takes the first, flexible the last
        ("12", 0.0, 1.0),
        ("####12", 0.0, 1.0),
    ],
)
def test_five_shot(reply: str, strict: float, flexible: float, tmp_path: Path) -> None:
    """The first five of six are worked; only the sixth is asked."""
    (tmp_path / "t").mkdir()
    named = shelf_of(tmp_path, [problem(n) for n in range(1, 7)], "gsm8k").paths
    shelf = DataSource(paths={**named, "gsm8k_shots": named["gsm8k"]})
    policy = Scripted(speak=lambda _: reply)
    (told,) = tell(SUITE, shelf, "five-shot", policy=policy)
    assert told.item.id == "p6"
    assert (outcome(told)["strict"], outcome(told)["flexible"]) == (strict, flexible)
    (ask,) = policy.tape
    assert isinstance(ask, Generate) and ask.stop == ("Question:",)
    assert asked(ask).startswith("Question: What is 1 and 1?\nAnswer: 1+1=2\n#### 2\n\nQuestion: What is 2")
    assert asked(ask).endswith("#### 10\n\nQuestion: What is 6 and 6?\nAnswer:")


def test_without_worked_problems_the_plain_way_scores_nothing(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path, [problem(1)], "gsm8k")
    (told,) = tell(SUITE, shelf, "five-shot", policy=Scripted(speak=lambda _: "#### 2"))
    assert told.failed == "fewer than 5 worked problems were found (gsm8k_train*)"
    (told,) = tell(SUITE, shelf, "chat", policy=Scripted(speak=lambda _: "\n"))
    assert told.failed == "the model said nothing" and values(SUITE, [told]) == {}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"answer": "it is 2"}, "the answer has no number behind ####"),
        ({"answer": "#### many"}, "the answer has no number behind ####"),
        ({"question": " "}, "question is empty"),
    ],
)
def test_what_cannot_be_used_is_counted(change: dict[str, Any], why: str, tmp_path: Path) -> None:
    items = SUITE.load(shelf_of(tmp_path, [problem(1), problem(2) | change], "gsm8k"))
    assert (len(items.items), items.refused) == (1, {why: 1})
    with pytest.raises(DataError, match="answer"):
        SUITE.load(shelf_of(tmp_path, [{"question": "x"}], "gsm8k"))


def test_the_real_file(shared: Path) -> None:
    items = SUITE.load(DataSource(folder=shared / "data"))
    assert (len(items.items), items.refused) == (1995, {})
    solved = Scripted(speak=lambda ask: "none")
    assert len(items.items[0].data.shots) == 5 and not solved.tape
