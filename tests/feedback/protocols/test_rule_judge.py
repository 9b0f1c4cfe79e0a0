"""Judging a rule on a dialogue."""

import pytest

from preflab.errors import DataError
from preflab.feedback.protocols.rule_judge import RuleJudge

TALK = [
    {"role": "user", "content": "Where did you grow up?"},
    {"role": "assistant", "content": "In Bergen."},
]


@pytest.mark.parametrize(
    ("broken", "rating", "right"), [(True, 1, True), (True, 3, False), (False, 5, True), (False, 2, False)]
)
def test_gold_by_side_of_the_scale(broken: bool, rating: int, right: bool) -> None:
    content = RuleJudge().read_item({"rule": "not_human", "messages": TALK, "broken": broken})
    assert RuleJudge().right({"rating": rating}, content) is right


def test_cannot_say_is_no_vote_on_broken() -> None:
    assert set(RuleJudge().questions({"rating": 3})) == {"rating"}
    assert RuleJudge().questions({"rating": 1})["broken"].value == 1.0
    assert RuleJudge().questions({"rating": 5})["broken"].value == 0.0


def test_only_the_assistant_can_break_it() -> None:
    content = RuleJudge().read_item({"rule": "not_human", "messages": TALK})
    with pytest.raises(DataError, match="assistant's turns"):
        RuleJudge().read_answer({"rating": "1", "turn": "0"}, content, ())
    assert RuleJudge().read_answer({"rating": "1", "turn": "1"}, content, ())["turn"] == 1
    with pytest.raises(DataError, match="ends with the assistant"):
        RuleJudge().read_item({"rule": "not_human", "messages": TALK[:1]})
