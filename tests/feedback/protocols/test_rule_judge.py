"""Judging a rule on a dialogue."""

from typing import Any

import pytest

from preflab.errors import DataError
from preflab.feedback.protocols.rule_judge import RATINGS, RuleJudge, rule_content, rule_of
from preflab.feedback.rules import load_rules

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


def test_every_rule_can_be_named_and_is_written_out_in_the_item() -> None:
    for rule_id, rule in load_rules().items():
        assert rule_of({"rule": rule_id}) == rule
        content = RuleJudge().read_item({"rule": rule_id, "messages": TALK})
        assert {name: content[name] for name in ("rule", "rule_text")} == {"rule": rule_id, "rule_text": rule.text}
        assert rule_of(content).text == rule.text  # an item outlives a change of the rules


def test_a_rule_of_ones_own_may_have_a_name() -> None:
    assert rule_content(rule_of({"rule_text": "Rhyme."}))["rule"] == "own"
    assert rule_of({"rule_text": "Rhyme.", "rule": "rhyme"}).id == "rhyme"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rule": None}, "rule"),
        ({"rule": "no_such"}, "rule"),
        ({"messages": "hi"}, "messages"),
        ({"broken": 1}, "broken"),
        ({"brokn": True}, "brokn"),
    ],
)
def test_what_is_wrong_with_an_item_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(DataError) as raised:
        RuleJudge().read_item({"rule": "not_human", "messages": TALK} | changes)
    assert raised.value.field == field


def test_who_said_it_and_what_the_practice_page_explains_are_kept() -> None:
    record = {"rule": "not_human", "messages": TALK, "policy": "p", "feedback": "It names a town.", "broken": None}
    content = RuleJudge().read_item(record)
    assert (content["policy"], content["feedback"]) == ("p", "It names a town.")
    assert "broken" not in content and RuleJudge().right({"rating": 1}, content) is None


@pytest.mark.parametrize("rating", RATINGS)
def test_where_is_asked_of_broken_rules_alone(rating: int) -> None:
    content = RuleJudge().read_item({"rule": "not_human", "messages": TALK})
    form = {"rating": str(rating), "turn": "1", "comment": " so "}
    answer = RuleJudge().read_answer(form, content, ())
    assert answer == {"rating": rating, "turn": 1 if rating <= 2 else None, "comment": "so"}
    assert RuleJudge(comment=False).read_answer(form, content, ())["comment"] == ""
    assert RuleJudge().read_answer(form | {"turn": " "}, content, ())["turn"] is None
    questions = RuleJudge().questions(answer)
    assert (questions["rating"].value, questions["rating"].level) == (float(rating), "ordinal")
    assert RuleJudge().comparisons({"answer": answer, "content": content}) == []
    assert RuleJudge().places(content) == 0


@pytest.mark.parametrize("form", [{}, {"rating": "0"}, {"rating": "6"}, {"rating": "1", "turn": "2"}])
def test_a_rating_outside_the_scale_or_a_turn_outside_the_talk_is_refused(form: dict[str, str]) -> None:
    content = RuleJudge().read_item({"rule": "not_human", "messages": TALK})
    with pytest.raises(DataError):
        RuleJudge().read_answer(form, content, ())
