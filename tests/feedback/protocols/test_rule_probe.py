"""Breaking a rule."""

import pytest

from preflab.errors import DataError
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
