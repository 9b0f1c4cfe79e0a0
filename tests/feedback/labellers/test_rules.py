"""Rules as a judge: weights, vetoes, both bad, functions as checks."""

import math

import pytest

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError
from preflab.feedback.label_comparisons import NO_LABEL, label_comparisons
from preflab.feedback.labellers.rules import BOTH_BAD, RuleLabeller, RuleSettings
from preflab.feedback.rules import SHIPPED_CHECKS, Check, Rule, load_rules


def rule(id: str, check: Check | None, *, weight: float = 1.0, veto: bool = False) -> Rule:
    return Rule(id=id, category="c", goal="helpful", text=id, check=check, weight=weight, veto=veto)


def pair(first: str, second: str) -> Comparison:
    return Comparison(prompt=Dialogue.of("q"), replies=(first, second), ranks=(0, 0))


RULES = [
    rule("short", Check(longer_than=10), weight=1.0),
    rule("calm", Check(matches="!"), weight=2.5),
    rule("polite", Check(phrases=("damn",)), veto=True, weight=0.5),
]


def test_the_lower_penalty_wins_and_equal_ones_are_a_tie() -> None:
    judge = RuleLabeller(RULES)
    asked = [pair("longer than ten", "loud!"), pair("loud!", "longer than ten"), pair("calm", "short")]
    assert judge(asked).prob_first.tolist() == [1.0, 0.0, 0.5]  # 1.0 against 2.5, and 0 against 0
    findings = judge.findings(Dialogue.of("q").with_reply("longer than ten!"))
    assert (findings.penalty, findings.vetoed) == (3.5, False)
    assert dict(findings.broken) == {"short": 1.0, "calm": 1.0, "polite": 0.0}


def test_with_a_temperature_weights_are_log_odds() -> None:
    judge = RuleLabeller(RULES, settings=RuleSettings(temperature=0.5))
    (prob,) = judge([pair("longer than ten", "loud!")]).prob_first.tolist()
    assert prob == pytest.approx(1 / (1 + math.exp(-3)))  # (2.5 - 1.0) / 0.5 = 3


def test_a_veto_outweighs_everything_and_two_of_them_say_nothing() -> None:
    judge = RuleLabeller(RULES)
    labels = judge([pair("damn", "longer than ten!"), pair("very long, loud!", "Damn."), pair("damn", "damn!")])
    assert labels.prob_first[:2].tolist() == [0.0, 1.0]
    assert labels.abstained == {2: BOTH_BAD}
    done = label_comparisons([pair("damn", "damn!"), pair("calm", "loud!")], judge)
    assert len(done.comparisons) == 1 and done.left_out == {NO_LABEL: 1} and done.abstained == {BOTH_BAD: 1}


def test_a_function_checks_a_rule_with_a_probability() -> None:
    checks = {"asks": lambda dialogue: 0.25 if "?" in dialogue.reply else 0.75}
    judge = RuleLabeller([rule("asks", None, weight=2.0)], checks=checks)
    assert judge([pair("Why?", "So.")]).prob_first.tolist() == [1.0]
    assert judge.findings(Dialogue.of("q").with_reply("Why?")).penalty == 0.5
    outside = RuleLabeller([rule("asks", None)], checks={"asks": lambda dialogue: 2.0})
    with pytest.raises(ConfigError, match=r"'asks': expected a probability in \[0, 1\], found 2.0"):
        outside([pair("a", "b")])


def test_rules_and_checks_must_fit() -> None:
    with pytest.raises(ConfigError, match="rule 'asks' has no check"):
        RuleLabeller([rule("asks", None)])
    with pytest.raises(ConfigError, match="no such rule"):
        RuleLabeller(RULES, checks={"ask": lambda dialogue: 0.0})


def test_the_shipped_rules_find_what_they_name() -> None:
    judge = RuleLabeller(list(load_rules(SHIPPED_CHECKS).values()))

    def broken(reply: str) -> set[str]:
        return {id for id, prob in judge.findings(Dialogue.of("q").with_reply(reply)).broken.items() if prob}

    assert broken("Six times seven is 42.") == set()
    assert broken("Sorry, I can't help.") == {"no_refusal"}
    assert broken("GREAT NEWS for you.") == {"no_shouting"} == broken("Stop it!!")
    assert broken("It begins and then") == {"whole_sentences"}
    assert broken("x" * 1201 + ".") == {"not_too_long"}
