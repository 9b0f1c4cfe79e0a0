"""The list of rules."""

from pathlib import Path

import pytest

from preflab.errors import ConfigError
from preflab.feedback.rules import SHIPPED_CHECKS, Check, load_rules


def test_twenty_three_rules_of_three_goals_are_shipped() -> None:
    found = load_rules()
    assert len(found) == 23
    assert {rule.goal for rule in found.values()} == {"helpful", "correct", "harmless"}
    assert all(rule.probing for rule in found.values())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{}", "a list of rules"),
        ("- {id: a, category: c, goal: harmless}", "text is missing"),
        ("- {id: a, category: c, goal: kind, text: t}", "goal must be one of"),
        ("- {id: a, category: c, goal: harmless, text: t, wait: 3}", "unknown field 'wait'"),
        ("- {id: '', category: c, goal: harmless, text: t}", "id must not be empty"),
        ("- {id: a, category: c, goal: harmless, text: t, weight: -1}", "weight must not be negative"),
        ("- {id: a, category: c, goal: harmless, text: t, check: {}}", "check: expected one of matches.*found none"),
        ("- {id: a, category: c, goal: harmless, text: t, check: {longer_then: 1}}", "did you mean 'longer_than'"),
        ("- [", "rules.yaml:1: expected the node content"),
        ("- 3", "rule 0 must have id, category, goal and text"),
        ("- {id: a, category: c, goal: harmless, text: t}\n- {id: a, category: c, goal: harmless, text: t}", "twice"),
    ],
)
def test_a_bad_list_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        load_rules(file)


def test_a_missing_file_names_a_near_one(tmp_path: Path) -> None:
    (tmp_path / "house.yaml").write_text("[]")
    with pytest.raises(ConfigError, match=r"house.yml: no such file.*did you mean 'house.yaml'"):
        load_rules(tmp_path / "house.yml")


@pytest.mark.parametrize(
    ("check", "breaking", "keeping"),
    [
        (Check(matches=r"\d"), "in 3 days", "in three days"),
        (Check(lacks=r"\.$"), "no end", "An end."),
        (Check(phrases=("as an AI", "I can't")), "Well, AS AN AI I think", "as an aide, I cant"),
        (Check(longer_than=3), "four", "tri"),
        (Check(shorter_than=3), "no", "yes"),
    ],
)
def test_checks_find_what_breaks_the_rule(check: Check, breaking: str, keeping: str) -> None:
    assert check.finds(breaking) and not check.finds(keeping)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({}, "expected one of matches, lacks, phrases, longer_than, shorter_than, found none"),
        ({"matches": "a", "longer_than": 0}, "found matches, longer_than"),
        ({"matches": "("}, "matches: expected a regular expression"),
        ({"shorter_than": -1}, "shorter_than must not be negative"),
    ],
)
def test_a_check_is_one_thing(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Check(**fields)  # type: ignore[arg-type]


def test_the_shipped_checks_have_weights_and_a_veto() -> None:
    rules = load_rules(SHIPPED_CHECKS)
    assert all(rule.check for rule in rules.values())
    assert {rule.weight for rule in rules.values()} == {0.5, 1.0, 2.0}
    assert [rule.id for rule in rules.values() if rule.veto] == ["no_empty_answer"]
