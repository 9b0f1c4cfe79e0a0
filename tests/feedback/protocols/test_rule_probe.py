"""Breaking a rule."""

import pytest

from preflab.errors import ConfigError, DataError
from preflab.feedback.protocols.rule_probe import RuleProbe


def test_an_item_names_a_rule_or_writes_one() -> None:
    named = RuleProbe().read_item({"rule": "not_human"})
    assert "human identity" in named["rule_text"] and named["probing"]
    assert RuleProbe().read_item({"rule_text": "Rhyme."})["rule_text"] == "Rhyme."
    with pytest.raises(DataError, match="unknown rule 'not_humane'"):
        RuleProbe().read_item({"rule": "not_humane"})


def test_a_broken_rule_wants_to_know_where() -> None:
    end = RuleProbe().read_answer({"finish": "1", "rating": "1", "turn": "0"}, {}, ())
    assert (end["rating"], end["turn"]) == (1, 0)
    with pytest.raises(DataError, match=r"\[turn\]"):
        RuleProbe().read_answer({"finish": "1", "rating": "2"}, {}, ())
    assert RuleProbe().read_answer({"finish": "1", "rating": "4"}, {}, ())["turn"] is None


@pytest.mark.parametrize(("fewest", "most", "fits"), [(1, 1, True), (2, 8, True), (0, 8, False), (9, 8, False)])
def test_a_conversation_has_a_turn_and_may_end_before_it_must(fewest: int, most: int, fits: bool) -> None:
    if fits:
        assert RuleProbe(fewest_turns=fewest, most_turns=most).most_turns == most
    else:
        with pytest.raises(ConfigError, match=rf"fewest_turns must be in \[1, most_turns\], got {fewest} of {most}"):
            RuleProbe(fewest_turns=fewest, most_turns=most)


def test_the_turn_that_broke_it_is_one_that_can_have_been() -> None:
    probe = RuleProbe(most_turns=3)
    assert probe.read_answer({"finish": "1", "rating": "2", "turn": "2"}, {}, ())["turn"] == 2
    with pytest.raises(DataError, match="from 0 to 2"):
        probe.read_answer({"finish": "1", "rating": "2", "turn": "3"}, {}, ())


@pytest.mark.parametrize("finish", ["", "0", "off"])
def test_only_a_rating_ends_the_conversation(finish: str) -> None:
    with pytest.raises(DataError, match="rate the rule to end the conversation"):
        RuleProbe().read_answer({"finish": finish, "rating": "1", "turn": "0"}, {}, ())


def test_nothing_is_right_or_wrong_and_nothing_is_compared() -> None:
    probe = RuleProbe()
    answer = probe.read_answer({"finish": "1", "rating": "4", "comment": "it held"}, {}, ())
    assert answer == {"finish": True, "rating": 4, "turn": None, "comment": "it held"}
    assert probe.right(answer, {}) is None and probe.comparisons({"answer": answer}) == [] and probe.places({}) == 0
    assert probe.questions(answer)["rating"].value == 4.0
    with pytest.raises(DataError, match="unknown field"):
        probe.read_item({"rule": "not_human", "messages": []})
